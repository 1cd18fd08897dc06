// Package projectionstest tells clusters for tests: a [Story] is a log without a server, on which the test plays every part that
// is not under test.
package projectionstest

import (
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// Start is when every story begins.
var Start = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// Story is a history and the state that it leads to.
type Story struct {
	Now    time.Time
	Events []events.Event

	state *projections.State
	heads map[events.Subject]uint64
}

// New begins a story.
func New() *Story {
	return &Story{Now: Start, state: projections.NewState(), heads: map[events.Subject]uint64{}}
}

// View is the state now.
func (s *Story) View() *projections.Cluster { return s.state.View() }

// Pass lets time go by.
func (s *Story) Pass(d time.Duration) *Story {
	s.Now = s.Now.Add(d)
	return s
}

// Say lets something happen, whoever would have said it.
func (s *Story) Say(subject events.Subject, data events.Payload) events.Event {
	id := fmt.Sprintf("e%d", len(s.Events)+1)
	return s.add(events.Event{
		ID: id, Type: data.WireType(), Source: "/rutter/test", Subject: subject, Time: s.Now, Correlation: id, Actor: "user:test", Data: data,
	})
}

func (s *Story) add(e events.Event) events.Event {
	e.Sequence, e.Recorded = uint64(len(s.Events)+1), s.Now
	s.Events = append(s.Events, e)
	s.heads[e.Subject] = e.Sequence
	s.state.Apply(e)
	return e
}

// Commit appends a batch as a log would: whole, or not at all where an expectation fails or an id is not new.
func (s *Story) Commit(batch events.Batch) error {
	if len(batch) == 0 {
		return nil
	}
	prepared, err := batch.Prepared()
	if err != nil {
		return err
	}
	for _, w := range prepared {
		if head := s.heads[w.Subject]; head != w.Expect {
			return fmt.Errorf("%s is at %d, expected %d: %w", w.Subject, head, w.Expect, events.ErrConflict)
		}
		for _, e := range w.Events {
			for _, old := range s.Events {
				if old.ID == e.ID {
					return fmt.Errorf("id %s of %s is that of %s: %w", e.ID, events.Line(e), events.Line(old), events.ErrConflict)
				}
			}
		}
	}
	for _, w := range prepared {
		for _, e := range w.Events {
			s.add(e)
		}
	}
	return nil
}

// Node lets a node join and become ready.
func (s *Story) Node(name string, capacity spec.Resources, labels map[string]string) {
	s.Say(events.NodeSubject(name), node.JoinedV1{Incarnation: name + "-1", Key: "key-" + name, Capacity: capacity, Labels: labels})
	s.Say(events.NodeSubject(name), node.ReadyV1{})
}

// Place puts an instance on a node, as the scheduler would.
func (s *Story) Place(k events.InstanceKey, on string) {
	i, ok := s.View().Instance(k)
	if !ok {
		panic("there is no instance " + k.String())
	}
	n, _ := s.View().Node(on)
	s.Say(events.LedgerSubject(on), ledger.AssignedV2{Instance: k, Generation: n.Generation + 1, Spec: i.Spec})
}

// Revoke takes an instance off its node, as the scheduler would.
func (s *Story) Revoke(k events.InstanceKey) {
	i, _ := s.View().Instance(k)
	s.Say(events.LedgerSubject(i.Node), ledger.RevokedV2{Instance: k, Generation: i.Generation, Cause: instance.CauseByHand})
}

// Report lets the agent of the instance's node say something of it.
func (s *Story) Report(k events.InstanceKey, data events.Payload) {
	i, _ := s.View().Instance(k)
	s.Say(events.ReportSubject(i.Node, k), data)
}

// Ready lets every container of an instance start.
func (s *Story) Ready(k events.InstanceKey) {
	i, _ := s.View().Instance(k)
	for _, c := range i.Spec.Containers {
		s.Report(k, report.StartedV1{Container: c.Name, Run: 1, At: s.Now})
	}
}

// Stopped lets the agent say that nothing of an instance is left.
func (s *Story) Stopped(k events.InstanceKey, outcome report.Outcome) {
	s.Report(k, report.StoppedV1{Outcome: outcome})
}

// Key names an instance of a workload in the default namespace.
func Key(workload string, slot, attempt int) events.InstanceKey {
	return events.InstanceKey{Namespace: spec.DefaultNamespace, Workload: workload, Name: events.InstanceName(workload, slot, attempt)}
}

// Document is a valid workload in the default namespace; alter may change it before its defaults are filled in.
func Document(name string, replicas int, alter ...func(*spec.Workload)) spec.Workload {
	w := spec.Workload{
		APIVersion: spec.APIVersion, Kind: spec.KindWorkload, Metadata: spec.Metadata{Name: name},
		Spec: spec.WorkloadSpec{Replicas: &replicas, Containers: []spec.Container{{
			Name: "main", Image: spec.ImageRef{Registry: "docker.io", Repository: "library/" + name, Tag: "v1"},
			Resources: spec.Requirements{Requests: spec.Resources{CPU: 100, Memory: 64 << 20}},
		}}},
	}
	for _, a := range alter {
		a(&w)
	}
	w.Default()
	return w
}

// Tag gives a document's first container another image tag.
func Tag(tag string) func(*spec.Workload) {
	return func(w *spec.Workload) { w.Spec.Containers[0].Image.Tag = tag }
}
