package cloudevent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/rutter-run/rutter/events"
)

// The extensions of an event outside NATS, where headers of the log are lost: CloudEvents' own sequence (20 digits, so that it
// sorts as text) and recordedtime.
const (
	extensionCorrelation = "correlationid"
	extensionCausation   = "causationid"
	extensionActor       = "actor"
	extensionTraceParent = "traceparent"
	extensionSequence    = "sequence"
	extensionRecorded    = "recordedtime"
)

// ToSDK is the event as the CloudEvents SDK holds it.
func ToSDK(e events.Event) (sdk.Event, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return sdk.Event{}, fmt.Errorf("encode event %s: %w: %w", e.ID, events.ErrInvalid, err)
	}
	out := sdk.New(sdk.CloudEventsVersionV1)
	out.SetID(e.ID)
	out.SetType(e.Type)
	out.SetSource(e.Source)
	out.SetSubject(string(e.Subject))
	if !e.Time.IsZero() {
		out.SetTime(e.Time)
	}
	set := func(name, value string) {
		if value != "" {
			out.SetExtension(name, value)
		}
	}
	set(extensionCorrelation, e.Correlation)
	set(extensionCausation, e.Causation)
	set(extensionActor, e.Actor)
	set(extensionTraceParent, e.TraceParent)
	if e.Sequence > 0 {
		set(extensionSequence, fmt.Sprintf("%020d", e.Sequence))
	}
	if !e.Recorded.IsZero() {
		out.SetExtension(extensionRecorded, e.Recorded)
	}
	if err := out.SetData(sdk.ApplicationJSON, json.RawMessage(data)); err != nil {
		return sdk.Event{}, fmt.Errorf("encode event %s: %w: %w", e.ID, events.ErrInvalid, err)
	}
	return out, nil
}

// FromSDK is the event that the CloudEvents SDK holds. A payload of an unknown type is [events.Unknown].
func FromSDK(registry *events.Registry, in sdk.Event) (events.Event, error) {
	if err := in.Validate(); err != nil {
		return events.Event{}, fmt.Errorf("cloud event %q: %w: %w", in.ID(), events.ErrInvalid, err)
	}
	text := func(name string) string {
		value, _ := in.Extensions()[name].(string)
		return value
	}
	e := events.Event{
		ID: in.ID(), Type: in.Type(), Source: in.Source(), Subject: events.Subject(in.Subject()), Time: in.Time(),
		Correlation: text(extensionCorrelation), Causation: text(extensionCausation), Actor: text(extensionActor),
		TraceParent: text(extensionTraceParent),
	}
	if raw := text(extensionSequence); raw != "" {
		sequence, err := strconv.ParseUint(raw, 10, 64)
		if err != nil {
			return events.Event{}, fmt.Errorf("cloud event %q: sequence %q is not a number: %w", in.ID(), raw, events.ErrInvalid)
		}
		e.Sequence = sequence
	}
	if raw, ok := in.Extensions()[extensionRecorded]; ok {
		recorded, err := parseTime(raw)
		if err != nil {
			return events.Event{}, fmt.Errorf("cloud event %q: recordedtime: %w: %w", in.ID(), events.ErrInvalid, err)
		}
		e.Recorded = recorded
	}
	e.Data = registry.Decode(e.Type, in.Data())
	e.Type = e.Data.WireType() // the newer one where an old version was read as it
	return e, nil
}

// JSON is the event as a structured CloudEvents document.
func JSON(e events.Event) ([]byte, error) {
	out, err := ToSDK(e)
	if err != nil {
		return nil, err
	}
	data, err := out.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode event %s: %w: %w", e.ID, events.ErrInvalid, err)
	}
	return data, nil
}

// FromJSON reads a structured CloudEvents document.
func FromJSON(registry *events.Registry, data []byte) (events.Event, error) {
	var in sdk.Event
	if err := in.UnmarshalJSON(data); err != nil {
		return events.Event{}, fmt.Errorf("cloud event: %w: %w", events.ErrInvalid, err)
	}
	return FromSDK(registry, in)
}

// isStructured reports whether a message holds the whole event in its data (application/cloudevents, +json or bare).
func isStructured(h Header) bool {
	values, ok := h[headerContentType]
	if !ok {
		if values, ok = h["content-type"]; !ok {
			return false
		}
	}
	return len(values) > 0 && strings.HasPrefix(strings.ToLower(values[0]), structuredType)
}

func (d *Decoder) structuredEvent(subject string, data []byte) events.Event {
	e, err := FromJSON(d.registry, data)
	if err == nil && e.Subject != "" && string(e.Subject) != subject {
		err = fmt.Errorf("subject is %q and the message stands under %q", e.Subject, subject)
	}
	e.Subject = events.Subject(subject)
	e.Sequence = 0
	if err != nil {
		e.Data = events.Malformed{Type: e.Type, Raw: slices.Clone(data), Problem: err.Error()}
	}
	return e
}

// parseTime reads a time extension, which the SDK gives as its own type or as text.
func parseTime(value any) (time.Time, error) {
	at, err := types.ToTime(value)
	return at.UTC(), err
}
