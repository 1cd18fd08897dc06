package scheduler_test

import (
	"fmt"
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/scheduler"
	"pgregory.net/rapid"
)

// TestNoNodeIsEverOverCommitted plays any order of requests, stops, ends, losses and returns, with plans cut short at any length, and
// with a second scheduler that commits plans made on old views.
func TestNoNodeIsEverOverCommitted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &theatre{Story: projectionstest.New()}
		for n := range 3 {
			s.Node(fmt.Sprintf("n%d", n), capacity(t, 10), map[string]string{"disk": fmt.Sprint(n % 2)})
		}
		slots := 0
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			stale := scheduler.Place(s.View(), s.Now)
			s.happen(t, &slots)
			if rapid.Bool().Draw(t, "a second scheduler is faster") {
				// A conflict is as good as a commit: only what it leads to is checked.
				_ = s.Commit(stale.Batch)
			}
			limit := rapid.SampledFrom([]int{1, 2, events.MaxBatch}).Draw(t, "limit")
			for {
				plan := scheduler.Plan(decider.Turn{View: s.View(), Now: s.Now, Limit: limit})
				if plan.Batch.Len() > limit {
					t.Fatalf("a batch of %d events, limit %d", plan.Batch.Len(), limit)
				}
				if err := s.Commit(plan.Batch); err != nil {
					t.Fatal(err)
				}
				checkNodes(t, s.View())
				if !plan.More {
					break
				}
			}
			if again := scheduler.Place(s.View(), s.Now); len(again.Batch) > 0 {
				t.Fatalf("right after a plan was applied the next is %s", events.Line(again.Batch[0].Events[0]))
			}
			for i := range s.View().Waiting() {
				if i.Unplaceable == nil {
					t.Fatalf("%s waits and nobody says why", i.Key)
				}
			}
		}
	})
}

func capacity(t *rapid.T, scale int) spec.Resources {
	return spec.Resources{
		CPU: spec.CPU(rapid.IntRange(0, 100*scale).Draw(t, "cpu")), Memory: spec.Bytes(rapid.IntRange(0, 100*scale).Draw(t, "memory")),
		Disk: spec.Bytes(rapid.IntRange(0, scale).Draw(t, "disk")), GPU: spec.GPUs(rapid.IntRange(0, scale).Draw(t, "gpu")) * spec.Device,
		Custom: map[string]spec.Count{"example.com/widget": spec.Count(rapid.IntRange(0, scale).Draw(t, "widgets"))},
	}
}

// checkNodes works out from the entries alone, node by node, whether what was given away is there.
func checkNodes(t *rapid.T, view *projections.Cluster) {
	for n := range view.Nodes() {
		var sum spec.Resources
		ports := map[string]bool{}
		for e := range view.Entries(n.Name) {
			sum = sum.Add(e.Requests)
			for _, p := range e.HostPorts {
				if ports[p] {
					t.Fatalf("node %s gave %s away twice", n.Name, p)
				}
				ports[p] = true
			}
			i, ok := view.Instance(e.Instance)
			for key, value := range i.Spec.NodeSelector {
				if ok && n.Labels[key] != value {
					t.Fatalf("%s asks for %s=%s and is on %s", i.Key, key, value, n.Name)
				}
			}
		}
		if short := n.Capacity.Short(sum); len(short) > 0 {
			t.Fatalf("node %s is short of %v", n.Name, short)
		}
	}
}

func (s *theatre) happen(t *rapid.T, slots *int) {
	var some []*projections.Instance
	for i := range s.View().Instances() {
		if !i.Retired {
			some = append(some, i)
		}
	}
	choice := rapid.IntRange(0, 7).Draw(t, "happening")
	if len(some) == 0 {
		choice = 0
	}
	switch choice {
	case 0, 1, 2, 3:
		for range rapid.IntRange(1, 4).Draw(t, "instances") {
			*slots++
			// Instances of one revision are alike, so each of these is of its own.
			s.wantRevision(rapid.SampledFrom([]string{"web", "api"}).Draw(t, "workload"), *slots, *slots, needs(capacity(t, 3)), func(w *spec.Workload) {
				if n := rapid.IntRange(0, 3).Draw(t, "port"); n > 0 {
					port(8000+n, spec.TCP)(w)
				}
				w.Spec.Priority = rapid.SampledFrom([]spec.Priority{0, 0, spec.PriorityLow, spec.PriorityHigh, 7}).Draw(t, "priority")
				if n := rapid.IntRange(0, 4).Draw(t, "selector"); n < 2 {
					w.Spec.NodeSelector = map[string]string{"disk": fmt.Sprint(n)}
				}
			})
		}
	case 4, 5:
		if i := rapid.SampledFrom(some).Draw(t, "instance"); i.Stop == nil {
			s.Say(events.InstanceSubject(i.Key), instance.StopRequestedV1{Cause: instance.CauseScaled})
		}
	case 6:
		if i := rapid.SampledFrom(some).Draw(t, "instance"); i.Placed() && i.End == nil {
			s.Stopped(i.Key, rapid.SampledFrom([]report.Outcome{report.OutcomeFailed, report.OutcomeRevoked}).Draw(t, "outcome"))
		}
	case 7:
		name := fmt.Sprintf("n%d", rapid.IntRange(0, 2).Draw(t, "node"))
		n, _ := s.View().Node(name)
		if n.Health == projections.Healthy {
			s.Say(events.NodeSubject(name), rapid.SampledFrom([]events.Payload{node.SuspectedV1{}, node.LostV1{}, node.NotReadyV1{}}).Draw(t, "health"))
		} else {
			s.Say(events.NodeSubject(name), node.ReturnedV1{})
			s.Say(events.NodeSubject(name), node.ReadyV1{})
		}
	}
}
