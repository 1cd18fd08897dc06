package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// leaving is what is about to come free on a node.
type leaving struct {
	resources spec.Resources
	ports     map[string]bool
	kept      spec.Resources          // of all that, for instances that wait for it
	weaker    []*projections.Instance // that are wished for and hold something, the lowest priority first, of these the youngest
}

// clearance finds room for instances that fit nowhere among what those of lower priority hold.
type clearance struct {
	*planner
	nodes *pool
	// hopeless are shapes for which no node would do, whatever is evicted: room only shrinks while a plan grows.
	hopeless map[shape]bool
}

// room is a node for an instance once the victims are gone; none: what stops there already is enough.
type room struct {
	node    *candidate
	victims []*projections.Instance
	options int // nodes where it could be made
}

// makeRoom finds the node where the least has to be evicted for an instance, false where that is in vain. An instance that awaits room
// on a node already goes on doing so while that will do, and where enough is stopping anyway nobody is evicted: planning again evicts nobody
// again.
func (c *clearance) makeRoom(i *projections.Instance, d *demand) *room {
	lowest, ok := c.view.LowestPriority()
	if !ok || (d.priority <= lowest && !c.view.Leaving()) || c.hopeless[shapeOf(i)] {
		return nil
	}
	var best *room
	options := 0
	for _, n := range c.nodes.candidates {
		if !wouldFit(n, d) {
			continue
		}
		r, ok := c.roomOn(n, d)
		if !ok {
			continue
		}
		options++
		switch {
		case len(r.victims) == 0 && i.Unplaceable != nil && i.Unplaceable.Awaits == n.node.Name:
			r.options = options
			return r
		case best == nil || c.cheaper(i, r, best):
			best = r
		}
	}
	if best == nil {
		if c.hopeless == nil {
			c.hopeless = map[shape]bool{}
		}
		c.hopeless[shapeOf(i)] = true
		return nil
	}
	best.options = options
	return best
}

// wouldFit asks the filters that no eviction changes the answer of.
func wouldFit(n *candidate, d *demand) bool {
	return notReady(n, d) == "" && notSelected(n, d) == ""
}

// roomOn chooses victims on a node: all that are of lower priority are thought away, then as many as can be are spared, the highest
// priority first and of these the oldest. So each victim is needed: with any one of them spared the instance would not fit.
func (c *clearance) roomOn(n *candidate, d *demand) (*room, bool) {
	c.look(n)
	free, ports := n.later(), portsIn(n, d)
	var weaker []*projections.Instance
	for _, v := range n.leaving.weaker {
		if v.Spec.Priority >= d.priority {
			break
		}
		weaker = append(weaker, v)
		free = free.Add(v.Spec.Requests())
		for _, p := range hostPorts(v) {
			delete(ports, p)
		}
	}
	if len(free.Short(d.requests)) > 0 || len(ports) > 0 {
		return nil, false
	}
	r := &room{node: n}
	for _, v := range slices.Backward(weaker) {
		held := v.Spec.Requests()
		if left := free.Sub(held); len(left.Short(d.requests)) == 0 && !shares(hostPorts(v), d.ports) {
			free = left
			continue
		}
		r.victims = append(r.victims, v)
	}
	return r, true
}

// look finds out what is leaving a node and who could be evicted there, once a plan.
func (c *clearance) look(n *candidate) {
	if n.leaving != nil {
		return
	}
	n.leaving = &leaving{ports: map[string]bool{}}
	for e := range c.view.Entries(n.node.Name) {
		i, ok := c.view.Instance(e.Instance)
		here := ok && i.Node == e.Node && i.Generation == e.Generation
		if !e.Revoked && here && i.Wished() {
			n.leaving.weaker = append(n.leaving.weaker, i)
			continue
		}
		n.leaving.resources = n.leaving.resources.Add(e.Requests)
		for _, p := range e.HostPorts {
			n.leaving.ports[p] = true
		}
	}
	slices.SortFunc(n.leaving.weaker, func(a, b *projections.Instance) int {
		return cmp.Or(cmp.Compare(a.Spec.Priority, b.Spec.Priority), cmp.Compare(b.Assigned.Sequence, a.Assigned.Sequence),
			cmp.Compare(a.Key.String(), b.Key.String()))
	})
}

// portsIn are the wanted host ports that are taken and not about to come free.
func portsIn(n *candidate, d *demand) map[string]bool {
	taken := map[string]bool{}
	for _, p := range d.ports {
		if _, held := slices.BinarySearch(n.node.HostPorts, p); (held && !n.leaving.ports[p]) || n.ports[p] {
			taken[p] = true
		}
	}
	return taken
}

func hostPorts(i *projections.Instance) (names []string) {
	for _, p := range i.Spec.HostPorts() {
		names = append(names, projections.PortName(p.Protocol, p.HostPort))
	}
	return names
}

func shares(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// cheaper orders rooms by what they cost: the lower the highest victim the better, then the fewer, then the younger.
func (c *clearance) cheaper(i *projections.Instance, a, b *room) bool {
	if (len(a.victims) == 0) != (len(b.victims) == 0) {
		return len(a.victims) == 0
	}
	if len(a.victims) > 0 {
		// The victims are in the order in which they were to be spared: the first is the one that costs most.
		if order := cmp.Or(cmp.Compare(a.victims[0].Spec.Priority, b.victims[0].Spec.Priority), cmp.Compare(len(a.victims), len(b.victims)),
			cmp.Compare(b.victims[0].Assigned.Sequence, a.victims[0].Assigned.Sequence)); order != 0 {
			return order < 0
		}
	}
	x, y := tie(i.Key, a.node.node.Name), tie(i.Key, b.node.node.Name)
	return x > y || (x == y && a.node.node.Name < b.node.node.Name)
}

// preempt evicts the victims and sets the room aside for the instance, so that no one after it takes it. It reports whether there was room in the
// plan.
func (p *planner) preempt(i *projections.Instance, d *demand, r *room) bool {
	if r == nil {
		return true
	}
	p.evicts = p.evicts || len(r.victims) > 0
	n := r.node
	p.awaits[i.Key] = n.node.Name
	for _, v := range r.victims {
		revoked := ledger.RevokedV2{
			Instance: v.Key, Generation: v.Generation, Cause: instance.CausePreempted, By: &i.Key, Grace: v.Spec.GracePeriod,
			Message: fmt.Sprintf("priority %s makes room for %s of priority %s: %s", v.Spec.Priority, i.Key, d.priority, r.why()),
		}
		if !p.say(p.author.Say(i.Requested, events.LedgerSubject(n.node.Name), kindPreempted+int(v.Generation), revoked)) {
			return false
		}
		n.leave(v)
	}
	n.keep(d)
	return true
}

// why says how the victims were chosen.
func (r *room) why() string {
	if r.options == 1 {
		return fmt.Sprintf("one of %d without which it fits on no node", len(r.victims))
	}
	return fmt.Sprintf("one of %d that are needed, and the least of %d nodes where that would do", len(r.victims), r.options)
}

// leave moves an instance from those that could be evicted to what is leaving.
func (c *candidate) leave(v *projections.Instance) {
	c.leaving.weaker = slices.DeleteFunc(c.leaving.weaker, func(o *projections.Instance) bool { return o == v })
	c.leaving.resources = c.leaving.resources.Add(v.Spec.Requests())
	for _, p := range hostPorts(v) {
		c.leaving.ports[p] = true
	}
}

// later is what will be free once all that stops there is gone and all that waits for it has come.
func (c *candidate) later() spec.Resources {
	return c.free.Add(c.leaving.resources).Sub(c.leaving.kept)
}

// keep sets aside what an instance will need once it can come.
func (c *candidate) keep(d *demand) {
	c.leaving.kept = c.leaving.kept.Add(d.requests)
	for _, p := range d.ports {
		if c.ports == nil {
			c.ports = map[string]bool{}
		}
		c.ports[p] = true
	}
}
