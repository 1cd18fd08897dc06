package cloudevent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Decoder reads messages. It remembers strings that come again and again, so it is not for use by several goroutines at once;
// each takes its own.
type Decoder struct {
	registry *events.Registry
	seen     map[string]string // small sets: types, sources, actors
	recent   [8]string         // ids that the next message is likely to repeat
	next     int
}

// NewDecoder makes a decoder of the registry's payloads.
func NewDecoder(registry *events.Registry) *Decoder {
	return &Decoder{registry: registry, seen: map[string]string{}}
}

// Event reads a message of the log. It never fails: one that is not a CloudEvent, speaks of another subject than it was
// stored under, or has a type of another aggregate, has [events.Malformed] as its data.
func (d *Decoder) Event(subject string, h Header, data []byte) events.Event {
	e := d.event(subject, h, data)
	if _, already := e.Data.(events.Malformed); !already && !events.Belongs(e.Type, e.Subject) {
		return malformed(e, data, fmt.Errorf("a %q cannot stand under %s", e.Type, subject))
	}
	return e
}

func (d *Decoder) event(subject string, h Header, data []byte) events.Event {
	if isStructured(h) {
		return d.structuredEvent(subject, data)
	}
	e := events.Event{Subject: events.Subject(subject)}
	var faults [5]error
	e.Type, faults[0] = d.small(h, headerType)
	e.Source, faults[1] = d.small(h, headerSource)
	e.Actor, faults[2] = d.small(h, headerActor)
	e.Time, faults[3] = at(h)
	faults[4] = d.chain(&e, h)
	for _, fault := range faults {
		if fault != nil {
			return malformed(e, data, fault)
		}
	}
	if fault := wellFormed(h, subject, e.ID, e.Type, e.Source); fault != nil {
		return malformed(e, data, fault)
	}
	e.Data = d.registry.Decode(e.Type, data)
	e.Type = e.Data.WireType() // the newer one where an old version was read as it
	return e
}

// chain reads what names the event and ties it to others: headers that take ever new values. The client's header strings are parts of
// one block, which would live as long as the shortest of them, so they are copied; all that an event does not share with the ones before
// it go into one block of their own.
func (d *Decoder) chain(e *events.Event, h Header) error {
	names := [...]string{headerID, headerCorrelation, headerCausation, headerTraceParent}
	into := [...]*string{&e.ID, &e.Correlation, &e.Causation, &e.TraceParent}
	size, fresh := 0, [len(names)]bool{}
	for n, name := range names {
		raw := one(h, name)
		if raw == "" {
			continue
		}
		value, err := PercentDecode(raw)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if value, fresh[n] = d.known(value); fresh[n] {
			size += len(value)
		}
		*into[n] = value
	}
	var block strings.Builder
	block.Grow(size)
	for n := range names {
		if fresh[n] {
			block.WriteString(*into[n])
		}
	}
	rest := block.String()
	for n := range names {
		if fresh[n] {
			*into[n], rest = rest[:len(*into[n])], rest[len(*into[n]):]
			d.recent[d.next%len(d.recent)] = *into[n]
			d.next++
		}
	}
	return nil
}

// known finds a value among the last few; fresh: it is not there.
func (d *Decoder) known(value string) (_ string, fresh bool) {
	for _, old := range d.recent {
		if old == value {
			return old, false
		}
	}
	return value, true
}

// Command reads a message of the command stream, with the same care as [Decoder.Event].
func (d *Decoder) Command(subject string, h Header, data []byte) events.Command {
	e := d.event(subject, h, data)
	c := events.Command{
		ID: e.ID, Type: e.Type, Subject: subject, Actor: e.Actor, Time: e.Time,
		Correlation: e.Correlation, TraceParent: e.TraceParent, Data: e.Data,
	}
	reason, err := PercentDecode(one(h, headerReason))
	if err != nil {
		c.Data = events.Malformed{Type: c.Type, Raw: slices.Clone(data), Problem: headerReason + ": " + err.Error()}
	}
	c.Reason = strings.Clone(reason)
	return c
}

func malformed(e events.Event, data []byte, fault error) events.Event {
	e.Data = events.Malformed{Type: e.Type, Raw: slices.Clone(data), Problem: fault.Error()}
	return e
}

// The faults of an envelope.
var (
	errSpecVersion = errors.New("ce-specversion is not 1.0")
	errNoID        = errors.New("ce-id is missing")
	errNoType      = errors.New("ce-type is missing")
	errNoSource    = errors.New("ce-source is missing")
	errContentType = errors.New("ce-datacontenttype is not application/json")
)

// wellFormed checks the attributes that say what the message is.
func wellFormed(h Header, subject, id, wireType, source string) error {
	switch {
	case one(h, headerSpecVersion) != specVersion:
		return errSpecVersion
	case id == "":
		return errNoID
	case wireType == "":
		return errNoType
	case source == "":
		return errNoSource
	}
	if kind := one(h, headerDataContentType); kind != jsonType && kind != "" {
		return errContentType
	}
	about := one(h, headerSubject)
	if about == subject || about == "" {
		return nil
	}
	if decoded, err := PercentDecode(about); err != nil || decoded != subject {
		return fmt.Errorf("ce-subject is %q and the message stands under %q", about, subject)
	}
	return nil
}

// one is the first value of a header, empty where there is none.
func one(h Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// maxSeen bounds the set of remembered strings: a writer of ever new actors must not fill the memory.
const maxSeen = 4096

// small reads a header that takes few values, each kept once.
func (d *Decoder) small(h Header, name string) (string, error) {
	raw := one(h, name)
	if raw == "" {
		return "", nil
	}
	if value, ok := d.seen[raw]; ok {
		return value, nil
	}
	value, err := PercentDecode(raw)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	value = strings.Clone(value)
	if len(d.seen) >= maxSeen {
		clear(d.seen)
	}
	d.seen[strings.Clone(raw)] = value
	return value, nil
}

func at(h Header) (time.Time, error) {
	raw := one(h, headerTime)
	if raw == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, raw)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", headerTime, err)
	}
	return at.UTC(), nil
}
