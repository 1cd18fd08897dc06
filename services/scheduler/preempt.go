package scheduler

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/services/scheduler/placement"
)

// preempt evicts the victims and keeps the room for the instance, so that no one after it takes it. It reports whether there was room in the
// plan.
func (p *planner) preempt(i *projections.Instance, t *placement.Task, clear *placement.Clearance) bool {
	r := clear.MakeRoom(t, awaits(i))
	if r == nil {
		return true
	}
	name := r.Node.State.Name
	p.awaits[i.Key] = name
	p.evicts = p.evicts || len(r.Victims) > 0
	for _, v := range r.Victims {
		revoked := ledger.RevokedV2{
			Instance: v.Key, Generation: v.Generation, Cause: instance.CausePreempted, By: &i.Key, Grace: v.Spec.GracePeriod,
			Message: fmt.Sprintf("priority %s makes room for %s of priority %s: %s", v.Spec.Priority, i.Key, t.Priority, whyVictim(r)),
		}
		if !p.say(p.author.Say(i.Requested, events.LedgerSubject(name), kindPreempted+int(v.Generation), revoked)) {
			return false
		}
		clear.Evict(r.Node, v)
	}
	clear.Keep(r.Node, t)
	return true
}

// awaits is the node on which room is being made for an instance.
func awaits(i *projections.Instance) string {
	if i.Unplaceable == nil {
		return ""
	}
	return i.Unplaceable.Awaits
}

// whyVictim says how the victims were chosen.
func whyVictim(r *placement.Room) string {
	if r.Options == 1 {
		return fmt.Sprintf("one of %d without which it fits on no node", len(r.Victims))
	}
	return fmt.Sprintf("one of %d that are needed, and the least of %d nodes where that would do", len(r.Victims), r.Options)
}
