package nodehealth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/services/nodehealth"
)

func TestDecide(t *testing.T) {
	register := func(incarnation, key string) node.RegisterV1 {
		return node.RegisterV1{Incarnation: incarnation, Key: key, Capacity: spec.Resources{CPU: 1000}, Labels: map[string]string{"zone": "a"}}
	}
	joined := node.JoinedV1{Incarnation: "a", Key: "k", Capacity: spec.Resources{CPU: 1000}}
	labelled := joined
	labelled.Labels = map[string]string{"arch": "amd64"}
	gpu := spec.Taint{Key: "dedicated", Value: "gpu", Effect: spec.NoSchedule}
	for _, c := range []struct {
		name   string
		node   string
		before []events.Payload
		ask    events.Payload
		want   string // the event's line, or the code of the rejection
		why    string
	}{
		{"a new node", "n1", nil, register("a", "k"), "joined with 1 cpu, 0 memory", ""},
		{"the same again", "n1", []events.Payload{joined}, register("a", "k"), "", ""},
		{"the agent restarted", "n1", []events.Payload{joined}, register("b", "k"), "joined with 1 cpu, 0 memory", ""},
		{"the name is another's", "n1", []events.Payload{joined}, register("b", "other"), "Conflict", "belongs to another key"},
		{"the name is a lost node's", "n1", []events.Payload{joined, node.LostV1{}}, register("b", "other"), "Conflict", "belongs to another key"},
		{"the name is free again", "n1", []events.Payload{joined, node.LeftV1{}}, register("b", "other"), "joined with 1 cpu, 0 memory", ""},
		{"back after it left", "n1", []events.Payload{joined, node.LeftV1{}}, register("a", "k"), "joined with 1 cpu, 0 memory", ""},
		{"no incarnation", "n1", nil, register("", "k"), "Invalid", "incarnation: want"},
		{"a name that is none", "N_1", nil, register("a", "k"), "Invalid", `node: "N_1"`},
		{"less than nothing", "n1", nil, node.RegisterV1{Incarnation: "a", Capacity: spec.Resources{GPU: -1}}, "Invalid", "capacity.gpu"},
		{"leave", "n1", []events.Payload{joined}, node.LeaveV1{Message: "sold"}, "left: sold", ""},
		{"leave again", "n1", []events.Payload{joined, node.LeftV1{}}, node.LeaveV1{}, "", ""},
		{"leave and never been", "n1", nil, node.LeaveV1{}, "NotFound", "there is no node n1"},
		{"remove what runs", "n1", []events.Payload{joined}, node.RemoveV1{}, "Conflict", "drain it first, or remove it by force"},
		{"remove what runs by force", "n1", []events.Payload{joined}, node.RemoveV1{Force: true}, "left: removed", ""},
		{"remove what is suspected", "n1", []events.Payload{joined, node.SuspectedV1{}}, node.RemoveV1{}, "Conflict", "n1 is Suspected"},
		{"remove what is lost", "n1", []events.Payload{joined, node.LostV1{}}, node.RemoveV1{Message: "burnt"}, "left: burnt", ""},
		{"remove what is drained", "n1", []events.Payload{joined, node.DrainingV1{}}, node.RemoveV1{}, "left: removed", ""},
		{"remove again", "n1", []events.Payload{joined, node.LeftV1{}}, node.RemoveV1{}, "", ""},
		{"remove and never been", "n1", nil, node.RemoveV1{}, "NotFound", "there is no node n1"},
		{"cordon", "n1", []events.Payload{joined}, node.CordonV1{}, "cordoned", ""},
		{"cordon again", "n1", []events.Payload{joined, node.CordonedV1{}}, node.CordonV1{}, "", ""},
		{"cordon what is not there", "n1", nil, node.CordonV1{}, "NotFound", "there is no node n1"},
		{"cordon what left", "n1", []events.Payload{joined, node.LeftV1{}}, node.CordonV1{}, "NotFound", "there is no node n1"},
		{"uncordon", "n1", []events.Payload{joined, node.CordonedV1{}}, node.UncordonV1{}, "uncordoned", ""},
		{"uncordon what is not cordoned", "n1", []events.Payload{joined}, node.UncordonV1{}, "", ""},
		{"drain", "n1", []events.Payload{joined}, node.DrainV1{}, "draining", ""},
		{"drain again", "n1", []events.Payload{joined, node.DrainingV1{}}, node.DrainV1{}, "", ""},
		{"drain in a hurry", "n1", []events.Payload{joined, node.DrainingV1{}}, node.DrainV1{Within: spec.Duration(time.Minute)}, "draining until 2030-01-02 03:05:05 UTC", ""},
		{"drain within less than nothing", "n1", []events.Payload{joined}, node.DrainV1{Within: -1}, "Invalid", "within"},
		{"stop draining", "n1", []events.Payload{joined, node.DrainingV1{}}, node.UncordonV1{}, "uncordoned", ""},
		{"taint", "n1", []events.Payload{joined}, node.TaintV1{Set: []spec.Taint{gpu}}, "tainted dedicated=gpu:NoSchedule", ""},
		{"taint again", "n1", []events.Payload{joined, node.TaintedV1{Set: []spec.Taint{gpu}}}, node.TaintV1{Set: []spec.Taint{gpu}}, "", ""},
		{"take every taint of a key off", "n1", []events.Payload{joined, node.TaintedV1{Set: []spec.Taint{gpu}}}, node.TaintV1{Remove: []spec.Taint{{Key: "dedicated"}}}, "tainted dedicated=gpu:NoSchedule-", ""},
		{"take off what is not there", "n1", []events.Payload{joined}, node.TaintV1{Remove: []spec.Taint{{Key: "dedicated"}}}, "NotFound", "no taint dedicated"},
		{"a taint without effect", "n1", []events.Payload{joined}, node.TaintV1{Set: []spec.Taint{{Key: "dedicated"}}}, "Invalid", "NoExecute"},
		{"label", "n1", []events.Payload{joined}, node.LabelV1{Set: map[string]string{"disk": "ssd"}}, "labelled disk=ssd", ""},
		{"label again", "n1", []events.Payload{joined, node.LabelledV1{Set: map[string]string{"disk": "ssd"}}}, node.LabelV1{Set: map[string]string{"disk": "ssd"}}, "", ""},
		{"take a label off", "n1", []events.Payload{joined, node.LabelledV1{Set: map[string]string{"disk": "ssd"}}}, node.LabelV1{Remove: []string{"disk"}}, "labelled disk-", ""},
		{"take the agent's label off", "n1", []events.Payload{labelled}, node.LabelV1{Remove: []string{"arch"}}, "Conflict", "agent's configuration"},
		{"take off a label that is not there", "n1", []events.Payload{joined}, node.LabelV1{Remove: []string{"disk"}}, "NotFound", "no label disk"},
		{"another service's", "n1", nil, workload.DeleteV1{}, "Invalid", "does not handle run.rutter.workload.delete.v1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := projectionstest.New()
			for _, data := range c.before {
				s.Say(events.NodeSubject(c.node), data)
			}
			d := nodehealth.Decide(s.View(), events.Command{ID: "c1", Type: c.ask.WireType(), Subject: events.NodeCommand(c.node), Actor: "node:n1", Data: c.ask}, s.Now)
			got := string(d.Code)
			if len(d.Events) > 0 {
				got = d.Events[0].Data.Line()
				if e := d.Events[0]; e.Causation != events.OutcomeID("c1") || e.Actor != "node:n1" || e.Subject != events.NodeSubject(c.node) {
					t.Errorf("%+v", e)
				}
			}
			if got != c.want || !strings.Contains(d.Message, c.why) {
				t.Errorf("%q (%s), want %q (%s)", got, d.Message, c.want, c.why)
			}
		})
	}
}
