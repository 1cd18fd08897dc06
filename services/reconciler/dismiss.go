package reconciler

import (
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections"
)

// The kinds of events that one cause can bring about on one subject: they keep derived ids apart.
const (
	kindRequested = iota
	kindStopRequested
	kindRetired
	kindDeleted
	kindRolloutStarted
	kindRolloutCompleted
	kindRolloutPaused
	kindRolledBack
	kindFinished
	kindExpired
)

var deleted = workload.DeletedV1{}

// dismiss stops an instance that is not wished for any more, or retires one of which nothing is left.
func (p *pass) dismiss(i *projections.Instance) {
	if i.Retired {
		return
	}
	s, active := p.active[i.Slot]
	beyond := !active
	passed := active && s.newest != i && s.serving != i
	switch {
	case i.End == nil && i.Stop == nil && i.Evicted != nil && !i.NodeLost:
		p.stop(i, i.Evicted.Mark, i.Evicted.Cause, i.Evicted.Message) // the scheduler has taken it off its node
	case i.Stop == nil && !beyond && !passed:
		return // it holds its slot
	case i.End == nil && i.Stop == nil && beyond:
		cause, message := p.why(i)
		p.stop(i, p.workload.Changed, cause, message)
	case i.End == nil && i.Stop == nil && i.NodeLost:
		p.stop(i, i.Lost, instance.CauseNodeLost, "node "+i.Node+" is lost")
	case i.End == nil && i.Stop == nil:
		p.stop(i, s.newest.Requested, instance.CauseSuperseded, s.newest.Key.Name+" holds the slot")
	default:
		p.retire(i)
	}
}

// why explains the choice of an instance that the present number of replicas has no slot for.
func (p *pass) why(i *projections.Instance) (instance.Cause, string) {
	w := p.workload
	if w.Deleting || w.Deleted {
		return instance.CauseDeleted, "the workload is to go"
	}
	if w.Scaled {
		return instance.CauseScaled, p.choice(i)
	}
	return instance.CauseApplied, p.choice(i)
}

func (p *pass) stop(i *projections.Instance, mark projections.Mark, cause instance.Cause, message string) {
	if s := p.active[i.Slot]; s != nil {
		s.touched = true
	}
	p.say(mark, events.InstanceSubject(i.Key), kindStopRequested, instance.StopRequestedV1{
		Cause: cause, Message: message, Grace: i.Spec.GracePeriod,
	})
}

// retire says that nothing is left of an instance: its agent said so and its ledger is clear of it, its node has left and
// its ledger is clear of it, or it never had a node. While its ledger still names it, an agent that begins anew would run it again.
func (p *pass) retire(i *projections.Instance) {
	subject := events.InstanceSubject(i.Key)
	switch {
	case !i.Placed():
		p.say(i.Stop.Mark, subject, kindRetired, instance.RetiredV1{Phase: spec.PhaseSucceeded, Message: "it never had a node"})
	case !i.Revoked:
		p.hold(i.Slot, noTime, "%s waits for the scheduler to take it off %s", i.Key.Name, i.Node)
	case i.End != nil:
		p.say(i.End.Mark, subject, kindRetired, instance.RetiredV1{Phase: i.Phase, Message: i.Reason})
	case p.left(i.Node):
		p.say(i.Lost, subject, kindRetired, instance.RetiredV1{Phase: spec.PhaseLost, Message: "node " + i.Node + " has left"})
	case i.NodeLost:
		p.hold(i.Slot, noTime, "%s may still run on lost node %s", i.Key.Name, i.Node)
	default:
		p.hold(i.Slot, noTime, "%s is stopping on %s", i.Key.Name, i.Node)
	}
}

func (p *pass) left(node string) bool {
	n, ok := p.view.Node(node)
	return !ok || n.Health == projections.Left
}
