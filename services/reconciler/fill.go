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
func (p *pass) fill(s *slot) {
	i := s.newest
	switch {
	case s.serving != nil:
		p.succeed(s)
	case i == nil:
		p.request(s, nil, p.revisionForNew())
	case i.End != nil && i.Wished():
		p.replaceEnded(s, i)
	case i.Wished() && i.NodeLost:
		p.stop(i, i.Lost, instance.CauseNodeLost, "node "+i.Node+" is lost")
	case i.Wished():
		// It runs, or is on its way to.
	case i.Retired || i.End != nil || i.NodeLost || !i.Placed():
		p.request(s, i, p.revisionFor(i))
	default:
		p.hold(s.number, noTime, "the next attempt waits for %s to stop on %s", i.Key.Name, i.Node)
	}
}

// succeed brings the successor of an instance that still serves forward, until it is ready and takes its place.
func (p *pass) succeed(s *slot) {
	old, next := s.serving, s.newest
	cause, mark, due := p.departure(s)
	switch {
	case !next.Wished():
		// It was given up: the old one holds the slot.
	case next.Revision != old.Revision && next.Revision != p.workload.Revision:
		p.stop(next, p.workload.Applied, instance.CauseRolledOut, fmt.Sprintf("revision %d is wished for", p.workload.Revision))
	case next.End != nil:
		p.replaceEnded(s, next)
	case next.NodeLost:
		p.stop(next, next.Lost, instance.CauseNodeLost, "node "+next.Node+" is lost")
	case next.Phase == spec.PhaseReady:
		p.stop(old, mark, cause, next.Key.Name+" is ready and takes its place")
	case !due:
		p.stop(next, old.Requested, instance.CauseSuperseded, old.Key.Name+" stays after all")
	}
}

// departure is why the instance that serves a slot is to make room for the newest; due is false where there is no reason any more.
func (p *pass) departure(s *slot) (cause instance.Cause, mark projections.Mark, due bool) {
	old, next := s.serving, s.newest
	if old.Revision != next.Revision && next.Revision == p.workload.Revision {
		return instance.CauseRolledOut, p.workload.Applied, true
	}
	if n, ok := p.view.Node(old.Node); ok && n.Drain != nil {
		return instance.CauseDrained, n.Drain.Mark, true
	}
	return instance.CauseSuperseded, next.Requested, false
}

// replaceEnded requests the next attempt after an instance that ended although it was wished for, once the slot has backed off. A
// new revision does not wait: it may be the cure.
func (p *pass) replaceEnded(s *slot, i *projections.Instance) {
	revision := p.revisionFor(i)
	switch old := s.serving; {
	case old == nil:
	case old.Revision == i.Revision:
		revision = old.Revision // a slot does not change its revision by the way
	default:
		revision = p.workload.Revision
	}
	if h, ok := p.view.Slot(i.Key.Namespace, i.Key.Workload, s.number); ok && revision == i.Revision && i.End.ByItself() {
		if due := h.FailedAt.Add(Backoff(h.Failures)); p.author.Now.Before(due) {
			p.hold(s.number, due, "%s ended (%s), %d in a row: the next attempt backs off", i.Key.Name, i.Reason, h.Failures)
			return
		}
	}
	p.request(s, i, revision)
}

// request asks for the next attempt at a slot. before is the instance that held it, nil where none is remembered.
func (p *pass) request(s *slot, before *projections.Instance, revision int) {
	data := instance.RequestedV1{Revision: revision, Spec: p.specOf(revision, before)}
	if revision == p.workload.Revision && p.recreates() && p.outdated > 0 {
		p.hold(s.number, noTime, "revision %d waits for %d instances of the one before to stop", revision, p.outdated)
		return
	}
	if alone := aloneAt(before); p.author.Now.Before(alone) {
		p.hold(s.number, alone, "%s may still run on %s, which is cut off: it stops there by itself, and no second one starts before", before.Key.Name, before.Node)
		return
	}
	var mark projections.Mark
	var succeeds bool
	data.Cause, mark, succeeds = p.succession(before, revision)
	if succeeds {
		data.Replaces = before.Key.Name
	}
	if revision == p.workload.Revision {
		p.busy, p.trying = p.busy+1-truth(p.rolling(s)), p.trying+1-truth(p.tries(s))
	}
	p.ask(s, mark, data)
}

// aloneAt is from when on an instance that was lost with its node cannot run any more, zero where nothing has to be waited for: it may run beside
// its successor, or it is known to be gone. A node that is cut off stops it by itself once its lease is over, within its grace period. The lease began when
// the node was last in contact, which is before it was given up as lost.
func aloneAt(i *projections.Instance) time.Time {
	if i == nil || i.Spec.OnPartition != spec.PartitionStop || !i.Placed() || i.End != nil || i.Stop == nil || i.Stop.Cause != instance.CauseNodeLost {
		return noTime
	}
	return i.Stop.Mark.Time.Add(spec.MaxPartitionLease + leaseSlack + time.Duration(i.Spec.GracePeriod))
}

// leaseSlack is how much later than its end an agent may notice that its lease is over: it looks a few times in a lease.
const leaseSlack = spec.MaxPartitionLease / 3

// requestBeside asks for the successor of an instance that goes on until it is ready.
func (p *pass) requestBeside(s *slot, old *projections.Instance, cause instance.Cause, mark projections.Mark) {
	data := instance.RequestedV1{Revision: p.workload.Revision, Spec: p.workload.Document.Instance(), Cause: cause, Replaces: old.Key.Name}
	if cause != instance.CauseRolledOut { // a slot does not change its revision by the way
		data.Revision, data.Spec = old.Revision, old.Spec
	}
	p.ask(s, mark, data)
}

// ask says that the next attempt at a slot is wished for.
func (p *pass) ask(s *slot, mark projections.Mark, data instance.RequestedV1) {
	w := p.workload
	s.touched = true
	data.Slot, data.Attempt = s.number, 1
	if j := w.Document.Spec.Job; j != nil && j.Indexed {
		data.Spec = indexed(data.Spec, s.number)
	}
	if h, ok := p.view.Slot(w.Namespace, w.Name, s.number); ok {
		data.Attempt = h.Attempt + 1
	}
	k := events.InstanceKey{Namespace: w.Namespace, Workload: w.Name, Name: events.InstanceName(w.Name, s.number, data.Attempt)}
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
	case before.Stop != nil && followedOn(before.Stop) && before.Stop.Cause != instance.CauseSuperseded:
		return before.Stop.Cause, before.Stop.Mark, true
	case before.Stop != nil || before.End == nil:
		// It was stopped when there were fewer slots, or the workload was to go: now the slot is wished for again.
	case revision != before.Revision:
		return instance.CauseRolledOut, w.Applied, true
	case before.Evicted != nil:
		return before.Evicted.Cause, before.Evicted.Mark, true // it was gone before anybody could ask it to stop
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
