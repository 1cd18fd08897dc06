package gatewaytest

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections"
)

// decideNode answers a command as node-health would, as far as these tests need it. A node that is drained is empty once the test says so.
func (r *Rig) decideNode(d events.Delivery) {
	c := d.Command()
	subject := events.NodeSubject(events.Subject(c.Subject).Node())
	n, ok := r.View.View().Node(subject.Node())
	var what []events.Payload
	code, message := command.Code(""), ""
	switch data := c.Data.(type) {
	case node.CordonV1:
		if ok && !n.Cordoned {
			what = []events.Payload{node.CordonedV1{}}
		}
	case node.UncordonV1:
		what = []events.Payload{node.UncordonedV1{}}
	case node.DrainV1:
		what = []events.Payload{node.DrainingV1{}}
	case node.TaintV1:
		what = []events.Payload{node.TaintedV1{Set: data.Set, Removed: data.Remove}}
	case node.RemoveV1:
		if ok && (data.Force || n.Health == projections.Lost) {
			what = []events.Payload{node.LeftV1{Message: data.Message}}
		} else {
			code, message = command.CodeConflict, "node "+subject.Node()+" is not lost: drain it first, or remove it by force"
		}
	case node.LabelV1:
		what = []events.Payload{node.LabelledV1{Set: data.Set, Removed: data.Remove}}
	}
	if !ok {
		what, code, message = nil, command.CodeNotFound, "there is no node "+subject.Node()
	}
	r.recordOf(events.ServiceNodeHealth, c, subject, what, code, message)
	if err := d.Ack(); err != nil {
		r.t.Error(err)
	}
}

// stopped answers the wish to stop an instance.
func (r *Rig) stopped(c events.Command, data instance.StopV1) {
	namespace, name := events.Subject(c.Subject).Workload()
	k := events.InstanceKey{Namespace: namespace, Workload: name, Name: data.Instance}
	i, ok := r.View.View().Instance(k)
	switch {
	case !ok:
		r.record(c, events.InstanceSubject(k), nil, command.CodeNotFound, "there is no instance "+k.String())
	case i.Stop != nil:
		r.record(c, events.InstanceSubject(k), nil, "", "")
	default:
		r.record(c, events.InstanceSubject(k), []events.Payload{instance.StopRequestedV1{Cause: instance.CauseByHand}}, "", "")
	}
}

// rolledOut answers what is asked of a roll-out.
func rolledOut(w *projections.Workload, data workload.RolloutV1) (what []events.Payload, code command.Code, message string) {
	switch data.Action {
	case workload.ActionPause:
		what = append(what, workload.RolloutPausedV1{Revision: w.Revision})
	case workload.ActionResume:
		what = append(what, workload.RolloutResumedV1{Revision: w.Revision})
	case workload.ActionPromote:
		what = append(what, workload.RolloutPromotedV1{Revision: w.Revision})
	case workload.ActionRestart:
		what = append(what, workload.RestartedV1{Revision: w.Newest + 1})
	default:
		old, ok := w.Remembered(data.Revision)
		if !ok {
			return nil, command.CodeNotFound, fmt.Sprintf("the workload remembers no revision %d", data.Revision)
		}
		what = append(what, workload.RolledBackV1{From: w.Revision, Revision: old.Number, Workload: old.Document})
	}
	return what, "", ""
}
