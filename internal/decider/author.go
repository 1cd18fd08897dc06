package decider

import (
	"cmp"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
)

// Author writes the events of one service at one moment.
type Author struct {
	Service string
	Now     time.Time
}

// Say makes an event that mark directly caused: its id is derived from the cause, and it inherits the chain that the cause
// belongs to. kind tells apart what one cause can bring about on one subject.
func (a Author) Say(cause projections.Mark, subject events.Subject, kind int, data events.Payload) events.Event {
	return events.Event{
		ID: events.DeriveID(cause.ID, subject, kind), Type: data.WireType(), Source: "/rutter/" + a.Service, Subject: subject,
		Time: a.Now, Correlation: cmp.Or(cause.Correlation, cause.ID), Causation: cause.ID,
		Actor: cmp.Or(cause.Actor, a.actor()), TraceParent: cause.TraceParent, Data: data,
	}
}

// Begin makes an event that nobody asked for and no event brought about: it is the head of a chain of its own. after is the
// event before it in the history of its subject.
func (a Author) Begin(after projections.Mark, subject events.Subject, kind int, data events.Payload) events.Event {
	e := a.Say(projections.Mark{ID: after.ID}, subject, kind, data)
	e.Correlation = e.ID
	return e
}

func (a Author) actor() string { return "service:" + a.Service }

// Caused is the mark of a command, for the events that carry it out: they name its outcome, which stands for it in the log.
func Caused(c events.Command) projections.Mark {
	return projections.Mark{ID: events.OutcomeID(c.ID), Correlation: cmp.Or(c.Correlation, c.ID), Actor: c.Actor, TraceParent: c.TraceParent, Time: c.Time}
}

// MarkOf is the mark of an event that is about to be committed, for what follows from it in the same batch.
func MarkOf(e events.Event) projections.Mark {
	return projections.Mark{ID: e.ID, Correlation: e.Correlation, Actor: e.Actor, TraceParent: e.TraceParent, Time: e.Time}
}
