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
		s.strategy = rapid.SampledFrom([]*spec.Strategy{
			nil, {MaxUnavailable: "1"}, {MaxUnavailable: "2"}, {MaxUnavailable: "50%"}, {MaxSurge: "1"}, {MaxSurge: "50%", MaxUnavailable: "25%"},
			{Type: spec.Canary, Canary: "40%", MaxSurge: "1"}, {Type: spec.Canary, MaxUnavailable: "2", ProgressDeadline: spec.Duration(2 * time.Minute)},
			{Type: spec.Recreate}, {MaxSurge: "2", ProgressDeadline: spec.Duration(time.Minute)},
			{MaxUnavailable: "1", ProgressDeadline: spec.Duration(time.Minute), OnFailure: spec.FailurePause},
		}).Draw(t, "strategy")
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
				checkRollOut(t, s, view, plan.Batch)
				checkSlots(t, s)
				checkSurge(t, s, view)
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
func checkSlots(t *rapid.T, s *theatre) {
	view := s.View()
	for slot, names := range live(view) {
		if len(names) == 1 {
			continue
		}
		h, _ := view.Slot("default", "web", slot)
		newest, _ := view.Instance(events.InstanceKey{Namespace: "default", Workload: "web", Name: h.Instance})
		for _, name := range names {
			i, _ := view.Instance(events.InstanceKey{Namespace: "default", Workload: "web", Name: name})
			n, _ := view.Node(i.Node)
			if len(names) > 2 || !slices.Contains(names, newest.Key.Name) || (i != newest && !i.NodeLost && newest.Cause != instance.CauseDrained && newest.Cause != instance.CauseFailed && newest.Cause != instance.CauseRolledOut && newest.Cause != instance.CauseNodeLost && (n == nil || n.Drain == nil)) {
				t.Fatalf("slot %d is held by %v\n%s", slot, names, lines(s.Events))
			}
		}
	}
}

// changing counts the slots whose instance has stopped for a roll-out and is to be followed: of those that no instance is wished for in, as many as
// are missing, the last that stopped first. The others were given up since.
func changing(view *projections.Cluster, replicas int) (count int) {
	var stopped []*projections.Instance
	held := 0
	for slot := range view.Slots("default", "web") {
		i, ok := view.Instance(events.InstanceKey{Namespace: "default", Workload: "web", Name: slot.Instance})
		switch {
		case !ok:
		case i.Wished() || len(live(view)[slot.Number]) > 0:
			held++
		case i.Stop != nil && i.Stop.Cause != instance.CauseScaled && i.Stop.Cause != instance.CauseApplied && i.Stop.Cause != instance.CauseDeleted:
			stopped = append(stopped, i)
		}
	}
	slices.SortFunc(stopped, func(a, b *projections.Instance) int { return int(b.Stop.Mark.Sequence) - int(a.Stop.Mark.Sequence) })
	for _, i := range stopped[:min(len(stopped), max(0, replicas-held))] {
		if i.Stop.Cause == instance.CauseRolledOut {
			count++
		}
	}
	return count
}

// checkSurge: no plan adds a second instance to a slot for the sake of a roll-out beyond those that there may be too many, nor lets more
// slots try a canary than it has, nor starts a new one beside an old one where all are to be recreated.
func checkSurge(t *rapid.T, s *theatre, before *projections.Cluster) {
	view := s.View()
	w, ok := view.Workload("default", "web")
	if !ok || w.Document.Spec.Strategy == nil {
		return
	}
	count := func(view *projections.Cluster) (pairs, trying, touched int) {
		for slot := range view.Slots("default", "web") {
			i, ok := view.Instance(events.InstanceKey{Namespace: "default", Workload: "web", Name: slot.Instance})
			switch names := live(view)[slot.Number]; {
			case !ok:
			case len(names) > 1 && i.Cause == instance.CauseRolledOut:
				pairs++
				if i.Revision == w.Revision { // one of a revision that was given up stops as soon as a batch has room for it
					trying++
				}
			case i.Wished() && i.Revision == w.Revision:
				trying++
			}
			if ok && (i.Revision == w.Revision || i.Stop != nil && i.Stop.Cause == instance.CauseRolledOut) {
				touched++
			}
		}
		trying += changing(view, w.Replicas())
		return pairs, trying, touched
	}
	pairs, trying, touched := count(view)
	was, tried, touchedBefore := count(before)
	st := w.Document.Spec.Strategy
	if most := st.MaxSurge.Of(w.Replicas(), true); pairs > was && pairs > most {
		t.Fatalf("%d slots have two instances, and %d may\n%s", pairs, most, lines(s.Events))
	}
	r := w.InRollout()
	if most := max(1, st.Canary.Of(w.Replicas(), true)); st.Type == spec.Canary && r != nil && !r.Promoted && r.Revision > r.From && w.Revision != w.Good && trying > tried && trying > most {
		t.Fatalf("%d slots try revision %d, and %d may\n%s", trying, w.Revision, most, lines(s.Events))
	}
	if r != nil && r.Paused && touched > touchedBefore {
		if old, _ := before.Workload("default", "web"); old.InRollout() != nil && old.InRollout().Paused {
			if _, remembered := w.Remembered(r.From); remembered {
				t.Fatalf("a paused roll-out goes on\n%s", lines(s.Events))
			}
		}
	}
}

// checkRollOut: when a batch stops instances for the sake of a roll-out, then no more slots are on the way to the new revision than may be
// missing, and when one of them was ready, then enough are left that are.
func checkRollOut(t *rapid.T, s *theatre, before *projections.Cluster, batch events.Batch) {
	after := s.View()
	touched, wasReady := 0, false
	for _, w := range batch {
		for _, e := range w.Events {
			stop, ok := e.Data.(instance.StopRequestedV1)
			if !ok || stop.Cause != instance.CauseRolledOut {
				continue
			}
			was, known := before.Instance(e.Subject.Instance())
			i, remembered := after.Instance(e.Subject.Instance())
			if !remembered {
				continue // it is gone with its workload
			}
			if slot, _ := after.Slot("default", "web", i.Slot); slot.Instance != i.Key.Name || len(live(after)[i.Slot]) > 0 {
				continue // its successor is there, or it is one that is given up
			}
			touched++
			wasReady = wasReady || known && was.Phase == spec.PhaseReady
		}
	}
	if touched == 0 {
		return
	}
	w, _ := after.Workload("default", "web")
	unavailable := 1
	if st := w.Document.Spec.Strategy; st != nil {
		if unavailable = st.MaxUnavailable.Of(w.Replicas(), false); st.Type == spec.Recreate {
			unavailable = w.Replicas()
		} else if unavailable+st.MaxSurge.Of(w.Replicas(), true) == 0 {
			unavailable = 1
		}
	}
	onTheWay, available := changing(after, w.Replicas()), 0
	for slot := range after.Slots("default", "web") {
		i, ok := after.Instance(events.InstanceKey{Namespace: "default", Workload: "web", Name: slot.Instance})
		switch {
		case !ok:
		case i.Wished() && i.Phase == spec.PhaseReady, slices.ContainsFunc(live(after)[slot.Number], func(name string) bool {
			other, _ := after.Instance(events.InstanceKey{Namespace: "default", Workload: "web", Name: name})
			return other.Phase == spec.PhaseReady
		}):
			available++
		case i.Wished() && i.Revision == w.Revision && len(live(after)[slot.Number]) < 2:
			onTheWay++
		}
	}
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
	choice := rapid.IntRange(0, 12).Draw(t, "happening")
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
		s.command(workload.ApplyV1{Workload: projectionstest.Document("web", rapid.IntRange(0, 5).Draw(t, "replicas"),
			projectionstest.Tag(rapid.SampledFrom([]string{"v1", "v2", "v3"}).Draw(t, "tag")), func(w *spec.Workload) {
				if s.strategy != nil {
					own := *s.strategy
					w.Spec.Strategy = &own
				}
			})})
	case 12:
		s.command(workload.RolloutV1{Action: rapid.SampledFrom(workload.RolloutActions).Draw(t, "action"), Revision: rapid.IntRange(0, 3).Draw(t, "revision")})
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
