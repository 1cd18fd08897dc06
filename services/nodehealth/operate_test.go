package nodehealth_test

import (
	"testing"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/nodehealth"
)

func TestANodeIsDrainedOnceNothingIsLeftOnIt(t *testing.T) {
	s := projectionstest.New()
	s.Node("n1", spec.Resources{CPU: 1000, Memory: 1 << 30}, nil)
	k := projectionstest.Key("web", 0, 1)
	s.Say(events.InstanceSubject(k), instance.RequestedV1{Attempt: 1, Revision: 1, Spec: projectionstest.Document("web", 1).Instance()})
	s.Place(k, "n1")
	draining := s.Say(events.NodeSubject("n1"), node.DrainingV1{})
	plan := func() events.Batch { return nodehealth.Judge(s.View(), nodehealth.Hearing{}, timing, s.Now).Batch }
	if batch := plan(); len(batch) > 0 {
		t.Fatalf("says %s while the node holds an instance", events.Line(batch[0].Events[0]))
	}
	s.Revoke(k)
	s.Stopped(k, report.OutcomeRevoked)
	batch := plan()
	if len(batch) != 1 || batch[0].Events[0].Causation != draining.ID || batch[0].Events[0].Data != (node.DrainedV1{}) {
		t.Fatalf("plans %+v", batch)
	}
	if err := s.Commit(batch); err != nil {
		t.Fatal(err)
	}
	if batch := plan(); len(batch) > 0 {
		t.Fatalf("says it again: %s", events.Line(batch[0].Events[0]))
	}
	if n, _ := s.View().Node("n1"); !n.Drain.Done || n.TakesWork() {
		t.Errorf("%+v", n)
	}
}

func TestALabelSetByHandOutlivesTheAgent(t *testing.T) {
	s := projectionstest.New()
	s.Node("n1", spec.Resources{CPU: 1000}, map[string]string{"disk": "hdd", "arch": "amd64"})
	s.Say(events.NodeSubject("n1"), node.LabelledV1{Set: map[string]string{"disk": "ssd"}})
	s.Say(events.NodeSubject("n1"), node.CordonedV1{})
	s.Node("n1", spec.Resources{CPU: 1000}, map[string]string{"disk": "tape"}) // its agent begins anew
	n, _ := s.View().Node("n1")
	if n.Labels["disk"] != "ssd" || n.Labels["arch"] != "" || !n.Cordoned {
		t.Errorf("labels %v, cordoned %v", n.Labels, n.Cordoned)
	}
	s.Say(events.NodeSubject("n1"), node.LabelledV1{Removed: []string{"disk"}})
	if n, _ = s.View().Node("n1"); n.Labels["disk"] != "tape" {
		t.Errorf("labels %v, want the agent's own back", n.Labels)
	}
	s.Say(events.NodeSubject("n1"), node.LeftV1{})
	s.Node("n1", spec.Resources{CPU: 1000}, nil)
	if n, _ = s.View().Node("n1"); n.Cordoned || len(n.Labels) > 0 {
		t.Errorf("a node that comes under the name of one that left is %+v", n)
	}
}
