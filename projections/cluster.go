// Package projections is the state: pure folds of the events of the log.
//
// [State] folds; [Cluster] is an immutable view of it at one sequence, cheap to take after every commit. Folding is total: it
// never fails, validates, logs or reads a clock, so the same events give the same state, and the same [Cluster.Hash], for ever.
package projections

import (
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/tidwall/btree"
)

// Version names the shape of the folded state. It rises with every change that gives another hash for the same events.
const Version = 6

// Cluster is the whole state at one sequence. Nothing in it may be changed; With makes another one.
type Cluster struct {
	sequence uint64
	time     time.Time

	workloads btree.Map[string, *Workload] // namespace/name
	slots     btree.Map[string, *Slot]     // namespace/workload/slot, six digits
	instances btree.Map[string, *Instance] // namespace/workload/name
	nodes     btree.Map[string, *Node]
	entries   btree.Map[string, *Entry]   // node/namespace/workload/name: what holds capacity
	outcomes  btree.Map[string, *Outcome] // command id
	byAge     btree.Map[uint64, string]   // sequence of an outcome → command id, for forgetting the oldest
	heads     btree.Map[string, uint64]   // command subjects → last sequence
	waiting   btree.Map[string, struct{}] // namespace/workload/name of instances without a node
	unsettled btree.Map[string, struct{}] // instances that a planner may have to do something about, see settled
	surplus   btree.Map[string, struct{}] // entries that the scheduler has to take back, see isSurplus

	priorities btree.Map[spec.Priority, int] // how many entries hold capacity, by priority
	apart      btree.Map[string, struct{}]   // instances that keep others away from where they are
	revokedNow int                           // entries that are revoked and not gone yet
}

// Empty is the state before the first event.
func Empty() *Cluster { return &Cluster{} }

// Sequence is the last event folded in.
func (c *Cluster) Sequence() uint64 { return c.sequence }

// Time is when the last event folded in was decided.
func (c *Cluster) Time() time.Time { return c.time }

// With returns the state after further events; c stays as it is. Planners use it to see what they are about to commit.
func (c *Cluster) With(more ...events.Event) *Cluster {
	s := StateOf(c)
	for _, e := range more {
		s.Apply(e)
	}
	return s.View()
}

// Workload returns a workload, deleted ones included as long as they are remembered.
func (c *Cluster) Workload(namespace, name string) (*Workload, bool) {
	return c.workloads.Get(namespace + "/" + name)
}

// Workloads goes through all workloads by namespace and name.
func (c *Cluster) Workloads() iter.Seq[*Workload] { return values(&c.workloads) }

// Instance returns an instance.
func (c *Cluster) Instance(k events.InstanceKey) (*Instance, bool) {
	return c.instances.Get(instanceKey(k))
}

// Instances goes through all instances by namespace, workload and name.
func (c *Cluster) Instances() iter.Seq[*Instance] { return values(&c.instances) }

// InstancesOf goes through the instances of one workload by name.
func (c *Cluster) InstancesOf(namespace, workload string) iter.Seq[*Instance] {
	return prefixed(&c.instances, namespace+"/"+workload+"/")
}

// Waiting goes through the instances that are wished for and have no node.
func (c *Cluster) Waiting() iter.Seq[*Instance] { return c.lookup(&c.waiting) }

// Unsettled goes through the instances that are neither steadily running nor retired.
func (c *Cluster) Unsettled() iter.Seq[*Instance] { return c.lookup(&c.unsettled) }

func (c *Cluster) lookup(index *btree.Map[string, struct{}]) iter.Seq[*Instance] {
	return func(yield func(*Instance) bool) {
		index.Scan(func(key string, _ struct{}) bool {
			i, ok := c.instances.Get(key)
			return !ok || yield(i)
		})
	}
}

// Slot returns what is remembered of a slot of a workload.
func (c *Cluster) Slot(namespace, workload string, slot int) (*Slot, bool) {
	return c.slots.Get(slotKey(namespace, workload, slot))
}

// Slots goes through the slots of a workload that were ever filled, by number.
func (c *Cluster) Slots(namespace, workload string) iter.Seq[*Slot] {
	return prefixed(&c.slots, namespace+"/"+workload+"/")
}

// Node returns a node, lost and left ones included.
func (c *Cluster) Node(name string) (*Node, bool) { return c.nodes.Get(name) }

// Nodes goes through all nodes by name.
func (c *Cluster) Nodes() iter.Seq[*Node] { return values(&c.nodes) }

// NodeCount is how many nodes were ever heard of.
func (c *Cluster) NodeCount() int { return c.nodes.Len() }

// Entries goes through what holds capacity on a node, by instance.
func (c *Cluster) Entries(node string) iter.Seq[*Entry] { return prefixed(&c.entries, node+"/") }

// Surplus goes through what holds capacity on a node, is not revoked yet and is not wished for there.
func (c *Cluster) Surplus() iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		c.surplus.Scan(func(key string, _ struct{}) bool {
			entry, ok := c.entries.Get(key)
			return !ok || yield(entry)
		})
	}
}

// LowestPriority is the lowest priority of all that holds capacity; false where nothing does.
func (c *Cluster) LowestPriority() (spec.Priority, bool) {
	lowest, _, ok := c.priorities.Min()
	return lowest, ok
}

// Apart goes through the instances on nodes that demand that certain others are not near.
func (c *Cluster) Apart() iter.Seq[*Instance] { return c.lookup(&c.apart) }

// Leaving reports whether anything holds capacity that is to go.
func (c *Cluster) Leaving() bool { return c.revokedNow > 0 || c.surplus.Len() > 0 }

// Outcome returns what became of a command; false while it is not decided, or so long ago that it is forgotten.
func (c *Cluster) Outcome(id string) (*Outcome, bool) { return c.outcomes.Get(id) }

// Outcomes goes through the remembered outcomes, newest first.
func (c *Cluster) Outcomes() iter.Seq[*Outcome] {
	return func(yield func(*Outcome) bool) {
		c.byAge.Reverse(func(_ uint64, id string) bool {
			o, ok := c.outcomes.Get(id)
			return !ok || yield(o)
		})
	}
}

// CommandHead is the sequence of the last outcome that a service wrote.
func (c *Cluster) CommandHead(service string) uint64 {
	head, _ := c.heads.Get(string(events.CommandSubject(service)))
	return head
}

// Counts is how much of everything there is.
type Counts struct {
	Workloads int `json:"workloads"`
	Instances int `json:"instances"`
	Nodes     int `json:"nodes"`
	Waiting   int `json:"waiting"`
}

// Counts is how much of everything there is, remembered gone things included.
func (c *Cluster) Counts() Counts {
	return Counts{Workloads: c.workloads.Len(), Instances: c.instances.Len(), Nodes: c.nodes.Len(), Waiting: c.waiting.Len()}
}

func values[V any](m *btree.Map[string, *V]) iter.Seq[*V] {
	return func(yield func(*V) bool) {
		m.Scan(func(_ string, v *V) bool { return yield(v) })
	}
}

func prefixed[V any](m *btree.Map[string, *V], prefix string) iter.Seq[*V] {
	return func(yield func(*V) bool) {
		m.Ascend(prefix, func(key string, v *V) bool { return strings.HasPrefix(key, prefix) && yield(v) })
	}
}

func instanceKey(k events.InstanceKey) string { return k.Namespace + "/" + k.Workload + "/" + k.Name }

func entryKey(node string, k events.InstanceKey) string { return node + "/" + instanceKey(k) }

func slotKey(namespace, workload string, slot int) string {
	n := strconv.Itoa(slot)
	return namespace + "/" + workload + "/" + "000000"[:max(0, 6-len(n))] + n
}

// Head is the sequence of the last event on the subject of an aggregate, 0 where there is none: what a writer expects there.
func (c *Cluster) Head(s events.Subject) uint64 {
	switch s.Aggregate() {
	case events.AggregateWorkload:
		if w, ok := c.Workload(s.Workload()); ok {
			return w.Head
		}
	case events.AggregateInstance:
		if i, ok := c.Instance(s.Instance()); ok {
			return i.Head
		}
	case events.AggregateUnplaced:
		if i, ok := c.Instance(s.Instance()); ok {
			return i.UnplacedHead
		}
	case events.AggregateLedger:
		if n, ok := c.Node(s.Node()); ok {
			return n.LedgerHead
		}
	case events.AggregateNode:
		if n, ok := c.Node(s.Node()); ok {
			return n.Head
		}
	case events.AggregateCommand:
		return c.CommandHead(s.Service())
	}
	return 0
}
