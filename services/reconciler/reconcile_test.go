package reconciler_test

import (
	"slices"
	"strings"
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
)

var (
	large = spec.Resources{CPU: 64000, Memory: 64 << 30}
	key   = func(slot, attempt int) events.InstanceKey { return projectionstest.Key("web", slot, attempt) }
)

// running is a workload of so many ready instances on n1, n2, n1 …
func running(t *testing.T, replicas int, alter ...func(*spec.Workload)) *theatre {
	s := open(t)
	for _, n := range []string{"n1", "n2", "n3"} {
		s.Node(n, large, nil)
	}
	s.apply(replicas, alter...)
	for slot := range replicas {
		s.Place(key(slot, 1), []string{"n1", "n2"}[slot%2])
		s.Ready(key(slot, 1))
	}
	return s
}

// stopped plays scheduler and agent for an instance that is to stop.
func (s *theatre) stopped(k events.InstanceKey) {
	s.Revoke(k)
	s.Stopped(k, report.OutcomeRevoked)
}

func (s *theatre) up(k events.InstanceKey, on string) {
	s.Place(k, on)
	s.Ready(k)
}

// expect plans and holds what was planned against lines that each has to contain in turn, and then that a second plan is empty.
func (s *theatre) expect(want ...string) []events.Event {
	s.t.Helper()
	all := slices.DeleteFunc(s.plan(), progress)
	ok := len(all) == len(want)
	for n := range min(len(all), len(want)) {
		ok = ok && strings.Contains(events.Line(all[n]), want[n])
	}
	if !ok {
		s.t.Fatalf("planned\n%swant\n%s", lines(all), strings.Join(want, "\n"))
	}
	if again := reconciler.Reconcile(s.View(), s.Now); len(again.Batch) > 0 {
		s.t.Fatalf("planning again plans %s", events.Line(again.Batch[0].Events[0]))
	}
	return all
}

// progress is what is told of a roll-out by the way.
func progress(e events.Event) bool {
	switch e.Data.(type) {
	case workload.RolloutStartedV1, workload.RolloutAdvancedV1, workload.RolloutCompletedV1:
		return true
	}
	return false
}

func TestACommandAndItsConsequencesAreOneBatch(t *testing.T) {
	s := open(t)
	c := events.Command{
		ID: "key-1", Subject: events.WorkloadCommand("default", "web"), Actor: "user:ada", Correlation: "request-7", TraceParent: "00-1-2-01",
		Time: s.Now, Data: workload.ApplyV1{Workload: projectionstest.Document("web", 3)},
	}
	plan := reconciler.Plan(decider.Turn{View: s.View(), Commands: []decider.Pending{{Command: c, Attempt: 1}}, Now: s.Now, Limit: events.MaxBatch})
	if plan.Batch.Len() != 5 || plan.More {
		t.Fatalf("%d events in the batch, want Applied, Accepted and three Requested", plan.Batch.Len())
	}
	applied := plan.Batch[0].Events[0]
	for _, w := range plan.Batch {
		for _, e := range w.Events {
			cause := applied.ID
			switch e.Subject.Aggregate() {
			case events.AggregateWorkload:
				cause = events.OutcomeID(c.ID)
			case events.AggregateCommand: // stands for the command itself
				cause = ""
				if e.ID != events.OutcomeID(c.ID) {
					t.Errorf("the outcome's id is %q", e.ID)
				}
			}
			if e.Causation != cause || e.Correlation != "request-7" || e.Actor != "user:ada" || e.TraceParent != "00-1-2-01" || !e.Time.Equal(s.Now) {
				t.Errorf("%s: caused by %q, want %q; correlation %q, actor %q, trace %q", events.Line(e), e.Causation, cause, e.Correlation, e.Actor, e.TraceParent)
			}
		}
	}
	if err := s.Commit(plan.Batch); err != nil {
		t.Fatal(err)
	}
	s.expect()
}

func TestALargeWorkloadComesInSeveralBatches(t *testing.T) {
	s := open(t)
	s.apply(2500)
	for slot := range 2500 {
		if i, ok := s.View().Instance(key(slot, 1)); !ok || !i.Wished() {
			t.Fatalf("slot %d was forgotten between two batches", slot)
		}
	}
	s.expect()
}

func TestScalingDownTakesTheYoungestOfTheFullestNodes(t *testing.T) {
	s := running(t, 4)
	s.ask(workload.ScaleV1{Replicas: 2})
	for slot := range 4 {
		i, _ := s.View().Instance(key(slot, 1))
		if i.Wished() != (slot < 2) {
			t.Errorf("slot %d is wished for: %v", slot, i.Wished())
		}
		if slot >= 2 && (i.Stop.Cause != instance.CauseScaled || !strings.Contains(i.Stop.Message, "more than the 2 wished for, and its node has most of them")) {
			t.Errorf("slot %d stops for %s: %q", slot, i.Stop.Cause, i.Stop.Message)
		}
	}
	s.stopped(key(3, 1))
	s.expect("web-3-1 retired: Succeeded")
	// Up again: a slot whose instance still stops waits for it.
	s.ask(workload.ScaleV1{Replicas: 4})
	if i, ok := s.View().Instance(key(3, 2)); !ok || i.Cause != instance.CauseScaled {
		t.Error("slot 3 is free and was not filled")
	}
	if _, ok := s.View().Instance(key(2, 2)); ok {
		t.Error("slot 2 was filled while its instance still stopped")
	}
	s.stopped(key(2, 1))
	s.expect("web-2-1 retired", "web-2-2 requested: slot 2, attempt 2, revision 1 (Scaled)")
}

func TestWhatNeverHadANodeIsGoneAtOnce(t *testing.T) {
	s := open(t)
	s.apply(2)
	s.ask(workload.ScaleV1{Replicas: 1})
	if i, _ := s.View().Instance(key(1, 1)); !i.Retired {
		t.Error("slot 1 waits for an agent that it never had")
	}
	s.ask(workload.DeleteV1{})
	if w, _ := s.View().Workload("default", "web"); !w.Deleted {
		t.Error("the workload waits for agents that it never had")
	}
}

func TestDeletingWaitsForTheLastInstance(t *testing.T) {
	s := running(t, 2)
	s.ask(workload.DeleteV1{})
	s.stopped(key(0, 1))
	s.expect("web-0-1 retired")
	s.Revoke(key(1, 1))
	s.expect() // not yet
	s.Stopped(key(1, 1), report.OutcomeRevoked)
	s.expect("web-1-1 retired", "workload/default/web deleted")
	s.apply(1)
	if i, ok := s.View().Instance(key(0, 2)); !ok || i.Revision != 2 || i.Replaces != "" {
		t.Errorf("after it was applied anew: %+v", i)
	}
}

func TestANewRevisionGoesSlotBySlot(t *testing.T) {
	s := running(t, 3)
	s.apply(3, projectionstest.Tag("v2"))
	if i, _ := s.View().Instance(key(0, 1)); i.Stop == nil || i.Stop.Cause != instance.CauseRolledOut {
		t.Fatal("slot 0 is not stopped for the new revision")
	}
	s.Revoke(key(0, 1))
	s.expect() // it still stops
	s.Stopped(key(0, 1), report.OutcomeRevoked)
	s.expect("web-0-1 retired", "web-0-2 requested: slot 0, attempt 2, revision 2 (RolledOut), replaces web-0-1")
	s.Place(key(0, 2), "n1")
	s.expect() // it is not ready yet
	s.Ready(key(0, 2))
	s.expect("web-1-1 stop requested: RolledOut")
	s.stopped(key(1, 1))
	s.expect("web-1-1 retired", "web-1-2 requested")
	s.Place(key(1, 2), "n2")
	s.Report(key(1, 2), report.StartedV1{Container: "main", Run: 1})
	s.Report(key(1, 2), report.UnhealthyV1{Container: "main", Run: 1, Message: "503"})
	s.expect() // a bad revision stops here
	s.Report(key(1, 2), report.HealthyV1{Container: "main", Run: 1})
	s.expect("web-2-1 stop requested: RolledOut")
	s.stopped(key(2, 1))
	s.expect("web-2-1 retired", "web-2-2 requested")
	s.up(key(2, 2), "n1")
	s.expect()
}

func TestARollOutBeginsWithWhatIsNotReady(t *testing.T) {
	s := running(t, 3)
	s.Report(key(2, 1), report.UnhealthyV1{Container: "main", Run: 1, Message: "503"})
	s.apply(3, projectionstest.Tag("v2"))
	for slot := range 3 {
		if i, _ := s.View().Instance(key(slot, 1)); (i.Stop != nil) != (slot == 2) {
			t.Errorf("slot %d is to stop: %v", slot, i.Stop != nil)
		}
	}
}

func TestWhileASlotTriesTheNewRevisionOthersAreReplacedByTheOld(t *testing.T) {
	s := running(t, 3) // slot 1 on n2
	s.apply(3, projectionstest.Tag("v2"))
	s.Say(events.NodeSubject("n2"), node.LostV1{})
	s.expect("web-1-1 stop requested: NodeLost", "web-1-2 requested: slot 1, attempt 2, revision 1 (NodeLost)")
	if i, _ := s.View().Instance(key(1, 2)); i.Spec.Containers[0].Image.Tag != "v1" {
		t.Errorf("it runs %s", i.Spec.Containers[0].Image.Tag)
	}
}

func TestALostInstanceIsReplacedAtOnce(t *testing.T) {
	s := running(t, 2)
	lost := s.Say(events.NodeSubject("n1"), node.LostV1{})
	all := s.expect("web-0-1 stop requested: NodeLost", "web-0-2 requested: slot 0, attempt 2, revision 1 (NodeLost), replaces web-0-1")
	for _, e := range all {
		if e.Causation != lost.ID {
			t.Errorf("%s is caused by %s, want the loss %s", events.Line(e), e.Causation, lost.ID)
		}
	}
	s.up(key(0, 2), "n3")
	s.Say(events.NodeSubject("n1"), node.ReturnedV1{WasLost: true})
	s.expect() // the old one has its stop already; the scheduler takes it off
	s.stopped(key(0, 1))
	s.expect("web-0-1 retired")
}

func TestWhatMustNotRunTwiceIsReplacedOnlyWhenACutOffNodeMustHaveStoppedIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		after func(s *theatre) // what becomes known meanwhile
		wait  time.Duration
	}{
		{"nothing is heard of it", func(*theatre) {}, 45 * time.Second}, // lease, slack and grace period
		{"the node is back, and it has not stopped yet", func(s *theatre) { s.Say(events.NodeSubject("n1"), node.ReturnedV1{WasLost: true}) }, untilItStops},
		{"the node is back and says that it stopped", func(s *theatre) {
			s.Say(events.NodeSubject("n1"), node.ReturnedV1{WasLost: true})
			s.stopped(key(0, 1))
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := running(t, 1, func(w *spec.Workload) {
				w.Spec.OnPartition, w.Spec.GracePeriod = spec.PartitionStop, spec.Duration(5*time.Second)
			})
			s.Say(events.NodeSubject("n1"), node.LostV1{})
			s.expect("web-0-1 stop requested: NodeLost")
			lost := s.Now
			c.after(s)
			requested := func() bool { return strings.Contains(lines(s.plan()), "web-0-2 requested") }
			if requested() != (c.wait == 0) {
				t.Fatalf("it is replaced: %v", c.wait != 0)
			}
			if c.wait == 0 {
				return
			}
			plan := reconciler.Reconcile(s.View(), s.Now)
			if c.wait != untilItStops && (plan.WakeAt.Before(lost.Add(c.wait-time.Second)) || plan.WakeAt.After(lost.Add(c.wait))) {
				t.Fatalf("it wakes at %s, want about %s after the loss", plan.WakeAt, c.wait)
			}
			s.Pass(c.wait)
			if requested() != (c.wait != untilItStops) {
				t.Errorf("after %s it is replaced: %v", c.wait, c.wait == untilItStops)
			}
		})
	}
}

// untilItStops is a wait for the node's own word, however long that takes.
const untilItStops = time.Hour

func TestAnInstanceWhoseNodeReturnsInTimeIsKept(t *testing.T) {
	s := running(t, 1)
	s.Say(events.NodeSubject("n1"), node.LostV1{})
	s.Say(events.NodeSubject("n1"), node.ReturnedV1{WasLost: true})
	s.expect()
}

func TestWhatANodeHeldThatLeftIsReplacedAndRetired(t *testing.T) {
	s := running(t, 1)
	s.Say(events.NodeSubject("n1"), node.LeftV1{})
	s.expect("web-0-1 stop requested: NodeLost", "web-0-2 requested")
	s.Revoke(key(0, 1)) // its ledger is clear of it
	s.expect("web-0-1 retired: Lost, node n1 has left")
}

func TestAnEndedInstanceIsFollowedAfterABackoff(t *testing.T) {
	for _, c := range []struct {
		name string
		end  events.Payload
		wait bool
	}{
		{"failed", report.StoppedV1{Outcome: report.OutcomeFailed}, true},
		{"rejected", report.RejectedV1{Reason: "BadImage"}, true},
		{"succeeded by itself", report.StoppedV1{Outcome: report.OutcomeSucceeded}, true},
		{"cut off", report.StoppedV1{Outcome: report.OutcomeCutOff}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := running(t, 1)
			s.Report(key(0, 1), c.end)
			end := s.Events[len(s.Events)-1]
			if c.wait {
				plan := reconciler.Reconcile(s.View(), s.Now)
				if want := s.Now.Add(time.Second); len(plan.Batch) > 0 || !plan.WakeAt.Equal(want) || len(plan.Notes) == 0 {
					t.Fatalf("plans %d events, wakes at %s, says %v; want nothing until %s", plan.Batch.Len(), plan.WakeAt, plan.Notes, want)
				}
				s.Pass(time.Second - 1)
				s.expect()
				s.Pass(1)
			}
			all := s.expect("web-0-2 requested: slot 0, attempt 2, revision 1")
			if all[0].Causation != end.ID {
				t.Errorf("caused by %s, want %s", all[0].Causation, end.ID)
			}
			s.Revoke(key(0, 1)) // now the ledger is clear of it
			s.expect("web-0-1 retired")
		})
	}
}

func TestBackoffIsAFoldOfHistory(t *testing.T) {
	s := running(t, 1)
	var waits []time.Duration
	for attempt := 1; attempt <= 11; attempt++ {
		if attempt > 1 {
			s.up(key(0, attempt), "n1")
		}
		s.Pass(5 * time.Second)
		s.Stopped(key(0, attempt), report.OutcomeFailed)
		plan := reconciler.Reconcile(s.View(), s.Now)
		waits = append(waits, plan.WakeAt.Sub(s.Now))
		s.Pass(plan.WakeAt.Sub(s.Now))
		s.plan()
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}
	for n := range want {
		if waits[n] != want[n]*time.Second {
			t.Fatalf("waited %v, want %v seconds", waits, want)
		}
	}
}

func TestACureDoesNotWaitForTheBackoff(t *testing.T) {
	s := running(t, 1)
	s.Stopped(key(0, 1), report.OutcomeFailed)
	s.apply(1, projectionstest.Tag("v2"))
	i, ok := s.View().Instance(key(0, 2))
	if !ok || i.Revision != 2 || i.Cause != instance.CauseRolledOut {
		t.Errorf("the new revision waits for the old one's backoff: %+v", i)
	}
}

func TestAnInstanceIsNotRetiredWhileALedgerNamesIt(t *testing.T) {
	s := running(t, 1)
	s.ask(workload.DeleteV1{})
	s.Stopped(key(0, 1), report.OutcomeRevoked)
	s.expect()
	s.Revoke(key(0, 1))
	s.expect("web-0-1 retired", "deleted")
}

func TestAnInstanceOfAWorkloadThatIsGoneIsStopped(t *testing.T) {
	s := open(t)
	s.Node("n1", large, nil)
	s.apply(1)
	s.ask(workload.DeleteV1{})
	// A reconciler that had not seen the deletion.
	s.Say(events.InstanceSubject(key(0, 2)), instance.RequestedV1{Slot: 0, Attempt: 2, Revision: 1, Spec: projectionstest.Document("web", 1).Instance()})
	s.Place(key(0, 2), "n1")
	s.expect("web-0-2 stop requested: Deleted")
	s.stopped(key(0, 2))
	s.expect("web-0-2 retired")
	if _, ok := s.View().Instance(key(0, 2)); ok {
		t.Error("it is remembered for ever")
	}
}

func live(view *projections.Cluster) map[int][]string {
	slots := map[int][]string{}
	for i := range view.InstancesOf("default", "web") {
		if i.Wished() && i.End == nil {
			slots[i.Slot] = append(slots[i.Slot], i.Key.Name)
		}
	}
	return slots
}
