package reconciler

import (
	"cmp"
	"slices"

	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// slot is one place among the replicas, as a pass finds it.
type slot struct {
	number  int
	newest  *projections.Instance // nil: it was never filled, or so long ago that nobody remembers
	serving *projections.Instance // an older one that goes on until newest is ready to take its place; nil: there is none
	touched bool                  // this pass has said something about it: what comes next is for the next pass, which sees that
}

// holder is the instance that the slot counts on now.
func (s *slot) holder() *projections.Instance {
	if s.serving != nil {
		return s.serving
	}
	return s.newest
}

// stopped is where in the log the newest instance's stop stands; one that is only planned comes after all.
func (s *slot) stopped() uint64 { return s.newest.Stop.Mark.Sequence - 1 }

// pair reports whether a successor is on its way, or to be tried again, while the slot's holder goes on.
func (s *slot) pair() bool { return s.serving != nil && s.newest.Wished() }

// available reports whether the slot has an instance that is ready.
func (s *slot) available() bool { return ready(s.serving) || ready(s.newest) }

func ready(i *projections.Instance) bool {
	return living(i) && i.Phase == spec.PhaseReady
}

// living reports whether an instance is wished for and, as far as one knows, runs or is on its way to.
func living(i *projections.Instance) bool {
	return i != nil && i.Wished() && i.End == nil && !i.NodeLost && i.Evicted == nil
}

// survey finds the slots of the workload: all that anything is remembered of, and which of them are to be filled.
func (p *pass) survey() {
	w := p.workload
	known := map[int]*slot{}
	for i := range p.view.InstancesOf(w.Namespace, w.Name) {
		if !i.Retired {
			p.alive++
			p.outdated += truth(i.Revision != w.Revision && i.Placed() && i.End == nil && !i.NodeLost)
		}
		s := known[i.Slot]
		if s == nil {
			s = &slot{number: i.Slot}
			known[i.Slot] = s
		}
		before := s.newest
		if before == nil || before.Attempt < i.Attempt {
			s.newest, i = i, before
		}
		if living(i) && !isJob(w) && (s.serving == nil || s.serving.Attempt < i.Attempt) {
			s.serving = i
		}
	}
	p.choose(known)
	p.begin()
	p.limits = p.limitsOf(len(p.slots))
	for _, s := range p.slots {
		p.trying += truth(p.tries(s))
		if s.available() {
			p.available++
		}
		if s.pair() {
			p.surging++
		}
		if p.rolling(s) {
			p.busy++
		}
	}
}

// choose decides which slots are to be filled: those that are held, then those whose instance is to be replaced (the last that stopped first), then the lowest numbers
// that are free. Where more are held than are wished for, some are victims.
func (p *pass) choose(known map[int]*slot) {
	wished := p.workload.Replicas()
	var held, followed []*slot
	for _, s := range known {
		switch {
		case s.serving != nil || s.newest.Wished():
			held = append(held, s)
		case followedOn(s.newest.Stop):
			followed = append(followed, s)
		}
	}
	byNumber := func(a, b *slot) int { return a.number - b.number }
	slices.SortFunc(held, byNumber)
	// The one that stopped last is followed first: so a slot that was passed over stays so, whatever stops later.
	slices.SortFunc(followed, func(a, b *slot) int {
		return cmp.Or(-cmp.Compare(a.stopped(), b.stopped()), byNumber(a, b))
	})
	if more := len(held) - wished; more > 0 {
		p.victims = map[int]string{}
		held = p.spare(held, more)
	}
	p.slots = append(held, followed[:min(len(followed), wished-len(held))]...)
	p.active = make(map[int]*slot, len(p.slots))
	for _, s := range p.slots {
		p.active[s.number] = s
	}
	for number := 0; len(p.slots) < wished; number++ {
		if p.active[number] == nil {
			s := known[number]
			if s == nil {
				s = &slot{number: number}
			}
			p.slots, p.active[number] = append(p.slots, s), s
		}
	}
	slices.SortFunc(p.slots, byNumber)
}

// followedOn reports whether an instance that stopped for that reason is followed by another one in its slot.
func followedOn(stop *projections.Stop) bool {
	if stop == nil {
		return false // it was retired without a stop: nothing is known of it
	}
	switch stop.Cause {
	case instance.CauseScaled, instance.CauseApplied, instance.CauseDeleted:
		return false
	}
	return true
}
