package reconciler_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/reconciler"
)

func strategy(s spec.Strategy) func(*spec.Workload) {
	return func(w *spec.Workload) { w.Spec.Strategy = &s }
}

// told lists what is told of the workload itself, from an event on.
func (s *theatre) told(from int) (lines []string) {
	for _, e := range s.Events[from:] {
		if e.Subject.Aggregate() == events.AggregateWorkload {
			lines = append(lines, e.Data.Line())
		}
	}
	return lines
}

// settle plays scheduler and agents, who do at once what is wished, until nobody has anything to do. Instances of a bad revision never become ready.
func (s *theatre) settle(t *testing.T, bad ...int) {
	t.Helper()
	for range 200 {
		before := len(s.Events)
		s.plan()
		for i := range s.View().InstancesOf("default", "web") {
			switch {
			case i.Retired || !i.Placed() && i.Stop != nil:
			case i.Stop != nil && !i.Revoked:
				s.stopped(i.Key)
			case i.Wished() && !i.Placed():
				s.Place(i.Key, "n3")
				if !slices.Contains(bad, i.Revision) {
					s.Ready(i.Key)
				}
			}
		}
		if len(s.Events) == before {
			return
		}
	}
	t.Fatal("it does not settle")
}

func (s *theatre) revisions() (at []int) {
	for i := range s.View().InstancesOf("default", "web") {
		if i.Wished() && i.End == nil {
			at = append(at, i.Revision)
		}
	}
	slices.Sort(at)
	return at
}

func (s *theatre) rollout(action workload.RolloutAction, revision int) *projections.Outcome {
	p := s.ask(workload.RolloutV1{Action: action, Revision: revision})
	out, _ := s.View().Outcome(p.Command.ID)
	return out
}

func TestARollOutTellsHowFarItIs(t *testing.T) {
	s := running(t, 3)
	from := len(s.Events)
	s.apply(3, projectionstest.Tag("v2"))
	w, _ := s.View().Workload("default", "web")
	changed := w.Changed
	s.settle(t)
	want := []string{
		"applied: revision 2, 3 × docker.io/library/web:v2", "roll-out of revision 2 after 1 started (rolling)",
		"roll-out of revision 2 advanced: 1 of 3 ready", "roll-out of revision 2 advanced: 2 of 3 ready",
		"roll-out of revision 2 completed: 3 ready",
	}
	if got := s.told(from); !slices.Equal(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if w, _ := s.View().Workload("default", "web"); w.Good != 2 || !w.Rollout.Done || w.Changed != changed {
		t.Errorf("%+v", w)
	}
	s.expect()
}

func TestASurgeRequestsFirst(t *testing.T) {
	s := running(t, 3, strategy(spec.Strategy{MaxSurge: "2"}))
	s.apply(3, projectionstest.Tag("v2"), strategy(spec.Strategy{MaxSurge: "2"}))
	if got := s.revisions(); !slices.Equal(got, []int{1, 1, 1, 2, 2}) {
		t.Fatalf("revisions %v, want two too many", got)
	}
	s.up(key(0, 2), "n3")
	s.expect("web-0-1 stop requested: RolledOut, web-0-2 is ready and takes its place", "web-2-2 requested: slot 2, attempt 2, revision 2 (RolledOut), replaces web-2-1")
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{2, 2, 2}) {
		t.Errorf("revisions %v", got)
	}
}

func TestRecreateStopsAllBeforeItStartsAny(t *testing.T) {
	s := running(t, 2, strategy(spec.Strategy{Type: spec.Recreate}))
	s.apply(2, projectionstest.Tag("v2"), strategy(spec.Strategy{Type: spec.Recreate}))
	if got := s.revisions(); len(got) != 0 {
		t.Fatalf("revisions %v are still wished for", got)
	}
	s.stopped(key(0, 1))
	s.expect("web-0-1 retired") // web-1-1 still runs
	s.stopped(key(1, 1))
	s.expect("web-1-1 retired", "web-0-2 requested", "web-1-2 requested")
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{2, 2}) {
		t.Errorf("revisions %v", got)
	}
}

func TestACanaryWaitsToBePromoted(t *testing.T) {
	canary := strategy(spec.Strategy{Type: spec.Canary, Canary: "25%", MaxSurge: "1"})
	s := running(t, 4, canary)
	from := len(s.Events)
	if out := s.rollout(workload.ActionPromote, 0); out.Accepted {
		t.Error("nothing to promote was promoted")
	}
	s.apply(4, projectionstest.Tag("v2"), canary)
	if out := s.rollout(workload.ActionPromote, 0); out.Accepted || !strings.Contains(out.Message, "not whole yet") {
		t.Errorf("promoted before it was whole: %+v", out)
	}
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{1, 1, 1, 2}) {
		t.Fatalf("revisions %v, want one canary", got)
	}
	// One more replica is of the old revision, and so is what follows one that fails.
	s.ask(workload.ScaleV1{Replicas: 5})
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{1, 1, 1, 2, 2}) { // a quarter of five are two
		t.Fatalf("revisions %v after scaling", got)
	}
	if told := s.told(from); told[len(told)-1] != "roll-out of revision 2 advanced: 2 of 5 ready, waits to be promoted" {
		t.Errorf("told %q", told)
	}
	s.Pass(time.Hour) // however long
	s.expect()
	if out := s.rollout(workload.ActionPromote, 0); !out.Accepted {
		t.Errorf("%+v", out)
	}
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{2, 2, 2, 2, 2}) {
		t.Errorf("revisions %v after it was promoted", got)
	}
}

func TestACanaryThatIsAbortedLeavesNothing(t *testing.T) {
	canary := strategy(spec.Strategy{Type: spec.Canary})
	s := running(t, 3, canary)
	s.apply(3, projectionstest.Tag("v2"), canary)
	s.settle(t)
	untouched := 0
	if out := s.rollout(workload.ActionAbort, 0); !out.Accepted {
		t.Fatalf("%+v", out)
	}
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{1, 1, 1}) {
		t.Errorf("revisions %v", got)
	}
	for slot := range 3 {
		if i, _ := s.View().Instance(key(slot, 1)); i.Wished() {
			untouched++
		}
	}
	if untouched != 2 {
		t.Errorf("%d of the old instances were left alone, want 2", untouched)
	}
	s.apply(3, projectionstest.Tag("v3"), canary)
	if w, _ := s.View().Workload("default", "web"); w.Revision != 3 {
		t.Errorf("the next revision is %d: a number came twice", w.Revision)
	}
}

func TestARollOutThatGetsNowhereGoesBack(t *testing.T) {
	within := strategy(spec.Strategy{ProgressDeadline: spec.Duration(time.Minute)})
	s := running(t, 3, within)
	s.apply(3, projectionstest.Tag("v2"), within)
	s.settle(t, 2)
	s.Report(key(0, 2), report.ExitedV1{Container: "main", Run: 1, Code: 7})
	exited := s.Events[len(s.Events)-1]
	if plan := reconciler.Reconcile(s.View(), s.Now); len(plan.Batch) > 0 || plan.WakeAt.Sub(s.Now) != time.Minute {
		t.Fatalf("plans %d events, wakes in %s", plan.Batch.Len(), plan.WakeAt.Sub(s.Now))
	}
	s.Pass(time.Minute)
	all := s.plan()
	back := all[slices.IndexFunc(all, func(e events.Event) bool { _, ok := e.Data.(workload.RolledBackV1); return ok })]
	if !strings.HasPrefix(back.Data.Line(), "rolled back from revision 2 to 1: no progress within 1m0s: web-0-2 is ") || back.Causation != exited.ID {
		t.Errorf("%s, caused by %s, want the exit %s", back.Data.Line(), back.Causation, exited.ID)
	}
	s.settle(t, 2)
	if got := s.revisions(); !slices.Equal(got, []int{1, 1, 1}) {
		t.Errorf("revisions %v", got)
	}
	for _, slot := range []int{1, 2} {
		if i, _ := s.View().Instance(key(slot, 1)); !i.Wished() {
			t.Errorf("%s was touched", i.Key)
		}
	}
	if w, _ := s.View().Workload("default", "web"); w.Document.Spec.Containers[0].Image.Tag != "v1" || w.Newest != 2 || !w.Rollout.Done {
		t.Errorf("%+v", w)
	}
	s.expect()
}

func TestARollOutThatGetsNowhereMayStayWhereItIs(t *testing.T) {
	within := strategy(spec.Strategy{ProgressDeadline: spec.Duration(time.Minute), OnFailure: spec.FailurePause})
	s := running(t, 3, within)
	s.apply(3, projectionstest.Tag("v2"), within)
	s.settle(t, 2)
	for range 2 { // and again after it was resumed
		s.Pass(time.Minute)
		s.expect("roll-out of revision 2 paused: no progress within 1m0s")
		if out := s.rollout(workload.ActionResume, 0); !out.Accepted {
			t.Fatalf("%+v", out)
		}
	}
	s.Ready(key(0, 2))
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{2, 2, 2}) {
		t.Errorf("revisions %v", got)
	}
}

func TestAPausedRollOutTouchesNothing(t *testing.T) {
	s := running(t, 3)
	if out := s.rollout(workload.ActionPause, 0); out.Accepted {
		t.Error("what does not go on was paused")
	}
	s.apply(3, projectionstest.Tag("v2"))
	if out := s.rollout(workload.ActionPause, 0); !out.Accepted {
		t.Fatalf("%+v", out)
	}
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{1, 1, 2}) {
		t.Fatalf("revisions %v", got)
	}
	s.Stopped(key(1, 1), report.OutcomeCutOff)
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{1, 1, 2}) {
		t.Errorf("revisions %v: what follows a lost one is not of its revision", got)
	}
	s.rollout(workload.ActionResume, 0)
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{2, 2, 2}) {
		t.Errorf("revisions %v", got)
	}
}

func TestOneGoesBackToAnyRevision(t *testing.T) {
	s := running(t, 2)
	for n := 2; n <= 4; n++ {
		s.apply(2, projectionstest.Tag(fmt.Sprintf("v%d", n)))
		s.settle(t)
	}
	s.ask(workload.ScaleV1{Replicas: 3})
	s.settle(t)
	if out := s.rollout(workload.ActionUndo, 9); out.Accepted || !strings.Contains(out.Message, "want one of 1, 2, 3, 4") {
		t.Errorf("%+v", out)
	}
	for _, c := range []struct{ to, want int }{{2, 2}, {0, 4}, {0, 2}, {1, 1}, {1, 1}} {
		if c.to == 0 {
			w, _ := s.View().Workload("default", "web")
			c.want = w.Rollout.From // the one before
		}
		if out := s.rollout(workload.ActionUndo, c.to); !out.Accepted {
			t.Fatalf("to %d: %+v", c.to, out)
		}
		s.settle(t)
		if got := s.revisions(); !slices.Equal(got, []int{c.want, c.want, c.want}) {
			t.Errorf("to %d: revisions %v, want %d", c.to, got, c.want)
		}
	}
	if i, _ := s.View().Slot("default", "web", 0); i.Instance == "" {
		t.Error("no slot")
	}
}

func TestARestartReplacesAllByTheSame(t *testing.T) {
	s := running(t, 2)
	if out := s.rollout(workload.ActionRestart, 0); !out.Accepted {
		t.Fatalf("%+v", out)
	}
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{2, 2}) {
		t.Errorf("revisions %v", got)
	}
	if i, _ := s.View().Instance(key(0, 2)); i.Spec.Containers[0].Image.Tag != "v1" || i.Cause != instance.CauseRolledOut {
		t.Errorf("%+v", i)
	}
}

func TestWhatFitsNowhereBesidesGoesBackInTime(t *testing.T) {
	surge := strategy(spec.Strategy{MaxSurge: "1", ProgressDeadline: spec.Duration(time.Minute)})
	s := running(t, 2, surge)
	s.apply(2, projectionstest.Tag("v2"), surge)
	s.Say(events.UnplacedSubject(key(0, 2)), unplaced.UnplaceableV2{Nodes: 3})
	s.Pass(time.Minute)
	all := s.plan()
	if !strings.Contains(lines(all), "rolled back from revision 2 to 1: no progress within 1m0s: web-0-2 is Pending") {
		t.Errorf("planned\n%s", lines(all))
	}
	if got := s.revisions(); !slices.Equal(got, []int{1, 1}) {
		t.Errorf("revisions %v", got)
	}
}

func TestASlotThatIsDrainedAndRolledOutAtOnceIsTouchedOnce(t *testing.T) {
	surge := strategy(spec.Strategy{MaxSurge: "1"})
	s := running(t, 2, surge)
	before := len(s.Events)
	s.Say(events.NodeSubject("n1"), node.DrainingV1{})
	s.apply(2, projectionstest.Tag("v2"), surge)
	requested := map[events.Subject]int{}
	for _, e := range s.Events[before:] {
		if _, ok := e.Data.(instance.RequestedV1); ok {
			requested[e.Subject]++
		}
	}
	if len(requested) == 0 {
		t.Error("nothing was requested")
	}
	for subject, n := range requested {
		if n > 1 {
			t.Errorf("%s was requested %d times", subject.Name(), n)
		}
	}
	s.settle(t)
	if got := s.revisions(); !slices.Equal(got, []int{2, 2}) {
		t.Errorf("revisions %v", got)
	}
}

// A slot whose successor was given up for the present revision, and which then loses what served it, is one more that would try the canary.
func TestAPausedCanaryTakesNoSlotMoreWhenANodeIsLost(t *testing.T) {
	canary := strategy(spec.Strategy{Type: spec.Canary, Canary: "40%", MaxSurge: "1"})
	s := running(t, 1, canary)
	s.apply(1, canary, projectionstest.Tag("v2"))
	s.apply(2, canary, projectionstest.Tag("v3"))
	s.rollout(workload.ActionPause, 0)
	s.Say(events.NodeSubject("n1"), node.LostV1{})
	s.plan()
	trying := 0
	for i := range s.View().InstancesOf("default", "web") {
		if i.Wished() && i.Revision == 3 {
			trying++
		}
	}
	if trying != 1 {
		t.Errorf("%d slots try revision 3, and 1 may\n%s", trying, lines(s.Events))
	}
}
