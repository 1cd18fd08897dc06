package scheduler_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/scheduler"
)

// theatre is a story whose instances are placed: the part under test. The test plays the others.
type theatre struct {
	*projectionstest.Story
	t testing.TB
}

func open(t testing.TB, nodes ...string) *theatre {
	s := &theatre{projectionstest.New(), t}
	for _, n := range nodes {
		s.Node(n, spec.Resources{CPU: 1000, Memory: 1 << 30}, map[string]string{"zone": n})
	}
	return s
}

// want requests an instance, as the reconciler would.
func (s *theatre) want(workload string, slot int, alter ...func(*spec.Workload)) events.Event {
	return s.wantRevision(workload, slot, 1, alter...)
}

func (s *theatre) wantRevision(workload string, slot, revision int, alter ...func(*spec.Workload)) events.Event {
	document := projectionstest.Document(workload, 1, alter...)
	return s.Say(events.InstanceSubject(projectionstest.Key(workload, slot, 1)), instance.RequestedV1{
		Slot: slot, Attempt: 1, Revision: revision, Spec: document.Instance(), Cause: instance.CauseApplied,
	})
}

func (s *theatre) plan() (all []events.Event) {
	s.t.Helper()
	for {
		plan := scheduler.Place(s.View(), s.Now)
		if err := s.Commit(plan.Batch); err != nil {
			s.t.Fatalf("the plan does not commit: %v", err)
		}
		for _, w := range plan.Batch {
			all = append(all, w.Events...)
		}
		if !plan.More {
			break
		}
	}
	if again := scheduler.Place(s.View(), s.Now); len(again.Batch) > 0 {
		s.t.Fatalf("planning again plans %s", events.Line(again.Batch[0].Events[0]))
	}
	return all
}

func (s *theatre) where(workload string, slot int) string {
	s.t.Helper()
	i, ok := s.View().Instance(projectionstest.Key(workload, slot, 1))
	if !ok {
		s.t.Fatalf("there is no instance %s-%d", workload, slot)
	}
	return i.Node
}

func needs(r spec.Resources) func(*spec.Workload) {
	return func(w *spec.Workload) { w.Spec.Containers[0].Resources.Requests = r }
}

func port(n int, p spec.Protocol) func(*spec.Workload) {
	return func(w *spec.Workload) {
		w.Spec.Containers[0].Ports = []spec.Port{{ContainerPort: 80, HostPort: n, Protocol: p}}
	}
}

func TestFiltersExplainThemselves(t *testing.T) {
	full := func(s *theatre) {
		for n, name := range []string{"n1", "n2"} {
			s.want("old", n, needs(spec.Resources{CPU: 900}), port(8080, spec.TCP))
			s.Place(projectionstest.Key("old", n, 1), name)
		}
	}
	for _, c := range []struct {
		name   string
		tell   func(*theatre)
		wanted []func(*spec.Workload)
		want   string
	}{
		{"cpu", full, []func(*spec.Workload){needs(spec.Resources{CPU: 200})}, "0 of 2 nodes fit: 2 short of cpu"},
		{"all of it", nil, []func(*spec.Workload){needs(spec.Resources{CPU: 2000, Memory: 2 << 30, Disk: 1, GPU: spec.Device, Custom: map[string]spec.Count{"example.com/widget": 1}})},
			"0 of 2 nodes fit: 2 short of cpu, memory, disk, gpu, example.com/widget"},
		{"host port", full, []func(*spec.Workload){port(8080, spec.TCP), needs(spec.Resources{})}, "0 of 2 nodes fit: 2 without free port tcp/8080"},
		{"node selector", nil, []func(*spec.Workload){func(w *spec.Workload) { w.Spec.NodeSelector = map[string]string{"zone": "moon"} }}, "0 of 2 nodes fit: 2 without label zone=moon"},
		{"one of each", func(s *theatre) {
			s.Say(events.NodeSubject("n1"), node.SuspectedV1{})
			s.Say(events.NodeSubject("n2"), node.NotReadyV1{Message: "disk"})
			s.Node("n3", spec.Resources{CPU: 10}, nil)
			s.Node("n4", spec.Resources{CPU: 10}, nil)
			s.Say(events.NodeSubject("n4"), node.LostV1{})
			s.Node("n5", spec.Resources{CPU: 10}, nil)
			s.Say(events.NodeSubject("n5"), node.LeftV1{}) // is none any more
		}, []func(*spec.Workload){needs(spec.Resources{CPU: 200})}, "0 of 4 nodes fit: 1 lost; 1 not ready; 1 suspected; 1 short of cpu"},
		{"no node", func(s *theatre) {
			s.Say(events.NodeSubject("n1"), node.LeftV1{})
			s.Say(events.NodeSubject("n2"), node.LeftV1{})
		}, nil, "there is no node"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, "n1", "n2")
			if c.tell != nil {
				c.tell(s)
			}
			requested := s.want("web", 0, c.wanted...)
			all := s.plan()
			if len(all) != 1 || !strings.Contains(events.Line(all[0]), c.want) {
				t.Fatalf("said %q, want %q", all[0].Data.Line(), c.want)
			}
			if all[0].Causation != requested.ID {
				t.Errorf("caused by %s, want %s", all[0].Causation, requested.ID)
			}
		})
	}
}

func TestTheSameReasonsAreSaidOnce(t *testing.T) {
	s := open(t, "n1")
	s.want("web", 0, needs(spec.Resources{CPU: 2000}))
	if n := len(s.plan()); n != 1 {
		t.Fatalf("%d events, want one reason", n)
	}
	s.Node("n2", spec.Resources{CPU: 1500, Memory: 1 << 30}, nil)
	if all := s.plan(); len(all) != 0 {
		t.Errorf("one node more with the same fault is news: %s", events.Line(all[0]))
	}
	s.Say(events.NodeSubject("n2"), node.SuspectedV1{})
	if all := s.plan(); len(all) != 1 || len(all[0].Data.(unplaced.UnplaceableV2).Reasons) != 2 {
		t.Error("another reason is no news")
	}
	s.Say(events.NodeSubject("n2"), node.ReturnedV1{})
	if n := len(s.plan()); n != 1 {
		t.Errorf("what was true before is not said when it is true again: %d events", n)
	}
	s.Node("n3", spec.Resources{CPU: 4000, Memory: 1 << 30}, nil)
	s.plan()
	if at := s.where("web", 0); at != "n3" {
		t.Errorf("placed on %q when a node has room", at)
	}
	if i, _ := s.View().Instance(projectionstest.Key("web", 0, 1)); i.Unplaceable != nil {
		t.Error("it still says why it has no node")
	}
}

func TestReplicasAreSpreadBeforeLoadCounts(t *testing.T) {
	s := open(t, "n1", "n2", "n3")
	// n3 is nearly full, and still gets one: spreading outweighs load.
	s.want("old", 0, needs(spec.Resources{CPU: 800, Memory: 800 << 20}))
	s.Place(projectionstest.Key("old", 0, 1), "n3")
	for slot := range 3 {
		s.want("web", slot)
	}
	s.plan()
	seen := map[string]int{}
	for slot := range 3 {
		seen[s.where("web", slot)]++
	}
	if len(seen) != 3 {
		t.Errorf("three replicas on three nodes went to %v", seen)
	}
	// Another workload goes where there is most room.
	s.want("api", 0)
	s.plan()
	if at := s.where("api", 0); at == "n3" {
		t.Error("the fullest node was chosen")
	}
}

func TestAnAssignmentTellsHowItWasChosen(t *testing.T) {
	s := open(t, "n1", "n2", "n3", "n4", "n5")
	s.Say(events.NodeSubject("n5"), node.SuspectedV1{})
	requested := s.want("web", 0)
	all := s.plan()
	a := all[0].Data.(ledger.AssignedV2)
	if len(all) != 1 || a.Considered != 5 || a.Fitted != 4 || len(a.Scores) != 3 || a.Scores[0].Node != all[0].Subject.Node() {
		t.Fatalf("assigned %+v on %s", a, all[0].Subject)
	}
	for n, score := range a.Scores {
		sum := int64(0)
		for _, part := range score.Parts {
			sum += part
		}
		if sum != score.Total || len(score.Parts) != 2 || (n > 0 && score.Total > a.Scores[n-1].Total) {
			t.Errorf("score %d does not add up: %+v", n, score)
		}
	}
	if all[0].Causation != requested.ID || a.Generation != 1 {
		t.Errorf("causation %s, generation %d", all[0].Causation, a.Generation)
	}
}

func TestEqualNodesShareTheLoad(t *testing.T) {
	s := open(t)
	for n := range 10 {
		s.Node(fmt.Sprintf("n%d", n), spec.Resources{CPU: 1000, Memory: 1 << 30}, nil)
	}
	first := map[string]int{}
	for n := range 40 {
		one := &theatre{projectionstest.New(), t}
		for n := range 10 {
			one.Node(fmt.Sprintf("n%d", n), spec.Resources{CPU: 1000, Memory: 1 << 30}, nil)
		}
		one.want(fmt.Sprintf("w%d", n), 0)
		one.plan()
		first[one.where(fmt.Sprintf("w%d", n), 0)]++
	}
	if len(first) < 7 {
		t.Errorf("forty workloads of one instance went to %v", first)
	}
}

func TestAPlanGivesAHostPortAwayOnce(t *testing.T) {
	s := open(t, "n1")
	s.want("web", 0, port(8080, spec.TCP))
	s.want("web", 1, port(8080, spec.TCP))
	s.want("dns", 0, port(8080, spec.UDP)) // another protocol is another port
	var got []string
	for _, e := range s.plan() {
		got = append(got, e.Data.Line())
	}
	if len(got) != 3 || s.where("web", 0) != "n1" || s.where("dns", 0) != "n1" || !strings.Contains(got[2], "1 without free port tcp/8080") {
		t.Errorf("planned %q", got)
	}
}

func TestGenerationsClimbWithinAPlan(t *testing.T) {
	s := open(t, "n1")
	for slot := range 3 {
		s.want("web", slot)
	}
	var got []uint64
	for _, e := range s.plan() {
		got = append(got, e.Data.(ledger.AssignedV2).Generation)
	}
	s.want("api", 0)
	for _, e := range s.plan() {
		got = append(got, e.Data.(ledger.AssignedV2).Generation)
	}
	if fmt.Sprint(got) != "[1 2 3 4]" {
		t.Errorf("generations %v", got)
	}
}

func TestWhatIsNotWishedForIsTakenBack(t *testing.T) {
	k := projectionstest.Key("web", 0, 1)
	for _, c := range []struct {
		name  string
		tell  func(*theatre) events.Event // returns the cause
		cause instance.Cause
		on    string
	}{
		{"stopped", func(s *theatre) events.Event {
			return s.Say(events.InstanceSubject(k), instance.StopRequestedV1{Cause: instance.CauseScaled, Grace: spec.Duration(7)})
		}, instance.CauseScaled, "n1"},
		{"ended by itself", func(s *theatre) events.Event {
			s.Stopped(k, report.OutcomeFailed)
			return s.Events[len(s.Events)-1]
		}, instance.CauseFailed, "n1"},
		{"given to two nodes", func(s *theatre) events.Event {
			s.Place(k, "n2")
			return s.Events[len(s.Events)-1]
		}, instance.CauseSuperseded, "n2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, "n1", "n2")
			s.want("web", 0)
			s.Place(k, "n1")
			cause := c.tell(s)
			all := s.plan()
			if len(all) != 1 {
				t.Fatalf("%d events, want one Revoked", len(all))
			}
			r, ok := all[0].Data.(ledger.RevokedV2)
			if !ok || r.Cause != c.cause || all[0].Causation != cause.ID || all[0].Subject.Node() != c.on || r.Instance != k {
				t.Errorf("%s, caused by %s", events.Line(all[0]), all[0].Causation)
			}
			if c.cause == instance.CauseScaled && r.Grace != 7 {
				t.Errorf("grace %s", r.Grace)
			}
		})
	}
}

func TestALargePlanComesInSeveralBatches(t *testing.T) {
	s := open(t)
	for n := range 30 {
		s.Node(fmt.Sprintf("n%d", n), spec.Resources{CPU: 100_000, Memory: 1 << 40}, nil)
	}
	for slot := range 1500 {
		s.want("web", slot)
	}
	first := scheduler.Place(s.View(), s.Now)
	if first.Batch.Len() != events.MaxBatch || !first.More {
		t.Fatalf("%d events, more %v", first.Batch.Len(), first.More)
	}
	if n := len(s.plan()); n != 1500 {
		t.Errorf("%d assignments, want 1500", n)
	}
}

func TestOneAssignmentIsOneEvent(t *testing.T) {
	s := open(t, "n1")
	s.want("web", 0)
	if plan := scheduler.Place(s.View(), s.Now); plan.Batch.Len() != 1 {
		t.Errorf("%d events", plan.Batch.Len())
	}
}

func BenchmarkPlace(b *testing.B) {
	s := open(b)
	for n := range 2000 {
		s.Node(fmt.Sprintf("n%d", n), spec.Resources{CPU: 100_000, Memory: 1 << 40}, nil)
	}
	for slot := range 1000 {
		s.want("web", slot)
	}
	view := s.View()
	for b.Loop() {
		scheduler.Place(view, s.Now)
	}
}
