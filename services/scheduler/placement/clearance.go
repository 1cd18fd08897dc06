package placement

import (
	"cmp"
	"slices"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// leaving is what is about to come free on a node.
type leaving struct {
	later  Space           // what will be free once all that stops is gone and all that awaits it has come
	ports  map[string]bool // host ports that come free
	weaker []held          // what is wished for and holds something, the lowest priority first, of these the youngest
}

// held is an instance with what it holds.
type held struct {
	*projections.Instance
	entry *projections.Entry
}

// Room is a node for an instance once the victims are gone; none: what stops there already is enough.
type Room struct {
	Node    *Node
	Victims []*projections.Instance
	Options int // nodes where room could be made
}

// Clearance finds room for instances that fit nowhere among what those of lower priority hold.
type Clearance struct {
	pool     *Pool
	view     *projections.Cluster
	hopeless map[*Task]bool // no node would do for these, whatever is evicted: room only shrinks while a plan grows
	spared   func(*projections.Instance) bool
}

// NewClearance begins a plan's evictions. spared tells which instances may not be evicted; nil: none.
func NewClearance(p *Pool, spared func(*projections.Instance) bool) *Clearance {
	return &Clearance{pool: p, view: p.view, hopeless: map[*Task]bool{}, spared: spared}
}

// MakeRoom finds the node where the least has to be evicted for an instance; nil where that is in vain. An instance that awaits room
// on a node already goes on doing so while that will do, and where enough is stopping anyway nobody is evicted: planning again evicts nobody
// again.
func (c *Clearance) MakeRoom(t *Task, awaits string) *Room {
	lowest, ok := c.view.LowestPriority()
	if !ok || (t.Priority <= lowest && !c.view.Leaving()) || c.hopeless[t] {
		return nil
	}
	var best *Room
	options := 0
	for _, n := range c.pool.Nodes {
		if !c.wouldFit(n, t) {
			continue
		}
		r, ok := c.roomOn(n, t)
		if !ok {
			continue
		}
		options++
		switch {
		case len(r.Victims) == 0 && n.State.Name == awaits:
			r.Options = options
			return r
		case best == nil || cheaper(t, r, best):
			best = r
		}
	}
	if best == nil {
		c.hopeless[t] = true
		return nil
	}
	best.Options = options
	return best
}

// evictable are the filters whose answer evictions can change.
var evictable = []string{"resources", "gpus", "host-ports"}

// wouldFit asks the filters that no eviction changes the answer of.
func (c *Clearance) wouldFit(n *Node, t *Task) bool {
	for _, f := range t.filters {
		if !slices.Contains(evictable, f.Name) && !f.pass(c.pool, n, t) {
			return false
		}
	}
	return true
}

// roomOn chooses victims on a node: all that are of lower priority are thought away, then as many as can be are spared, the highest
// priority first and of these the oldest. So each victim is needed: with any one of them spared the instance would not fit.
func (c *Clearance) roomOn(n *Node, t *Task) (*Room, bool) {
	c.look(n)
	space, ports := n.leaving.later.clone(), n.portsTaken(t)
	var weaker []held
	for _, v := range n.leaving.weaker {
		if v.Spec.Priority >= t.Priority {
			break
		}
		if c.spared != nil && c.spared(v.Instance) {
			continue
		}
		weaker = append(weaker, v)
		space.add(v.entry.Requests, v.entry.Devices, 1)
		for _, p := range v.entry.HostPorts {
			delete(ports, p)
		}
	}
	if len(ports) > 0 || !space.holds(t) {
		return nil, false
	}
	r := &Room{Node: n}
	for _, v := range slices.Backward(weaker) {
		space.add(v.entry.Requests, v.entry.Devices, -1)
		if space.holds(t) && !slices.ContainsFunc(v.entry.HostPorts, func(p string) bool { return slices.Contains(t.Ports, p) }) {
			continue
		}
		space.add(v.entry.Requests, v.entry.Devices, 1)
		r.Victims = append(r.Victims, v.Instance)
	}
	return r, true
}

// look finds out what is leaving a node and who could be evicted there, once a plan.
func (c *Clearance) look(n *Node) {
	if n.leaving != nil {
		return
	}
	l := &leaving{ports: map[string]bool{}, later: n.Free.clone()}
	for e := range c.view.Entries(n.State.Name) {
		i, ok := c.view.Instance(e.Instance)
		if !e.Revoked && ok && i.Node == e.Node && i.Generation == e.Generation && i.Wished() {
			l.weaker = append(l.weaker, held{i, e})
			continue
		}
		l.leave(e)
	}
	slices.SortFunc(l.weaker, func(a, b held) int {
		return cmp.Or(cmp.Compare(a.Spec.Priority, b.Spec.Priority), cmp.Compare(b.Assigned.Sequence, a.Assigned.Sequence),
			cmp.Compare(a.Key.String(), b.Key.String()))
	})
	n.leaving = l
}

func (l *leaving) leave(e *projections.Entry) {
	l.later.add(e.Requests, e.Devices, 1)
	for _, p := range e.HostPorts {
		l.ports[p] = true
	}
}

// portsTaken are the wanted host ports that are taken and not about to come free.
func (n *Node) portsTaken(t *Task) map[string]bool {
	taken := map[string]bool{}
	for _, p := range t.Ports {
		if _, held := slices.BinarySearch(n.State.HostPorts, p); (held && !n.leaving.ports[p]) || n.ports[p] {
			taken[p] = true
		}
	}
	return taken
}

// cheaper orders rooms by what they cost: the lower the highest victim the better, then the fewer, then the younger.
func cheaper(t *Task, a, b *Room) bool {
	if (len(a.Victims) == 0) != (len(b.Victims) == 0) {
		return len(a.Victims) == 0
	}
	if len(a.Victims) > 0 {
		// The victims are in the order in which they were to be spared: the first is the one that costs most.
		if order := cmp.Or(cmp.Compare(a.Victims[0].Spec.Priority, b.Victims[0].Spec.Priority), cmp.Compare(len(a.Victims), len(b.Victims)),
			cmp.Compare(b.Victims[0].Assigned.Sequence, a.Victims[0].Assigned.Sequence)); order != 0 {
			return order < 0
		}
	}
	x, y := mix(t.seed^a.Node.hash), mix(t.seed^b.Node.hash)
	return x > y || (x == y && a.Node.index < b.Node.index)
}

// Evict moves an instance from those that could be evicted to what is leaving.
func (c *Clearance) Evict(n *Node, victim *projections.Instance) {
	at := slices.IndexFunc(n.leaving.weaker, func(h held) bool { return h.Instance == victim })
	n.leaving.leave(n.leaving.weaker[at].entry)
	n.leaving.weaker = slices.Delete(n.leaving.weaker, at, at+1)
}

// Keep sets aside on a node what an instance will need once it can come, so that no one after it takes it.
func (c *Clearance) Keep(n *Node, t *Task) {
	var shares []projections.DeviceShare
	n.leaving.later.pick(t, func(a Ask, device int, share spec.GPUs) {
		shares = append(shares, projections.DeviceShare{Device: device, Share: share})
	})
	n.leaving.later.add(t.Requests, shares, -1)
	for _, p := range t.Ports {
		n.reservePort(p)
	}
	c.pool.changed = append(c.pool.changed, n.index)
}
