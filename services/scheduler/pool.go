package scheduler

import (
	"maps"
	"slices"
	"strings"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/projections"
)

// candidate is a node with what is left on it, the plan's own assignments taken off.
type candidate struct {
	node  *projections.Node
	free  spec.Resources
	ports map[string]bool // host ports that the plan itself gave away; nil: none
	// leaving is what instances hold that are told to stop; known where somebody looks for room to be made.
	leaving *leaving
}

// takes reports whether a host port is taken.
func (c *candidate) takes(port string) bool {
	_, found := slices.BinarySearch(c.node.HostPorts, port)
	return found || c.ports[port]
}

// pool is every node of a plan, by name. Nodes that left are not looked at.
type pool struct{ candidates []*candidate }

func newPool(view *projections.Cluster) *pool {
	p := &pool{candidates: make([]*candidate, 0, view.NodeCount())}
	for n := range view.Nodes() {
		if n.Health != projections.Left {
			p.candidates = append(p.candidates, &candidate{node: n, free: n.Capacity.Sub(n.Allocated)})
		}
	}
	return p
}

// take sets aside what an instance needs.
func (p *pool) take(c *candidate, d *demand) {
	c.free = c.free.Sub(d.requests)
	for _, port := range d.ports {
		if c.ports == nil {
			c.ports = map[string]bool{}
		}
		c.ports[port] = true
	}
	d.peers[c.node.Name]++
}

// explain counts what every filter says of the nodes.
func (p *pool) explain(d *demand) *unplaced.UnplaceableV2 {
	type key struct {
		filter int
		detail string
	}
	counts := map[key]int{}
	for _, c := range p.candidates {
		for at, f := range filters {
			if detail := f.refuses(c, d); detail != "" {
				counts[key{at, detail}]++
				break
			}
		}
	}
	why := &unplaced.UnplaceableV2{Nodes: len(p.candidates)}
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b key) int {
		if a.filter != b.filter {
			return a.filter - b.filter
		}
		return strings.Compare(a.detail, b.detail)
	}) {
		why.Reasons = append(why.Reasons, unplaced.Reason{Filter: filters[k.filter].name, Detail: k.detail, Nodes: counts[k]})
	}
	return why
}

type workload struct{ namespace, name string }

// shape is what all instances share that ask for the same: the workload and its revision.
type shape struct {
	workload
	revision int
}

func shapeOf(i *projections.Instance) shape {
	return shape{workload{i.Key.Namespace, i.Key.Workload}, i.Revision}
}

// demand is what an instance of a shape needs, worked out once a plan.
type demand struct {
	priority spec.Priority
	requests spec.Resources
	ports    []string
	selector []label
	peers    map[string]int // instances of the workload by node, the plan's own included
}

type label struct{ key, value string }

func newDemand(i *projections.Instance, peers map[string]int) *demand {
	d := &demand{priority: i.Spec.Priority, requests: i.Spec.Requests(), peers: peers}
	for _, p := range i.Spec.HostPorts() {
		d.ports = append(d.ports, projections.PortName(p.Protocol, p.HostPort))
	}
	for _, key := range slices.Sorted(maps.Keys(i.Spec.NodeSelector)) {
		d.selector = append(d.selector, label{key, i.Spec.NodeSelector[key]})
	}
	return d
}

// peersOf counts the instances of a workload on each node, once a plan: its revisions share the count.
func peersOf(view *projections.Cluster, i *projections.Instance, known map[workload]map[string]int) map[string]int {
	w := shapeOf(i).workload
	if counts, ok := known[w]; ok {
		return counts
	}
	counts := map[string]int{}
	for peer := range view.InstancesOf(w.namespace, w.name) {
		if peer.Placed() && peer.Wished() && peer.End == nil {
			counts[peer.Node]++
		}
	}
	known[w] = counts
	return counts
}
