package events_test

import (
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
)

func TestATypeBelongsToItsOwnAggregate(t *testing.T) {
	subjects := map[events.Aggregate]events.Subject{
		events.AggregateWorkload: events.WorkloadSubject("default", "web"),
		events.AggregateInstance: events.InstanceSubject(events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}),
		events.AggregateLedger:   events.LedgerSubject("n1"),
		events.AggregateUnplaced: events.UnplacedSubject(events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}),
		events.AggregateNode:     events.NodeSubject("n1"),
		events.AggregateReport:   events.ReportSubject("n1", events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}),
		events.AggregateCommand:  events.CommandSubject(events.ServiceReconciler),
	}
	for _, wireType := range catalog.New().Types() {
		homes := 0
		for _, subject := range subjects {
			if events.Belongs(wireType, subject) {
				homes++
			}
		}
		if homes > 1 {
			t.Errorf("%s belongs under %d aggregates", wireType, homes)
		}
	}
	for wireType, subject := range map[string]events.Subject{
		"run.rutter.instance.requested.v1": subjects[events.AggregateReport],
		"run.rutter.command.accepted.v1":   subjects[events.AggregateReport],
		"run.rutter.nodes.ready.v1":        subjects[events.AggregateNode],
		"run.rutter.node":                  subjects[events.AggregateNode],
		"run.rutter.node.":                 subjects[events.AggregateNode],
		"org.example.node.ready.v1":        subjects[events.AggregateNode],
		"run.rutter..ready.v1":             "evt.",
		"":                                 "",
	} {
		if events.Belongs(wireType, subject) {
			t.Errorf("%s may stand under %s", wireType, subject)
		}
	}
	if !events.Belongs("run.rutter.report.exploded.v7", subjects[events.AggregateReport]) {
		t.Error("a type of a later version has no home")
	}
}

func TestOnlyANodeHasItsIDs(t *testing.T) {
	id := events.NodeID("n1", events.DeriveID("cause", events.NodeSubject("n1"), 0))
	for node, own := range map[string]bool{"n1": true, "n": false, "n1-2": false, "": false} {
		if events.OfNode(id, node) != own {
			t.Errorf("%s is of node %q: %t", id, node, !own)
		}
	}
	for _, foreign := range []string{"", "n1", "n1.x", "@n1", "@n1.", events.DeriveID("c", "s", 1)} {
		if events.OfNode(foreign, "n1") {
			t.Errorf("%q is of n1", foreign)
		}
	}
}
