package reconciler

import (
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// movedAtOnce is how many instances are on their way off one node at a time: so many starts elsewhere a drain may cost at once.
const movedAtOnce = 10

// evict takes the next step for a slot whose holder is on a node that is drained: first a replacement elsewhere, then the holder stops.
// It stops first where two must not run at once, where it is not ready anyway, where its replacement fits nowhere
// and the workload can do without it for a while, and where the drain's deadline has passed. A successor that is on a node that is drained, and not
// ready yet, stops: the slot has its holder, and another one is asked for elsewhere.
func (p *pass) evict(s *slot) {
	if next := s.newest; s.pair() && living(next) && next.Placed() && !ready(next) && !s.touched {
		if n, ok := p.view.Node(next.Node); ok && n.Drain != nil {
			p.stop(next, n.Drain.Mark, instance.CauseDrained, "node "+next.Node+" is drained, and it was not ready")
			return
		}
	}
	i := s.holder()
	if !living(i) || !i.Placed() || s.touched {
		return
	}
	n, ok := p.view.Node(i.Node)
	if !ok || n.Drain == nil {
		return
	}
	drain := n.Drain
	switch {
	case drain.Overdue(p.author.Now):
		p.stopFor(s, i, drain.Mark, instance.CauseDrained, "node "+i.Node+" is drained, and the time for it is over")
		return
	case i.Phase != spec.PhaseReady:
		p.stopFor(s, i, drain.Mark, instance.CauseDrained, "node "+i.Node+" is drained, and it was not ready")
		return
	case p.exclusive(i) || s.pair() && s.newest.Unplaceable != nil:
		if p.spareable() {
			p.stopFor(s, i, drain.Mark, instance.CauseDrained, "node "+i.Node+" is drained")
			return
		}
		p.hold(s.number, drain.Deadline, "%s stays on %s, which is drained: only %d are ready", i.Key.Name, i.Node, p.available)
	case s.pair():
		p.hold(s.number, drain.Deadline, "%s leaves %s once %s is ready", i.Key.Name, i.Node, s.newest.Key.Name)
	case p.moving(n) >= movedAtOnce:
		p.hold(s.number, drain.Deadline, "%s leaves %s when others have: %d move at once", i.Key.Name, i.Node, movedAtOnce)
	default:
		p.moved[i.Node]++
		p.surging++
		p.requestBeside(s, i, instance.CauseDrained, drain.Mark)
	}
}

// moving counts the instances on a node that is drained whose replacements are on their way, those of this pass included.
func (p *pass) moving(n *projections.Node) int {
	if count, ok := p.moved[n.Name]; ok {
		return count
	}
	count := 0
	for entry := range p.view.Entries(n.Name) {
		i, ok := p.view.Instance(entry.Instance)
		if !ok || !living(i) {
			continue
		}
		s, ok := p.view.Slot(i.Key.Namespace, i.Key.Workload, i.Slot)
		if !ok || s.Attempt <= i.Attempt {
			continue
		}
		next, ok := p.view.Instance(events.InstanceKey{Namespace: i.Key.Namespace, Workload: i.Key.Workload, Name: s.Instance})
		count += truth(ok && next.Wished()) // one that was given up brings nobody away
	}
	if p.moved == nil {
		p.moved = map[string]int{}
	}
	p.moved[n.Name] = count
	return count
}

// exclusive reports whether an instance must not run beside its successor.
func (p *pass) exclusive(i *projections.Instance) bool {
	return i.Spec.OnPartition == spec.PartitionStop
}

// spareable reports whether a ready instance may stop before another one is ready in its place.
func (p *pass) spareable() bool { return p.available > len(p.slots)-p.limits.unavailable }

// stopFor stops the holder of a slot, and counts that.
func (p *pass) stopFor(s *slot, i *projections.Instance, mark projections.Mark, cause instance.Cause, message string) {
	if ready(i) && !(s.pair() && ready(s.newest)) {
		p.available--
	}
	p.stop(i, mark, cause, message)
}
