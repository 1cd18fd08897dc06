package projections

import (
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
)

func (c *Cluster) applyNode(e events.Event) {
	name := e.Subject.Node()
	if _, ok := c.nodes.Get(name); !ok {
		// Not heard of is as good as left, whatever the first event is.
		c.nodes.Set(name, &Node{Name: name, Health: Left, Joined: e.Time})
	}
	before, _ := c.nodes.Get(name)
	after, _ := c.changeNode(name, func(n *Node) {
		n.Head, n.Changed = e.Sequence, markOf(e)
		switch data := e.Data.(type) {
		case node.JoinedV1:
			if n.Health == Left {
				n.Joined = e.Time
				n.Cordoned, n.Drain, n.Taints, n.OwnLabels = false, nil, nil, nil // what was said of the one that left
			}
			n.Past = n.pastOf(data)
			n.Health, n.Ready, n.Message, n.LostBy = Healthy, false, "", Mark{}
			n.Incarnation, n.Key, n.Address = data.Incarnation, data.Key, data.Address
			n.Capacity, n.AgentLabels, n.Version, n.Runtime = data.Capacity, data.Labels, data.Version, data.Runtime
			n.Labels = merged(n.AgentLabels, n.OwnLabels)
		case node.ReadyV1:
			n.Ready, n.Message = true, ""
		case node.NotReadyV1:
			n.Ready, n.Message = false, data.Message
		case node.SuspectedV1:
			n.Health = Suspected
		case node.LostV1:
			n.Health, n.LostBy = Lost, markOf(e)
		case node.ReturnedV1:
			n.Health, n.LostBy = Healthy, Mark{}
		case node.LeftV1:
			n.Health, n.Ready, n.Message, n.LostBy = Left, false, data.Message, markOf(e)
		default:
			n.operated(e)
		}
		if n.State() != before.State() {
			n.Since = e.Time
		}
	})
	if out := after.out(); out != before.out() {
		c.nodeLost(e, name, out)
	}
}

// keptRegistrations is how many registrations of earlier agent processes a node remembers.
const keptRegistrations = 4

// pastOf is what a node remembers of earlier registrations once data takes the place of the present one.
func (n *Node) pastOf(data node.JoinedV1) []node.JoinedV1 {
	if n.Health == Left || n.Key != data.Key {
		return nil
	}
	past := make([]node.JoinedV1, 0, keptRegistrations)
	for _, old := range append([]node.JoinedV1{n.registration()}, n.Past...) {
		if old.Incarnation != data.Incarnation && len(past) < keptRegistrations {
			past = append(past, old)
		}
	}
	return past
}

func (n *Node) registration() node.JoinedV1 {
	return node.JoinedV1{
		Incarnation: n.Incarnation, Key: n.Key, Address: n.Address, Capacity: n.Capacity, Labels: n.AgentLabels, Version: n.Version, Runtime: n.Runtime,
	}
}

// Registered returns the registration of an agent process that the present one took the place of.
func (n *Node) Registered(incarnation string) (node.JoinedV1, bool) {
	for _, old := range n.Past {
		if old.Incarnation == incarnation {
			return old, true
		}
	}
	return node.JoinedV1{}, false
}

// out reports whether nothing on the node can be counted on.
func (n *Node) out() bool { return n.Health == Lost || n.Health == Left }

// nodeLost marks or unmarks what a node holds as lost. The entries go on holding capacity: it may all still run, or run again
// once the node is back, until the scheduler has revoked them and the agent has answered or the instance is retired.
func (c *Cluster) nodeLost(e events.Event, name string, lost bool) {
	for _, k := range c.entryInstances(name) {
		c.changeInstanceAt(e, k, func(i *Instance) {
			if i.Node == name {
				i.NodeLost, i.Lost = lost, Mark{}
				if lost {
					i.Lost = markOf(e)
				}
			}
		})
	}
}

func (c *Cluster) entryInstances(node string) (keys []events.InstanceKey) {
	for entry := range c.Entries(node) {
		keys = append(keys, entry.Instance)
	}
	return keys
}

// changeNode alters a copy of a node; a node first heard of through its ledger is made.
func (c *Cluster) changeNode(name string, alter func(*Node)) (*Node, bool) {
	if _, ok := c.nodes.Get(name); !ok {
		c.nodes.Set(name, &Node{Name: name, Health: Left})
	}
	return change(&c.nodes, name, alter)
}
