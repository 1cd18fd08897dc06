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
}

func limitsOf(*projections.Workload) limits { return limits{unavailable: 1} }

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

// revisionFor is what follows an instance that is gone: the present revision, unless as many slots as may be are just trying it. Then the old
// one is good enough.
func (p *pass) revisionFor(i *projections.Instance) int {
	if i.Revision != p.workload.Revision && p.busy >= p.limits.unavailable && (i.Stop == nil || i.Stop.Cause != instance.CauseRolledOut && followedOn(i.Stop)) {
		return i.Revision
	}
	return p.workload.Revision
}

// rollOut takes the next steps towards the present revision: it stops instances of other ones, as many at a time as may be missing, or
// requests their successors first, as many as there may be too many. One that is not ready goes first, since it costs nothing; then the lowest slot.
func (p *pass) rollOut() {
	for _, unready := range []bool{true, false} {
		for _, s := range p.slots {
			i := s.holder()
			if !living(i) || i.Revision == p.workload.Revision || s.pair() || (i.Phase != spec.PhaseReady) != unready {
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
	switch {
	case p.busy < p.limits.unavailable && (i.Phase != spec.PhaseReady || p.spareable()):
		p.busy++
		p.stopFor(s, i, p.workload.Applied, instance.CauseRolledOut, fmt.Sprintf("revision %d takes the slot", p.workload.Revision))
	case p.surging < p.limits.surge && !p.exclusive(i):
		p.surging++
		p.requestBeside(s, i, instance.CauseRolledOut, p.workload.Applied)
	default:
		p.hold(s.number, noTime, "revision %d waits: %d slots are on the way to it, %d of %d are ready", p.workload.Revision, p.busy+p.surging, p.available, len(p.slots))
		return false
	}
	return true
}
