package reconciler

import (
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

var noTime time.Time

// fill sees to it that a wished slot has an instance.
func (p *pass) fill(slot int) {
	i := p.newest[slot]
	switch {
	case i == nil:
		p.request(slot, nil, p.workload.Revision)
	case i.End != nil && i.Wished():
		p.replaceEnded(slot, i)
	case i.Wished() && i.NodeLost:
		p.stop(i, i.Lost, instance.CauseNodeLost, "node "+i.Node+" is lost")
	case i.Wished():
		// It runs, or is on its way to.
	case i.Retired || i.End != nil || i.NodeLost || !i.Placed():
		p.request(slot, i, p.revisionFor(i))
	default:
		p.hold(slot, noTime, "the next attempt waits for %s to stop on %s", i.Key.Name, i.Node)
	}
}

// replaceEnded requests the next attempt after an instance that ended although it was wished for, once the slot has backed off. A
// new revision does not wait: it may be the cure.
func (p *pass) replaceEnded(slot int, i *projections.Instance) {
	revision := p.revisionFor(i)
	if s, ok := p.view.Slot(i.Key.Namespace, i.Key.Workload, slot); ok && revision == i.Revision && i.End.ByItself() {
		if due := s.FailedAt.Add(Backoff(s.Failures)); p.author.Now.Before(due) {
			p.hold(slot, due, "%s ended (%s), %d in a row: the next attempt backs off", i.Key.Name, i.Reason, s.Failures)
			return
		}
	}
	p.request(slot, i, revision)
}

// request asks for the next attempt at a slot. before is the instance that held it, nil where none is remembered.
func (p *pass) request(slot int, before *projections.Instance, revision int) {
	w := p.workload
	data := instance.RequestedV1{Slot: slot, Attempt: 1, Revision: revision, Spec: w.Document.Instance()}
	if s, ok := p.view.Slot(w.Namespace, w.Name, slot); ok {
		data.Attempt = s.Attempt + 1
	}
	if before != nil && revision != w.Revision {
		data.Spec = before.Spec
	}
	var mark projections.Mark
	var succeeds bool
	data.Cause, mark, succeeds = p.succession(before, revision)
	if succeeds {
		data.Replaces = before.Key.Name
	}
	if revision == w.Revision {
		p.busy++
	}
	k := events.InstanceKey{Namespace: w.Namespace, Workload: w.Name, Name: events.InstanceName(w.Name, slot, data.Attempt)}
	p.say(mark, events.InstanceSubject(k), kindRequested, data)
}

// succession says why the next attempt is requested, what event that is due to, and whether it takes the place of the one before.
func (p *pass) succession(before *projections.Instance, revision int) (cause instance.Cause, mark projections.Mark, succeeds bool) {
	w := p.workload
	switch {
	case before == nil:
	case before.Stop != nil && before.Stop.Cause == instance.CauseNodeLost:
		if before.NodeLost {
			return instance.CauseNodeLost, before.Lost, true
		}
		return instance.CauseNodeLost, before.Stop.Mark, true // the node is back, too late
	case before.Stop != nil && (before.Stop.Cause == instance.CauseRolledOut || before.Stop.Cause == instance.CauseByHand):
		return before.Stop.Cause, before.Stop.Mark, true
	case before.Stop != nil || before.End == nil:
		// It was stopped when there were fewer slots, or the workload was to go: now the slot is wished for again.
	case revision != before.Revision:
		return instance.CauseRolledOut, w.Applied, true
	case before.End.Outcome == report.OutcomeCutOff:
		return instance.CauseNodeLost, before.End.Mark, true
	default:
		return instance.CauseFailed, before.End.Mark, true
	}
	if w.Scaled {
		return instance.CauseScaled, w.Changed, false
	}
	return instance.CauseApplied, w.Changed, false
}

// rolling reports whether the slot is on its way to the present revision: it has begun to change, or the instance that is to be
// seen ready before the next slot is touched is not ready yet.
func (p *pass) rolling(i *projections.Instance) bool {
	switch {
	case i == nil:
		return true
	case i.Revision == p.workload.Revision:
		return i.Phase != spec.PhaseReady
	default:
		return i.Stop != nil && i.Stop.Cause == instance.CauseRolledOut
	}
}

// revisionFor is what follows an instance that is gone: the present revision, unless another slot is just trying it. Then the old
// one is good enough, so that never more than one slot at a time is not ready because of the roll-out.
func (p *pass) revisionFor(i *projections.Instance) int {
	stoppedFor := instance.Cause("")
	if i.Stop != nil {
		stoppedFor = i.Stop.Cause
	}
	switch stoppedFor {
	case "", instance.CauseNodeLost, instance.CauseByHand:
		if i.Revision != p.workload.Revision && p.busy > 0 {
			return i.Revision
		}
	}
	return p.workload.Revision
}

// rollOut takes the next step towards the present revision: it stops one instance of another one, unless a slot is on its way
// already. One that is not ready goes first, since it costs nothing; then the lowest slot.
func (p *pass) rollOut() {
	var next *projections.Instance
	for _, i := range p.newest {
		if i == nil || !i.Wished() || i.End != nil || i.NodeLost || i.Revision == p.workload.Revision {
			continue
		}
		if next == nil || (next.Phase == spec.PhaseReady && i.Phase != spec.PhaseReady) {
			next = i
		}
	}
	switch {
	case next == nil:
	case p.busy > 0:
		p.hold(next.Slot, noTime, "revision %d waits: another slot is not ready yet", p.workload.Revision)
	default:
		p.stop(next, p.workload.Applied, instance.CauseRolledOut, fmt.Sprintf("revision %d takes the slot", p.workload.Revision))
	}
}
