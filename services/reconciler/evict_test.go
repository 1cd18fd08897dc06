package reconciler_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/reconciler"
)

func (s *theatre) drain(on string, within time.Duration) events.Event {
	e := node.DrainingV1{}
	if within > 0 {
		e.Deadline = s.Now.Add(within)
	}
	return s.Say(events.NodeSubject(on), e)
}

func TestADrainReplacesFirstAndStopsThen(t *testing.T) {
	s := running(t, 3) // 0 and 2 on n1
	draining := s.drain("n1", 0)
	all := s.expect("web-0-2 requested: slot 0, attempt 2, revision 1 (Drained), replaces web-0-1", "web-2-2 requested")
	s.up(key(0, 2), "n3")
	all = append(all, s.expect("web-0-1 stop requested: Drained, web-0-2 is ready and takes its place")...)
	for _, e := range all {
		if e.Causation != draining.ID {
			t.Errorf("%s is caused by %s, want the drain", events.Line(e), e.Causation)
		}
	}
	s.stopped(key(0, 1))
	s.expect("web-0-1 retired")
	s.up(key(2, 2), "n3")
	s.expect("web-2-1 stop requested: Drained")
	s.stopped(key(2, 1))
	s.expect("web-2-1 retired")
}

func TestWhatIsNotReadyLeavesADrainedNodeAtOnce(t *testing.T) {
	s := running(t, 1)
	s.Report(key(0, 1), report.UnhealthyV1{Container: "main", Run: 1, Message: "503"})
	s.drain("n1", 0)
	s.expect("web-0-1 stop requested: Drained, node n1 is drained, and it was not ready")
	s.stopped(key(0, 1))
	s.expect("web-0-1 retired", "web-0-2 requested: slot 0, attempt 2, revision 1 (Drained), replaces web-0-1")
}

func TestWhatMustNotRunTwiceStopsFirst(t *testing.T) {
	s := running(t, 3, func(w *spec.Workload) { w.Spec.OnPartition = spec.PartitionStop })
	s.drain("n1", 0)
	s.expect("web-0-1 stop requested: Drained, node n1 is drained") // one at a time may be missing
	s.stopped(key(0, 1))
	s.expect("web-0-1 retired", "web-0-2 requested")
	s.up(key(0, 2), "n3")
	s.expect("web-2-1 stop requested: Drained")
}

func TestWhereTheReplacementFitsNowhereTheWorkloadDoesWithoutForAWhile(t *testing.T) {
	s := running(t, 2)
	s.drain("n1", 0)
	s.expect("web-0-2 requested")
	s.Say(events.UnplacedSubject(key(0, 2)), unplaced.UnplaceableV2{Nodes: 3})
	s.expect("web-0-1 stop requested: Drained, node n1 is drained")
	s.stopped(key(0, 1))
	s.expect("web-0-1 retired") // web-0-2 goes on waiting for a place
}

func TestTheDeadlineOfADrainIsKeptWhateverItCosts(t *testing.T) {
	s := running(t, 2, func(w *spec.Workload) { w.Spec.OnPartition = spec.PartitionStop })
	s.drain("n1", time.Minute)
	s.drain("n2", time.Minute)
	s.expect("web-0-1 stop requested: Drained, node n1 is drained")
	plan := reconciler.Reconcile(s.View(), s.Now)
	if want := s.Now.Add(time.Minute); !plan.WakeAt.Equal(want) {
		t.Errorf("wakes at %s, want the deadline %s", plan.WakeAt, want)
	}
	s.Pass(time.Minute)
	s.expect("web-1-1 stop requested: Drained, node n2 is drained, and the time for it is over")
}

func TestADrainThatIsCalledOffLeavesWhatIsLeft(t *testing.T) {
	s := running(t, 1)
	s.drain("n1", 0)
	s.expect("web-0-2 requested")
	s.Place(key(0, 2), "n3")
	s.Say(events.NodeSubject("n1"), node.UncordonedV1{})
	s.expect("web-0-2 stop requested: Superseded, web-0-1 stays after all")
	s.stopped(key(0, 2))
	s.expect("web-0-2 retired")
	s.drain("n1", 0) // and again
	s.expect("web-0-3 requested: slot 0, attempt 3, revision 1 (Drained), replaces web-0-1")
}

func TestAReplacementThatFailsIsFollowedWhileTheOldOneServes(t *testing.T) {
	s := running(t, 1)
	s.drain("n1", 0)
	s.expect("web-0-2 requested")
	s.Place(key(0, 2), "n3")
	s.Stopped(key(0, 2), report.OutcomeFailed)
	if plan := reconciler.Reconcile(s.View(), s.Now); len(plan.Batch) > 0 || plan.WakeAt.IsZero() {
		t.Fatalf("plans %d events, wakes at %s; want nothing until the slot has backed off", plan.Batch.Len(), plan.WakeAt)
	}
	s.Pass(time.Second)
	s.expect("web-0-3 requested: slot 0, attempt 3, revision 1 (Failed), replaces web-0-2")
	s.up(key(0, 3), "n3")
	s.expect("web-0-1 stop requested: Drained, web-0-3 is ready")
}

func TestADrainMovesFewAtATime(t *testing.T) {
	s := open(t)
	s.Node("n1", large, nil)
	s.Node("n2", large, nil)
	s.apply(30)
	for slot := range 30 {
		s.up(key(slot, 1), "n1")
	}
	s.drain("n1", 0)
	moved := 0
	for round := 0; moved < 30 && round < 30; round++ {
		fresh := s.plan()
		if n := strings.Count(lines(fresh), "(Drained)"); n > 10 {
			t.Fatalf("%d are moved at once", n)
		}
		for i := range s.View().InstancesOf("default", "web") {
			if i.Cause == instance.CauseDrained && !i.Placed() {
				s.up(i.Key, "n2")
				moved++
			}
		}
		for _, e := range s.plan() {
			if _, ok := e.Data.(instance.StopRequestedV1); ok {
				s.stopped(e.Subject.Instance())
			}
		}
	}
	if n, _ := s.View().Node("n1"); n.Instances > 0 || moved != 30 {
		t.Errorf("%d instances are left on the node, %d were moved", n.Instances, moved)
	}
}

func TestASuccessorThatIsNotReadyLeavesADrainedNode(t *testing.T) {
	surge := func(w *spec.Workload) { w.Spec.Strategy = &spec.Strategy{MaxSurge: "1"} }
	s := running(t, 1, surge)
	s.apply(1, surge, projectionstest.Tag("v2"))
	s.Place(key(0, 2), "n2") // and does not get ready
	s.drain("n2", 0)
	s.expect("web-0-2 stop requested: Drained, node n2 is drained, and it was not ready", "web-0-3 requested: slot 0, attempt 3, revision 2 (RolledOut), replaces web-0-1")
	s.stopped(key(0, 2))
	s.expect("web-0-2 retired")
	s.up(key(0, 3), "n3")
	s.expect("web-0-1 stop requested: RolledOut, web-0-3 is ready and takes its place")
	s.stopped(key(0, 1))
	s.expect("web-0-1 retired")
	if n, _ := s.View().Node("n2"); n.Instances > 0 {
		t.Errorf("%d instances are left on the node", n.Instances)
	}
}

func TestWhereReplacementsAreOnANodeThatIsDrainedTooOthersFollow(t *testing.T) {
	const replicas = 10 // as many as move at once
	s := open(t)
	for _, n := range []string{"n1", "n2", "n3"} {
		s.Node(n, large, nil)
	}
	s.apply(replicas)
	for slot := range replicas {
		s.up(key(slot, 1), "n1")
	}
	s.drain("n1", 0)
	s.plan()
	for slot := range replicas {
		s.Place(key(slot, 2), "n2")
	}
	s.drain("n2", 0)
	s.plan()
	for slot := range replicas {
		s.stopped(key(slot, 2))
		s.up(key(slot, 3), "n3")
	}
	s.plan()
	for slot := range replicas {
		s.stopped(key(slot, 1))
	}
	s.plan()
	for _, name := range []string{"n1", "n2"} {
		if n, _ := s.View().Node(name); n.Instances > 0 {
			t.Errorf("%d instances are left on %s", n.Instances, name)
		}
	}
}
