package reconciler_test

import (
	"fmt"
	"slices"
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
				checkRollOut(t, s, view, plan.Batch, 1)
				checkSlots(t, s.View())
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
			if w, ok := s.View().Workload("default", "web"); len(live(s.View())) > 0 && (!ok || len(live(s.View())) > w.Replicas()) {
				t.Fatalf("%d slots are held, which is more than wished for", len(live(s.View())))
			}
		}
	})
}

// checkSlots: a slot is held by one instance, or by one and the successor that is to take its place once it is ready.
func checkSlots(t *rapid.T, view *projections.Cluster) {
	for slot, names := range live(view) {
		if len(names) == 1 {
			continue
		}
		s, _ := view.Slot("default", "web", slot)
		newest, _ := view.Instance(events.InstanceKey{Namespace: "default", Workload: "web", Name: s.Instance})
		for _, name := range names {
			i, _ := view.Instance(events.InstanceKey{Namespace: "default", Workload: "web", Name: name})
			n, _ := view.Node(i.Node)
			if len(names) > 2 || !slices.Contains(names, newest.Key.Name) || (i != newest && !i.NodeLost && newest.Cause != instance.CauseDrained && newest.Cause != instance.CauseFailed && n.Drain == nil) {
				t.Fatalf("slot %d is held by %v", slot, names)
			}
		}
	}
}

// checkRollOut: when a batch stops instances for the sake of a roll-out, then no more slots are on the way to the new revision than may be
// missing, and when one of them was ready, then enough are left that are.
func checkRollOut(t *rapid.T, s *theatre, before *projections.Cluster, batch events.Batch, unavailable int) {
	after := s.View()
	touched, wasReady := 0, false
	for _, w := range batch {
		for _, e := range w.Events {
			stop, ok := e.Data.(instance.StopRequestedV1)
			if !ok || stop.Cause != instance.CauseRolledOut {
				continue
			}
			i, known := before.Instance(e.Subject.Instance())
			if slot, _ := after.Slot("default", "web", i.Slot); slot.Instance != i.Key.Name {
				continue // its successor is there, or it is one that is given up
			}
			touched++
			wasReady = wasReady || known && i.Phase == spec.PhaseReady
		}
	}
	if touched == 0 {
		return
	}
	w, _ := after.Workload("default", "web")
	onTheWay, available, held, stopping := 0, 0, 0, 0
	for slot := range after.Slots("default", "web") {
		i, ok := after.Instance(events.InstanceKey{Namespace: "default", Workload: "web", Name: slot.Instance})
		if ok && i.Wished() {
			held++
		}
		switch {
		case !ok:
		case i.Wished() && i.Phase == spec.PhaseReady:
			available++
		case i.Wished() && i.Revision == w.Revision && len(live(after)[slot.Number]) < 2:
			onTheWay++
		case i.Stop != nil && i.Stop.Cause == instance.CauseRolledOut:
			stopping++
		}
	}
	onTheWay += min(stopping, w.Replicas()-held) // the others were given up since
	if onTheWay > unavailable || (wasReady && available < w.Replicas()-unavailable) {
		t.Fatalf("%d slots are touched: %d are on the way, %d of %d are ready\n%s", touched, onTheWay, available, w.Replicas(), lines(s.Events))
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
		if i.Wished() && !i.Placed() && n.Health != projections.Left && !n.Cordoned {
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
			s.Say(nodeSubject, rapid.SampledFrom([]events.Payload{
				node.LostV1{}, node.LeftV1{}, node.DrainingV1{}, node.DrainingV1{Deadline: s.Now.Add(time.Minute)}, node.UncordonedV1{},
			}).Draw(t, "turn"))
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
