// Package logtest is the one conformance suite of package events' interfaces: every implementation runs it.
//
// Nothing in it waits for time to pass: a test waits for what must happen, and a deadline only ends a test that failed.
package logtest

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
)

// Deadline ends a test that waits in vain.
const Deadline = 30 * time.Second

// Context is done when the test is over or hangs.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	t.Cleanup(cancel)
	return ctx
}

// Fact is an event that differs from others in its id alone.
func Fact(id string) events.Event {
	return events.Event{
		ID: id, Type: node.NotReadyV1{}.WireType(), Source: "/rutter/logtest", Time: time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC),
		Correlation: "corr-" + id, Causation: "cause-" + id, Actor: "user:ada", Data: node.NotReadyV1{Message: "because of " + id},
	}
}

// Facts are events with ids made of prefix and a number from 0.
func Facts(prefix string, n int) []events.Event {
	all := make([]events.Event, n)
	for i := range all {
		all[i] = Fact(fmt.Sprintf("%s-%d", prefix, i))
	}
	return all
}

// About is a fact that may stand under the subject, whatever that is about.
func About(subject events.Subject, id string) events.Event {
	e := Fact(id)
	if a := subject.Aggregate(); a != events.AggregateNode {
		e.Data = events.Unknown{Type: "run.rutter." + string(a) + ".tested.v1", Raw: json.RawMessage("{}")}
		e.Type = e.Data.WireType()
	}
	return e
}

// One is a batch of one event.
func One(subject events.Subject, expect uint64, id string) events.Batch {
	return events.Batch{{Subject: subject, Expect: expect, Events: []events.Event{About(subject, id)}}}
}

// Assigned is an event with a payload of some size.
func Assigned(id, nodeName string) events.Event {
	return events.Event{
		ID: id, Type: ledger.AssignedV2{}.WireType(), Source: "/rutter/scheduler",
		Data: ledger.AssignedV2{Instance: events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}, Generation: 1, Considered: 3, Fitted: 2,
			Scores: []ledger.Score{{Node: nodeName, Total: 7, Parts: map[string]int64{"binpack": 7}}}},
	}
}

// Register is a command to node-health.
func Register(id, name string) events.Command {
	return events.Command{
		ID: id, Type: node.RegisterV1{}.WireType(), Subject: events.NodeCommand(name), Actor: "node:" + name, Reason: "it is there – “at last”",
		Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Correlation: id, Data: node.RegisterV1{Incarnation: "i-" + id, Key: "k"},
	}
}
