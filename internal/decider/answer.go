package decider

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/projections"
)

// Pending is a command that waits for its outcome.
type Pending struct {
	Command events.Command
	Attempt int
	// Refused is why the log would not take what the command leads to; empty: it was not refused.
	Refused string
}

// Decision is what a service makes of a command: the events that carry it out, or a code and a message that turn it down.
// No events and no code: there is nothing to change.
type Decision struct {
	Events  []events.Event
	Code    command.Code
	Message string
}

// Accept carries a command out.
func Accept(more ...events.Event) Decision { return Decision{Events: more} }

// Reject turns a command down.
func Reject(code command.Code, format string, args ...any) Decision {
	return Decision{Code: code, Message: fmt.Sprintf(format, args...)}
}

// answerRoom is what one command takes of a batch at most: an event of its own and its outcome.
const answerRoom = 2

// Answer decides on commands in order, each on the state that the ones before it lead to, and adds the events of each with
// its outcome. A command that has an outcome already changes nothing: it was delivered again. It reports whether room was left
// for all.
func Answer(d *Draft, a Author, commands []Pending, decide func(*projections.Cluster, events.Command) Decision) bool {
	for _, p := range commands {
		if _, decided := d.View().Outcome(p.Command.ID); decided {
			continue
		}
		if d.Room() < answerRoom {
			return false
		}
		bounded, fault := p.Command.Bounded()
		p.Command = bounded
		record := command.RecordOf(p.Command)
		d.Add(outcome(a, p, record, judge(d.View(), p, len(record.Data), fault, decide))...)
	}
	return true
}

// judge turns down what no service can decide on, and asks the service about the rest.
func judge(view *projections.Cluster, p Pending, size int, fault error, decide func(*projections.Cluster, events.Command) Decision) Decision {
	switch {
	case fault != nil:
		return Reject(command.CodeInvalid, "%s", fault)
	case size > events.MaxCommand:
		return Reject(command.CodeInvalid, "the command's data are %d bytes, at most %d", size, events.MaxCommand)
	}
	switch data := p.Command.Data.(type) {
	case nil:
		return Reject(command.CodeInvalid, "command %s carries no data", p.Command.Type)
	case events.Unknown:
		return Reject(command.CodeInvalid, "command type %q is not known to this version", data.Type)
	case events.Malformed:
		return Reject(command.CodeInvalid, "data of command type %q cannot be read: %s", data.Type, data.Problem)
	}
	switch {
	case p.Refused != "":
		return Reject(command.CodeInvalid, "the log does not take what the command leads to: %s", p.Refused)
	case p.Attempt > events.MaxDeliveries:
		return Reject(command.CodeDeadLetter, "no outcome after %d deliveries", events.MaxDeliveries)
	}
	return decide(view, p.Command)
}

// maxRefused is how much of a command that the log refused is kept: that may be what is too large.
const maxRefused = 4 << 10

// outcome is the decision as events, the outcome last. Its id is the command's, so that a second one collides with it and
// so that whoever asks for the cause of the others finds it: it stands for the command, the root that nothing caused.
func outcome(a Author, p Pending, record command.Record, d Decision) []events.Event {
	if size := len(record.Data); size > events.MaxCommand || p.Refused != "" && size > maxRefused {
		record = record.Abridged()
	}
	var answer events.Payload
	if d.Code != "" {
		answer = command.RejectedV1{Command: record, Code: d.Code, Message: d.Message}
		d.Events = nil
	} else {
		accepted := command.AcceptedV1{Command: record}
		for _, e := range d.Events {
			accepted.Events = append(accepted.Events, e.ID)
		}
		answer = accepted
	}
	e := a.Say(Caused(p.Command), events.CommandSubject(a.Service), 0, answer)
	e.ID, e.Causation = events.OutcomeID(p.Command.ID), ""
	return append(d.Events[:len(d.Events):len(d.Events)], e)
}
