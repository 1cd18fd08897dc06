package cloudevent

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Header is a message's headers; nats.Header and http.Header convert to it.
type Header = map[string][]string

// The headers of binary content mode. The attributes are CloudEvents 1.0's; the extensions are correlationid and
// causationid (who caused it), actor, reason (of a command) and traceparent (W3C, CloudEvents' distributed tracing extension).
const (
	headerSpecVersion     = "ce-specversion"
	headerID              = "ce-id"
	headerType            = "ce-type"
	headerSource          = "ce-source"
	headerSubject         = "ce-subject"
	headerTime            = "ce-time"
	headerDataContentType = "ce-datacontenttype"
	headerCorrelation     = "ce-correlationid"
	headerCausation       = "ce-causationid"
	headerActor           = "ce-actor"
	headerReason          = "ce-reason"
	headerTraceParent     = "ce-traceparent"
	headerContentType     = "Content-Type"
)

const (
	specVersion    = "1.0"
	jsonType       = "application/json"
	structuredType = "application/cloudevents" // +json
	// commandSource is the source of every command: who asks is its actor.
	commandSource = "/rutter/gateway"
)

// Shared values of headers that are the same in every message.
var (
	specVersionValue = []string{specVersion}
	jsonTypeValue    = []string{jsonType}
)

// EncodeEvent writes an event in binary content mode. It does not validate; see [events.Event.Validate].
func EncodeEvent(e events.Event) (Header, []byte, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return nil, nil, fmt.Errorf("encode event %s: %w: %w", e.ID, events.ErrInvalid, err)
	}
	h := envelope(e.ID, e.Type, e.Source, string(e.Subject), e.Time)
	put(h, headerCorrelation, e.Correlation)
	put(h, headerCausation, e.Causation)
	put(h, headerActor, e.Actor)
	put(h, headerTraceParent, e.TraceParent)
	return h, data, nil
}

// EncodeCommand writes a command in binary content mode. It does not validate; see [events.Command.Validate].
func EncodeCommand(c events.Command) (Header, []byte, error) {
	data, err := json.Marshal(c.Data)
	if err != nil {
		return nil, nil, fmt.Errorf("encode command %s: %w: %w", c.ID, events.ErrInvalid, err)
	}
	h := envelope(c.ID, c.Type, commandSource, c.Subject, c.Time)
	put(h, headerCorrelation, c.Correlation)
	put(h, headerActor, c.Actor)
	put(h, headerReason, c.Reason)
	put(h, headerTraceParent, c.TraceParent)
	return h, data, nil
}

func envelope(id, wireType, source, subject string, at time.Time) Header {
	h := make(Header, 16)
	h[headerSpecVersion] = specVersionValue
	h[headerDataContentType] = jsonTypeValue
	put(h, headerID, id)
	put(h, headerType, wireType)
	put(h, headerSource, source)
	put(h, headerSubject, subject)
	if !at.IsZero() {
		h[headerTime] = []string{at.UTC().Format(time.RFC3339Nano)}
	}
	return h
}

func put(h Header, name, value string) {
	if value != "" {
		h[name] = []string{PercentEncode(value)}
	}
}

// Size is how many bytes a message takes of a server's max_payload, as NATS counts: the header block with its version line, and the data.
func Size(h Header, data []byte) int {
	const versionLine, end = len("NATS/1.0\r\n"), len("\r\n")
	n := versionLine + end + len(data)
	for name, values := range h {
		for _, value := range values {
			n += len(name) + len(": ") + len(value) + end
		}
	}
	return n
}
