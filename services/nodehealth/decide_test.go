package nodehealth_test

import (
	"strings"
	"testing"

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
				if e := d.Events[0]; e.Causation != "c1" || e.Actor != "node:n1" || e.Subject != events.NodeSubject(c.node) {
					t.Errorf("%+v", e)
				}
			}
			if got != c.want || !strings.Contains(d.Message, c.why) {
				t.Errorf("%q (%s), want %q (%s)", got, d.Message, c.want, c.why)
			}
		})
	}
}
