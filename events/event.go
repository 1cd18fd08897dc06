// Package events is the contract of Rutter: what can be said, where it is kept and how it is asked for.
//
// An [Event] is a fact in the past tense, kept for ever under the subject of one aggregate. A [Command] is an intent that waits
// for a decision. [Log], [Commands] and [Leases] are the whole of what services, gateway and agents know of each other; the
// packages jetstream and memlog implement them, logtest holds both to one behaviour. The payloads live in a package an
// aggregate (workload, instance, ledger, unplaced, node, report, command); package catalog knows them all.
package events

import (
	"time"
)

// Event is one fact. Its attributes follow CloudEvents 1.0; on the wire each is a header of its own (NATS protocol binding,
// binary content mode).
type Event struct {
	ID          string    // unique for ever; derived from its cause, see [DeriveID]
	Type        string    // such as run.rutter.workload.applied.v1
	Source      string    // who says it, such as /rutter/reconciler
	Subject     Subject   // the aggregate it belongs to, which is its NATS subject
	Time        time.Time // when it was decided, by the writer's clock
	Correlation string    // id of the command or fact at the head of the chain
	Causation   string    // id of the event or command that directly caused it
	Actor       string    // who asked for it first, such as user:ada, token:ci or service:reconciler
	TraceParent string    // W3C trace context, may be empty

	Data Payload

	// Sequence is set by the log and zero before: the event's place in the whole log.
	Sequence uint64
	// Recorded is when the log stored it.
	Recorded time.Time
}

// Payload is what an event or a command says beyond its envelope: one versioned Go type a wire type.
type Payload interface {
	// WireType is the versioned type, such as run.rutter.workload.applied.v1. It never changes; a change is a new version.
	WireType() string
	// Line renders it in one line for people, without the subject.
	Line() string
}

// Line renders the whole event in one line: subject without its prefix, then what it says.
func Line(e Event) string {
	if e.Data == nil {
		return e.Subject.Name() + " " + e.Type
	}
	return e.Subject.Name() + " " + e.Data.Line()
}
