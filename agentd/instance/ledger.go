// Package instance decides what an agent does next: which instances its ledger wishes for, and for each of them the one next step
// from what is observed to what is wished. It is pure: no clock, no context, no logger; now is an argument.
package instance

import (
	"maps"
	"slices"

	"github.com/rutter-run/rutter/events"
	ins "github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/spec"
)

// Assignment is one instance that the ledger holds.
type Assignment struct {
	Key        events.InstanceKey `json:"key"`
	Generation uint64             `json:"generation"`
	Spec       spec.InstanceSpec  `json:"spec"`
	EventID    string             `json:"eventID"` // of the Assigned: the head of all that is reported of it
	Chain      Chain              `json:"chain"`   // what its reports inherit
	Revoked    *Revocation        `json:"revoked,omitempty"`
}

// Chain is what an event inherits from the one that caused it.
type Chain struct {
	Correlation string `json:"correlation,omitempty"`
	Actor       string `json:"actor,omitempty"`
	TraceParent string `json:"traceparent,omitempty"`
}

// Revocation takes an assignment back.
type Revocation struct {
	EventID string        `json:"eventID"`
	Cause   ins.Cause     `json:"cause"`
	Grace   spec.Duration `json:"grace"`
}

// Ledger is a node's wished state: the fold of its ledger subject.
type Ledger struct {
	Head        uint64                `json:"head"`       // last sequence folded in
	Generation  uint64                `json:"generation"` // the newest seen: an older one is refused
	Assignments map[string]Assignment `json:"assignments"`
	Stale       []Assignment          `json:"stale,omitempty"` // refused ones that are not answered yet
}

// NewLedger is the ledger before its first event.
func NewLedger() *Ledger { return &Ledger{Assignments: map[string]Assignment{}} }

// Apply folds one event of the ledger. An event at or before Head was folded before and changes nothing.
func (l *Ledger) Apply(e events.Event) {
	if e.Sequence <= l.Head {
		return
	}
	l.Head = e.Sequence
	switch data := e.Data.(type) {
	case ledger.AssignedV2:
		a := Assignment{
			Key: data.Instance, Generation: data.Generation, Spec: data.Spec, EventID: e.ID,
			Chain: Chain{Correlation: e.Correlation, Actor: e.Actor, TraceParent: e.TraceParent},
		}
		if data.Generation <= l.Generation {
			l.Stale = append(l.Stale, a)
			return
		}
		l.Generation = data.Generation
		l.Assignments[data.Instance.String()] = a
	case ledger.RevokedV2:
		a, ok := l.Assignments[data.Instance.String()]
		if ok && a.Generation == data.Generation && a.Revoked == nil {
			a.Revoked = &Revocation{EventID: e.ID, Cause: data.Cause, Grace: data.Grace}
			l.Assignments[data.Instance.String()] = a
		}
	}
}

// Forget drops an assignment of which nothing is left, once that is reported.
func (l *Ledger) Forget(k events.InstanceKey, generation uint64) {
	if a, ok := l.Assignments[k.String()]; ok && a.Generation == generation {
		delete(l.Assignments, k.String())
	}
}

// Keys lists the instances in a fixed order.
func (l *Ledger) Keys() []string { return slices.Sorted(maps.Keys(l.Assignments)) }
