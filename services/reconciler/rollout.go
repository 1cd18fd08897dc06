package reconciler

import (
	"fmt"

	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// limits are how far a roll-out, or a drain, may reduce and exceed the wished number of instances.
type limits struct {
	unavailable int // slots that may be without a ready instance for its sake
	surge       int // slots that may have a second instance for its sake
	trying      int // slots that may be at the present revision while it is not to be trusted yet; none more while the roll-out is paused
	canary      int // the same, paused or not
}

// limitsOf works out the workload's strategy for the number of its slots.
func (p *pass) limitsOf(slots int) limits {
	l := limits{unavailable: 1, trying: slots}
	s := p.workload.Document.Spec.Strategy
	switch {
	case s == nil:
	case s.Type == spec.Recreate:
		l.unavailable = slots
	default:
		l.unavailable, l.surge = s.MaxUnavailable.Of(slots, false), s.MaxSurge.Of(slots, true)
		if p.workload.Document.Spec.OnPartition == spec.PartitionStop {
			l.surge = 0 // two of a slot never run at once
		}
		if l.unavailable+l.surge == 0 {
			l.unavailable = 1 // shares of few come to nothing: then one at a time
		}
	}
	if s != nil && s.Type == spec.Canary && p.roll != nil && !p.roll.Promoted && p.roll.Revision != p.workload.Good {
		l.trying = min(slots, max(1, s.Canary.Of(slots, true)))
	}
	l.canary = l.trying
	if p.roll != nil && p.roll.Paused {
		l.trying = 0
	}
	return l
}

// recreates reports whether all old instances stop before a new one starts.
func (p *pass) recreates() bool {
	s := p.workload.Document.Spec.Strategy
	return s != nil && s.Type == spec.Recreate
}

// rolling reports whether the slot is on its way to the present revision at the cost of being without a ready instance: it has begun to
// change, or the instance that is to be seen ready before further slots are touched is not ready yet.
func (p *pass) rolling(s *slot) bool {
	i := s.holder()
	switch {
	case i == nil:
		return true
	case i.Revision == p.workload.Revision:
		return i.Phase != spec.PhaseReady
	default:
		return i.Stop != nil && i.Stop.Cause == instance.CauseRolledOut
	}
}

// tries reports whether the slot is at the present revision, or on its way there.
func (p *pass) tries(s *slot) bool {
	switch i := s.newest; {
	case i == nil:
		return false
	case i.Wished():
		return i.Revision == p.workload.Revision
	default:
		return s.serving == nil && followedOn(i.Stop) && (i.Revision == p.workload.Revision || i.Stop.Cause == instance.CauseRolledOut)
	}
}

// revisionFor is what follows an instance that is gone: the present revision, unless as many slots as may be are just trying it. Then the old
// one is good enough.
func (p *pass) revisionFor(i *projections.Instance) int {
	switch {
	case i.Stop != nil && !followedOn(i.Stop):
		return p.revisionForNew() // the slot was free
	case p.roll == nil, i.Revision == p.workload.Revision:
		return p.workload.Revision
	case i.Stop != nil && i.Stop.Cause == instance.CauseRolledOut && p.trying <= p.limits.canary:
		return p.workload.Revision // the slot is one of those that are counted as trying
	}
	if p.busy >= p.limits.unavailable || p.trying >= p.limits.trying {
		return i.Revision
	}
	return p.workload.Revision
}

// revisionForNew is what fills a slot that was free: the present revision, unless no more slots may try it.
func (p *pass) revisionForNew() int {
	if p.roll != nil && p.trying >= p.limits.trying {
		if old, ok := p.workload.Remembered(p.roll.From); ok {
			return old.Number
		}
	}
	return p.workload.Revision
}

// specOf is what instances of a revision are to run. before is one that was there, nil where there was none.
func (p *pass) specOf(revision int, before *projections.Instance) spec.InstanceSpec {
	if before != nil && before.Revision == revision && revision != p.workload.Revision {
		return before.Spec
	}
	if old, ok := p.workload.Remembered(revision); ok && revision != p.workload.Revision {
		return old.Document.Instance()
	}
	return p.workload.Document.Instance()
}

// rollOut takes the next steps towards the present revision: it stops instances of other ones, as many at a time as may be missing, or
// requests their successors first, as many as there may be too many. One that is not ready goes first, since it costs nothing; then the lowest slot.
func (p *pass) rollOut() {
	for _, unready := range []bool{true, false} {
		for _, s := range p.slots {
			i := s.holder()
			if !living(i) || i.Revision == p.workload.Revision || s.pair() || s.touched || (i.Phase != spec.PhaseReady) != unready {
				continue
			}
			if !p.advance(s, i) {
				return
			}
		}
	}
}

// advance begins to change one slot to the present revision, if the limits allow.
func (p *pass) advance(s *slot, i *projections.Instance) bool {
	revision := p.workload.Revision
	switch {
	case p.roll != nil && p.roll.Paused:
		p.hold(s.number, noTime, "the roll-out of revision %d is paused", revision)
		return false
	case p.trying >= p.limits.trying:
		p.hold(s.number, noTime, "revision %d waits to be promoted: %d slots try it", revision, p.trying)
		return false
	case p.recreates(), p.busy < p.limits.unavailable && (i.Phase != spec.PhaseReady || p.spareable()):
		p.busy, p.trying = p.busy+1, p.trying+1
		p.stopFor(s, i, p.workload.Applied, instance.CauseRolledOut, fmt.Sprintf("revision %d takes the slot", revision))
	case p.surging < p.limits.surge && !p.exclusive(i):
		p.surging, p.trying = p.surging+1, p.trying+1
		p.requestBeside(s, i, instance.CauseRolledOut, p.workload.Applied)
	default:
		p.hold(s.number, noTime, "revision %d waits: %d slots are on the way to it, %d of %d are ready", revision, p.busy+p.surging, p.available, len(p.slots))
		return false
	}
	return true
}
