package logtest

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/report"
)

// Subject is a subject that no other test has and that the log takes events on.
func (f Fixture) Subject() events.Subject { return f.SubjectOf(Name("n")) }

// SubjectOf is the subject of a thing with the name.
func (f Fixture) SubjectOf(name string) events.Subject {
	if f.Node == "" {
		return events.NodeSubject(name)
	}
	return events.ReportSubject(f.Node, events.InstanceKey{Namespace: "default", Workload: "web", Name: name})
}

// Fact is an event that the log takes and that differs from others in its id alone.
func (f Fixture) Fact(id string) events.Event {
	if f.Node == "" {
		return Fact(id)
	}
	return Report(f.Node, id)
}

// Facts are events with ids made of prefix and a number from 0.
func (f Fixture) Facts(prefix string, n int) []events.Event {
	all := make([]events.Event, n)
	for i := range all {
		all[i] = f.Fact(fmt.Sprintf("%s-%d", prefix, i))
	}
	return all
}

// One is a batch of one event.
func (f Fixture) One(subject events.Subject, expect uint64, id string) events.Batch {
	return events.Batch{{Subject: subject, Expect: expect, Events: []events.Event{f.Fact(id)}}}
}

// Report is an event that a node's agent may say, with an id of the node's made of id.
func Report(node, id string) events.Event {
	e := Fact(id)
	e.Data = report.UnhealthyV1{Container: "main", Run: 1, Message: "because of " + id}
	e.ID, e.Type, e.Source, e.Actor = events.NodeID(node, id), e.Data.WireType(), events.NodeSource(node), events.NodeActor(node)
	return e
}

// Reports is a batch of one report.
func Reports(node string, subject events.Subject, expect uint64, ids ...string) events.Batch {
	w := events.Write{Subject: subject, Expect: expect}
	for _, id := range ids {
		w.Events = append(w.Events, Report(node, id))
	}
	return events.Batch{w}
}

// Note is an event of a type that may stand under the subject, whatever its aggregate.
func Note(subject events.Subject, id string) events.Event {
	e := Fact(id)
	e.Type = events.TypePrefix + string(subject.Aggregate()) + ".noted.v1"
	e.Data = events.Unknown{Type: e.Type, Raw: []byte("{}")}
	return e
}

// OneNote is a batch of one note.
func OneNote(subject events.Subject, expect uint64, id string) events.Batch {
	return events.Batch{{Subject: subject, Expect: expect, Events: []events.Event{Note(subject, id)}}}
}
