package events

import (
	"fmt"
	"strings"
)

// Validate reports whether a log takes the event: it has an id, a source and a literal subject below [EventPrefix], its type is its
// payload's and belongs to the subject's aggregate.
func (e Event) Validate() error {
	switch {
	case e.ID == "":
		return fmt.Errorf("event %s on %s has no id: %w", e.Type, e.Subject, ErrInvalid)
	case e.Source == "":
		return fmt.Errorf("event %s has no source: %w", e.ID, ErrInvalid)
	case e.Data == nil:
		return fmt.Errorf("event %s has no data: %w", e.ID, ErrInvalid)
	case e.Type != e.Data.WireType():
		return fmt.Errorf("event %s says it is a %q and carries a %q: %w", e.ID, e.Type, e.Data.WireType(), ErrInvalid)
	}
	if err := validSubject(string(e.Subject), EventPrefix); err != nil {
		return err
	}
	if !Belongs(e.Type, e.Subject) {
		return fmt.Errorf("event %s: a %q cannot stand under %s: want a type that begins with %s%s.: %w",
			e.ID, e.Type, e.Subject, TypePrefix, e.Subject.Aggregate(), ErrInvalid)
	}
	return nil
}

// Validate reports whether a command can be sent: it has an id, an actor and a literal subject below [CommandPrefix], and
// its type is its payload's.
func (c Command) Validate() error {
	switch {
	case c.ID == "":
		return fmt.Errorf("command %s to %s has no id: %w", c.Type, c.Subject, ErrInvalid)
	case len(c.ID) > MaxCommandID:
		return fmt.Errorf("the id of a command to %s is %d bytes long, at most %d: %w", c.Subject, len(c.ID), MaxCommandID, ErrInvalid)
	case c.Data == nil:
		return fmt.Errorf("command %s has no data: %w", c.ID, ErrInvalid)
	case c.Type != c.Data.WireType():
		return fmt.Errorf("command %s says it is a %q and carries a %q: %w", c.ID, c.Type, c.Data.WireType(), ErrInvalid)
	}
	if _, err := c.Bounded(); err != nil {
		return fmt.Errorf("command %s to %s: %w", c.ID, c.Subject, err)
	}
	return validSubject(c.Subject, CommandPrefix)
}

// Prepared is a copy of the batch in which every event carries the subject of its write and, where it left it out, its payload's
// type. It fails where no log would take the batch: with [ErrTooLarge] above [MaxBatch], else with [ErrInvalid].
func (b Batch) Prepared() (Batch, error) {
	if n := b.Len(); n > MaxBatch {
		return nil, fmt.Errorf("batch of %d events, at most %d: %w", n, MaxBatch, ErrTooLarge)
	}
	if len(b) == 0 {
		return nil, fmt.Errorf("empty batch: %w", ErrInvalid)
	}
	prepared := make(Batch, len(b))
	seen := make(map[Subject]bool, len(b))
	ids := make(map[string]bool, len(b))
	for i, w := range b {
		if seen[w.Subject] {
			return nil, fmt.Errorf("subject %s stands in two writes of the batch: %w", w.Subject, ErrInvalid)
		}
		seen[w.Subject] = true
		if len(w.Events) == 0 {
			return nil, fmt.Errorf("write to %s without events: %w", w.Subject, ErrInvalid)
		}
		prepared[i] = Write{Subject: w.Subject, Expect: w.Expect, Events: make([]Event, len(w.Events))}
		for j, e := range w.Events {
			e.Subject = w.Subject
			if e.Type == "" && e.Data != nil {
				e.Type = e.Data.WireType()
			}
			if err := e.Validate(); err != nil {
				return nil, err
			}
			if ids[e.ID] {
				return nil, fmt.Errorf("id %s stands twice in the batch: %w", e.ID, ErrInvalid)
			}
			ids[e.ID] = true
			prepared[i].Events[j] = e
		}
	}
	return prepared, nil
}

// validSubject refuses what is not one literal NATS subject below prefix.
func validSubject(subject, prefix string) error {
	rest, ok := strings.CutPrefix(subject, prefix)
	if !ok {
		return fmt.Errorf("subject %q is not below %s: %w", subject, prefix, ErrInvalid)
	}
	for token := range strings.SplitSeq(rest, ".") {
		if token == "" || strings.ContainsAny(token, "*> \t\r\n\x00") {
			return fmt.Errorf("subject %q: want dot-separated words without '*', '>' and blanks: %w", subject, ErrInvalid)
		}
	}
	return nil
}
