package reconciler_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/reconciler"
	"pgregory.net/rapid"
)

// TestASlotHasAtMostOneInstanceAndARollOutTouchesOneAtATime plays any order of commands, placements, reports, losses and returns,
// with plans cut short at any length.
func TestASlotHasAtMostOneInstanceAndARollOutTouchesOneAtATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &theatre{Story: projectionstest.New()}
		for _, n := range []string{"n1", "n2"} {
			s.Node(n, large, nil)
		}
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			s.happen(t)
			limit := rapid.SampledFrom([]int{2, 3, 5, events.MaxBatch}).Draw(t, "limit")
			for {
				view := s.View()
				plan := reconciler.Plan(decider.Turn{View: view, Now: s.Now, Limit: limit})
				if plan.Batch.Len() > limit {
					t.Fatalf("a batch of %d events, limit %d", plan.Batch.Len(), limit)
				}
				if err := s.Commit(plan.Batch); err != nil {
					t.Fatal(err)
				}
				checkRollOut(t, view, plan.Batch)
				for slot, names := range live(s.View()) {
					if len(names) > 1 {
						t.Fatalf("slot %d is held by %v", slot, names)
					}
				}
				if !plan.More {
					break
				}
				if len(plan.Batch) == 0 {
					t.Fatal("a plan that was cut short is empty: it would be made for ever")
				}
			}
			if again := reconciler.Reconcile(s.View(), s.Now); len(again.Batch) > 0 {
				t.Fatalf("right after a plan was applied the next is %s", events.Line(again.Batch[0].Events[0]))
			}
			w, ok := s.View().Workload("default", "web")
			for slot := range live(s.View()) {
				if !ok || slot >= w.Replicas() {
					t.Fatalf("slot %d is held and not wished for", slot)
				}
			}
		}
	})
}

// checkRollOut: a batch stops at most one instance for the sake of a roll-out, and only while every slot that has the new revision is ready.
func checkRollOut(t *rapid.T, before *projections.Cluster, batch events.Batch) {
	touched := 0
	for _, w := range batch {
		for _, e := range w.Events {
			if stop, ok := e.Data.(instance.StopRequestedV1); ok && stop.Cause == instance.CauseRolledOut {
				touched++
			}
		}
	}
	if touched == 0 {
		return
	}
	w, _ := before.Workload("default", "web")
	for slot := range w.Replicas() {
		s, _ := before.Slot("default", "web", slot)
		i, ok := before.Instance(events.InstanceKey{Namespace: "default", Workload: "web", Name: s.Instance})
		if !ok || touched > 1 || (i.Revision == w.Revision && i.Phase != spec.PhaseReady) {
			t.Fatalf("%d slots are touched while slot %d has %s, which is %s", touched, slot, s.Instance, i.Phase)
		}
	}
}

// happen lets one thing happen that is not the reconciler's.
func (s *theatre) happen(t *rapid.T) {
	var some []*projections.Instance
	for i := range s.View().Instances() {
		if !i.Retired {
			some = append(some, i)
		}
	}
	choice := rapid.IntRange(0, 11).Draw(t, "happening")
	if choice >= 4 && choice <= 9 && len(some) == 0 {
		choice = 0
	}
	nodeSubject := events.NodeSubject(rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "node"))
	n, _ := s.View().Node(nodeSubject.Node())
	var i *projections.Instance
	if len(some) > 0 {
		i = rapid.SampledFrom(some).Draw(t, "instance")
	}
	alive := i != nil && i.Placed() && i.End == nil && !i.NodeLost
	switch choice {
	case 0, 1:
		s.command(workload.ApplyV1{Workload: projectionstest.Document("web", rapid.IntRange(0, 5).Draw(t, "replicas"), projectionstest.Tag(rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "tag")))})
	case 2:
		s.command(workload.ScaleV1{Replicas: rapid.IntRange(0, 5).Draw(t, "replicas")})
	case 3:
		if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
			s.command(workload.DeleteV1{})
		}
	case 4, 5:
		if i.Wished() && !i.Placed() && n.Health != projections.Left {
			s.Place(i.Key, n.Name)
		}
	case 6:
		if alive {
			s.Ready(i.Key)
		}
	case 7:
		if alive {
			s.Stopped(i.Key, rapid.SampledFrom([]report.Outcome{report.OutcomeFailed, report.OutcomeSucceeded, report.OutcomeCutOff}).Draw(t, "outcome"))
		}
	case 8, 9:
		if i.Placed() && !i.Revoked && (i.Stop != nil || i.End != nil) {
			s.Revoke(i.Key)
		}
		if i.Stop != nil && alive {
			s.Stopped(i.Key, report.OutcomeRevoked)
		}
	case 10:
		switch n.Health {
		case projections.Healthy:
			s.Say(nodeSubject, rapid.SampledFrom([]events.Payload{node.LostV1{}, node.LeftV1{}}).Draw(t, "gone"))
		case projections.Lost:
			s.Say(nodeSubject, node.ReturnedV1{WasLost: true})
		default:
			s.Node(n.Name, large, nil)
		}
	default:
		s.Pass(rapid.SampledFrom([]time.Duration{time.Second, time.Minute, 10 * time.Minute}).Draw(t, "pass"))
	}
}

// command has the reconciler decide on a command alone; what follows from it is planned by the caller.
func (s *theatre) command(data events.Payload) {
	s.commands++
	c := events.Command{ID: fmt.Sprintf("cmd-%d", s.commands), Subject: events.WorkloadCommand("default", "web"), Actor: "user:ada", Time: s.Now, Data: data}
	d := reconciler.Decide(s.View(), c, s.Now)
	draft := decider.NewDraft(s.View(), events.MaxBatch)
	draft.Add(d.Events...)
	if err := s.Commit(draft.Batch()); err != nil {
		panic(err)
	}
}
