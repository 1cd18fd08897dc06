package door

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// header names of a request.
const (
	headerPatience = "Rutter-Patience" // how long the asker waits
	headerAgain    = "Rutter-Again"    // the request was made before, and may have been carried out
)

// message is an event or a command as its headers and data, the form that it has on the log's own subjects.
type message struct {
	Header   cloudevent.Header `json:"header"`
	Data     json.RawMessage   `json:"data,omitempty"`
	Sequence uint64            `json:"sequence,omitempty"`
	Recorded time.Time         `json:"recorded,omitzero"`
	// Problem says that the log holds something malformed, whose bytes are Raw.
	Problem string `json:"problem,omitempty"`
	Raw     []byte `json:"raw,omitempty"`
}

// write is an [events.Write].
type write struct {
	Subject events.Subject `json:"subject"`
	Expect  uint64         `json:"expect"`
	Events  []message      `json:"events"`
}

type appendRequest struct {
	Writes []write `json:"writes"`
}

type readRequest struct {
	Subject events.Subject `json:"subject"`
	From    uint64         `json:"from,omitempty"`
}

type registerRequest struct {
	Subject string  `json:"subject"`
	Command message `json:"command"`
}

// answer is what comes back, whatever was asked.
type answer struct {
	Error    string    `json:"error,omitempty"`
	Kind     string    `json:"kind,omitempty"` // events.ErrorName
	Sequence uint64    `json:"sequence,omitempty"`
	Events   []message `json:"events,omitempty"`
	More     bool      `json:"more,omitempty"`
	JWT      string    `json:"jwt,omitempty"`
}

func failed(err error) answer { return answer{Error: err.Error(), Kind: events.ErrorName(err)} }

// err is the failure that the answer tells of.
func (a answer) err() error {
	if a.Error == "" {
		return nil
	}
	return &refusal{text: a.Error, is: events.ErrorNamed(a.Kind)}
}

// refusal is the door's error in its own words; is tells what it is without repeating that error's text.
type refusal struct {
	text string
	is   error
}

// Error implements error.
func (r *refusal) Error() string { return r.text }

// Unwrap implements errors.Unwrap.
func (r *refusal) Unwrap() error { return r.is }

func encode(e events.Event) (message, error) {
	m := message{Sequence: e.Sequence, Recorded: e.Recorded}
	if bad, ok := e.Data.(events.Malformed); ok {
		m.Problem, m.Raw, e.Data = bad.Problem, bad.Raw, nil
	}
	var err error
	m.Header, m.Data, err = cloudevent.EncodeEvent(e)
	return m, err
}

func decode(d *cloudevent.Decoder, subject events.Subject, m message) events.Event {
	e := d.Event(string(subject), m.Header, m.Data)
	e.Sequence, e.Recorded = m.Sequence, m.Recorded
	if m.Problem != "" {
		e.Data = events.Malformed{Type: e.Type, Raw: m.Raw, Problem: m.Problem}
	}
	return e
}

func encodeBatch(batch events.Batch) (request appendRequest, err error) {
	request.Writes = make([]write, len(batch))
	for i, w := range batch {
		request.Writes[i] = write{Subject: w.Subject, Expect: w.Expect, Events: make([]message, len(w.Events))}
		for j, e := range w.Events {
			if request.Writes[i].Events[j], err = encode(e); err != nil {
				return request, err
			}
		}
	}
	return request, nil
}

func decodeBatch(d *cloudevent.Decoder, request appendRequest) (events.Batch, error) {
	batch := make(events.Batch, len(request.Writes))
	for i, w := range request.Writes {
		batch[i] = events.Write{Subject: w.Subject, Expect: w.Expect, Events: make([]events.Event, len(w.Events))}
		for j, m := range w.Events {
			if len(m.Data) > maxEventBytes {
				return nil, fmt.Errorf("report of %d bytes, at most %d: %w", len(m.Data), maxEventBytes, events.ErrTooLarge)
			}
			e := decode(d, w.Subject, m)
			e.Sequence, e.Recorded = 0, time.Time{}
			batch[i].Events[j] = e
		}
	}
	return batch, nil
}
