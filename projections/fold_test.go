package projections_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"pgregory.net/rapid"
)

// anyEvent draws an event of any type about one of a few things, whether it makes sense there or not.
func anyEvent(t *rapid.T, sequence uint64) events.Event {
	draw := func(label string, n int) int { return rapid.IntRange(0, n-1).Draw(t, label) }
	name, nodeName := []string{"web", "api"}[draw("workload", 2)], []string{"n1", "n2", "n3"}[draw("node", 3)]
	slot, attempt := draw("slot", 3), 1+draw("attempt", 6)
	k := projectionstest.Key(name, slot, attempt)
	document := projectionstest.Document(name, draw("replicas", 4), projectionstest.Tag(fmt.Sprintf("v%d", draw("tag", 2))), func(w *spec.Workload) {
		w.Spec.Containers[0].Ports = []spec.Port{{ContainerPort: 80, HostPort: 8000 + slot}}
		w.Spec.Containers[0].Resources.Requests.Custom = map[string]spec.Count{"example.com/widget": 1}
	})
	run, generation := 1+draw("run", 3), uint64(1+draw("generation", 3))
	at := projectionstest.Start.Add(time.Duration(sequence) * time.Second)
	choices := []struct {
		subject events.Subject
		data    events.Payload
	}{
		{events.WorkloadSubject("default", name), workload.AppliedV1{Revision: 1 + draw("revision", 3), Workload: document}},
		{events.WorkloadSubject("default", name), workload.ScaledV1{Replicas: draw("scale", 4)}},
		{events.WorkloadSubject("default", name), workload.DeleteRequestedV1{}},
		{events.WorkloadSubject("default", name), workload.DeletedV1{}},
		{events.InstanceSubject(k), instance.RequestedV1{Slot: slot, Attempt: attempt, Revision: 1, Spec: document.Instance(), Cause: instance.CauseApplied}},
		{events.InstanceSubject(k), instance.RequestedV1{Slot: slot, Attempt: attempt, Revision: 1, Spec: document.Instance(), Cause: instance.CauseFailed}},
		{events.InstanceSubject(k), instance.StopRequestedV1{Cause: instance.CauseScaled}},
		{events.InstanceSubject(k), instance.RetiredV1{Phase: spec.PhaseSucceeded}},
		{events.LedgerSubject(nodeName), ledger.AssignedV2{Instance: k, Generation: generation, Spec: document.Instance()}},
		{events.LedgerSubject(nodeName), ledger.RevokedV2{Instance: k, Generation: generation}},
		{events.UnplacedSubject(k), unplaced.UnplaceableV2{Nodes: 1, Reasons: []unplaced.Reason{{Filter: "resources", Detail: "short of cpu", Nodes: 1}}}},
		{events.NodeSubject(nodeName), node.JoinedV1{Incarnation: fmt.Sprint(run), Key: "key", Capacity: spec.Resources{CPU: 4000}}},
		{events.NodeSubject(nodeName), node.ReadyV1{}},
		{events.NodeSubject(nodeName), node.NotReadyV1{Message: "disk"}},
		{events.NodeSubject(nodeName), node.SuspectedV1{}},
		{events.NodeSubject(nodeName), node.LostV1{}},
		{events.NodeSubject(nodeName), node.ReturnedV1{}},
		{events.NodeSubject(nodeName), node.LeftV1{}},
		{events.ReportSubject(nodeName, k), report.PullingV1{}},
		{events.ReportSubject(nodeName, k), report.CreatedV1{}},
		{events.ReportSubject(nodeName, k), report.StartedV1{Container: "main", Run: run, At: at}},
		{events.ReportSubject(nodeName, k), report.HealthyV1{Container: "main", Run: run}},
		{events.ReportSubject(nodeName, k), report.UnhealthyV1{Container: "main", Run: run, Message: "503"}},
		{events.ReportSubject(nodeName, k), report.ExitedV1{Container: "main", Run: run, Code: 1, At: at}},
		{events.ReportSubject(nodeName, k), report.RestartingV1{Container: "main", Run: run + 1, NotBefore: at}},
		{events.ReportSubject(nodeName, k), report.DelayedV1{Reason: "ImagePullBackOff"}},
		{events.ReportSubject(nodeName, k), report.StoppedV1{Outcome: report.OutcomeFailed}},
		{events.ReportSubject(nodeName, k), report.StoppedV1{Outcome: report.OutcomeRevoked}},
		{events.ReportSubject(nodeName, k), report.RejectedV1{Reason: "BadImage"}},
		{events.CommandSubject(events.ServiceReconciler), command.AcceptedV1{Command: command.Record{ID: fmt.Sprint("c", run), Data: json.RawMessage(`{}`)}}},
		{events.CommandSubject(events.ServiceNodeHealth), command.RejectedV1{Command: command.Record{ID: fmt.Sprint("c", run), Data: json.RawMessage(`{}`)}, Code: command.CodeConflict}},
		{events.WorkloadSubject("default", name), events.Unknown{Type: "run.rutter.workload.renamed.v9", Raw: json.RawMessage(`{}`)}},
		{events.NodeSubject(nodeName), events.Malformed{Type: node.LostV1{}.WireType(), Raw: []byte("{"), Problem: "cut"}},
		{"evt.report.n1", report.StoppedV1{}}, // a subject that is too short
		{"evt", workload.DeletedV1{}},
	}
	c := choices[draw("event", len(choices))]
	return events.Event{
		ID: fmt.Sprintf("e%d", sequence), Type: c.data.WireType(), Subject: c.subject, Data: c.data, Time: at, Recorded: at, Sequence: sequence,
	}
}

func anyHistory(t *rapid.T) []events.Event {
	history := make([]events.Event, rapid.IntRange(1, 120).Draw(t, "length"))
	for n := range history {
		history[n] = anyEvent(t, uint64(n+1))
	}
	return history
}

func replay(history []events.Event) *projections.Cluster {
	s := projections.NewState()
	for _, e := range history {
		s.Apply(e)
	}
	return s.View()
}

func TestAnyOrderOfEventsFoldsToTheSameStateEveryTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history := anyHistory(t)
		whole := replay(history)
		// The same with a view taken after every event, and begun anew from one of them.
		s := projections.NewState()
		cut := rapid.IntRange(0, len(history)-1).Draw(t, "cut")
		for n, e := range history {
			if n == cut {
				s = projections.StateOf(s.View())
			}
			s.Apply(e)
			_ = s.View()
		}
		if a, b := whole.Hash(), s.View().Hash(); a != b {
			t.Fatalf("one fold gives %s, another %s", a, b)
		}
		if whole.Sequence() != uint64(len(history)) {
			t.Fatalf("folded %d events and is at %d", len(history), whole.Sequence())
		}
	})
}

func TestAViewNeverChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history := anyHistory(t)
		s := projections.NewState()
		var views []*projections.Cluster
		var hashes []string
		for n, e := range history {
			s.Apply(e)
			if n%7 == 0 {
				views, hashes = append(views, s.View()), append(hashes, s.View().Hash())
			}
		}
		for n, v := range views {
			further := history[rapid.IntRange(0, len(history)-1).Draw(t, "from"):]
			beyond := v.With(further...)
			if v.Hash() != hashes[n] {
				t.Fatalf("the view at %d changed", v.Sequence())
			}
			again := v.With(further...)
			if beyond.Hash() != again.Hash() {
				t.Fatalf("the view at %d leads to two different states", v.Sequence())
			}
		}
	})
}

// TestCapacityIsTheSumOfTheEntries: whatever is folded in whatever order, a node's figures are those of its entries, and every
// index says what the things themselves say.
func TestCapacityIsTheSumOfTheEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		view := replay(anyHistory(t))
		for n := range view.Nodes() {
			var sum spec.Resources
			var ports []string
			count := 0
			for e := range view.Entries(n.Name) {
				sum, count = sum.Add(e.Requests), count+1
				ports = append(ports, e.HostPorts...)
			}
			slices.Sort(ports)
			if count != n.Instances || !slices.Equal(ports, append([]string(nil), n.HostPorts...)) ||
				len(sum.Short(n.Allocated))+len(n.Allocated.Short(sum)) > 0 {
				t.Fatalf("node %s says %d, %v, %+v; its entries %d, %v, %+v", n.Name, n.Instances, n.HostPorts, n.Allocated, count, ports, sum)
			}
		}
		waiting, surplus := 0, 0
		for i := range view.Instances() {
			if i.Wished() && !i.Placed() {
				waiting++
			}
		}
		for range view.Waiting() {
			waiting--
		}
		for n := range view.Nodes() {
			for e := range view.Entries(n.Name) {
				i, ok := view.Instance(e.Instance)
				if !e.Revoked && (!ok || !i.Wished() || i.Node != e.Node || i.Generation != e.Generation) {
					surplus++
				}
			}
		}
		for range view.Surplus() {
			surplus--
		}
		if waiting != 0 || surplus != 0 {
			t.Fatalf("the indexes are wrong by %d waiting instances and %d surplus entries", waiting, surplus)
		}
	})
}
