package projections

import (
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
)

func (c *Cluster) applyNode(e events.Event) {
	name := e.Subject.Node()
	if _, ok := c.nodes.Get(name); !ok {
		c.nodes.Set(name, &Node{Name: name, Health: Healthy, Joined: e.Time})
	}
	before, _ := c.nodes.Get(name)
	after, _ := c.changeNode(name, func(n *Node) {
		n.Head, n.Changed = e.Sequence, markOf(e)
		switch data := e.Data.(type) {
		case node.JoinedV1:
			if n.Health == Left {
				n.Joined = e.Time
			}
			n.Health, n.Ready, n.Message = Healthy, false, ""
			n.Incarnation, n.Key, n.Address = data.Incarnation, data.Key, data.Address
			n.Capacity, n.Labels, n.Version, n.Runtime = data.Capacity, data.Labels, data.Version, data.Runtime
		case node.ReadyV1:
			n.Ready, n.Message = true, ""
		case node.NotReadyV1:
			n.Ready, n.Message = false, data.Message
		case node.SuspectedV1:
			n.Health = Suspected
		case node.LostV1:
			n.Health = Lost
		case node.ReturnedV1:
			n.Health = Healthy
		case node.LeftV1:
			n.Health, n.Ready, n.Message = Left, false, data.Message
		}
		if n.State() != before.State() {
			n.Since = e.Time
		}
	})
	switch {
	case after.Health == Left && before.Health != Left:
		c.nodeGone(e, after)
	case after.Health == Lost && before.Health != Lost:
		c.nodeLost(e, name, true)
	case before.Health == Lost && after.Health == Healthy:
		c.nodeLost(e, name, false)
	}
}

// nodeLost marks or unmarks what runs on a node as lost. Its entries go on holding capacity: it may all still run.
func (c *Cluster) nodeLost(e events.Event, name string, lost bool) {
	for _, k := range c.entryInstances(name) {
		c.changeInstanceAt(e, k, func(i *Instance) {
			if i.Node == name {
				i.NodeLost = lost
				if lost {
					i.Lost = markOf(e)
				}
			}
		})
	}
}

// nodeGone marks what ran on a node that left as lost for good and frees its ledger: nothing of it can be running.
func (c *Cluster) nodeGone(e events.Event, n *Node) {
	c.nodeLost(e, n.Name, true)
	for _, k := range c.entryInstances(n.Name) {
		c.entries.Delete(entryKey(n.Name, k))
	}
	c.changeNode(n.Name, func(n *Node) { n.Allocated, n.HostPorts, n.Instances = spec.Resources{}, nil, 0 })
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
