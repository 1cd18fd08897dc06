package placement

import (
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// Pool is every node of a plan, by name. Nodes that left are not in it.
type Pool struct {
	Nodes  []*Node
	view   *projections.Cluster
	policy *Policy
	byName map[string]*Node

	tasks     []*Task
	changed   []int // nodes by index in the order in which they changed, once for each change
	largest   spec.Resources
	groups    map[string]*group // of instances that somebody wants to be near or far
	apart     map[string]*group // of domains that somebody keeps others out of
	listed    bool              // apart is filled in
	learned   learned
	reluctant bool              // some node has a taint PreferNoSchedule
	measures  [measures]measure // of fragmentation, see SetTypical
}

// NewPool takes the nodes from a view.
func NewPool(view *projections.Cluster, policy *Policy) *Pool {
	p := &Pool{
		Nodes: make([]*Node, 0, view.NodeCount()), view: view, policy: policy, byName: make(map[string]*Node, view.NodeCount()),
		groups: map[string]*group{}, apart: map[string]*group{},
	}
	for n := range view.Nodes() {
		if n.Health != projections.Left {
			p.add(n)
		}
	}
	return p
}

func (p *Pool) add(state *projections.Node) {
	n := &Node{
		State: state, index: len(p.Nodes), hash: hashOf(state.Name), taken: state.Generation,
		Size: p.policy.Overcommit.of(state.Capacity), shunned: !state.TakesWork() || len(state.Taints) > 0,
	}
	n.forget()
	n.Free.Resources = n.Size.Sub(state.Allocated)
	if devices := state.Capacity.GPU.Whole(); devices > 0 {
		n.Free.Devices = make([]spec.GPUs, devices)
		for d := range n.Free.Devices {
			n.Free.Devices[d] = spec.Device
			if d < len(state.Devices) {
				n.Free.Devices[d] -= state.Devices[d]
			}
		}
	}
	for _, taint := range state.Taints {
		p.reluctant = p.reluctant || taint.Effect == spec.PreferNoSchedule
	}
	p.largest.CPU, p.largest.Memory = max(p.largest.CPU, n.Size.CPU), max(p.largest.Memory, n.Size.Memory)
	p.largest.GPU = max(p.largest.GPU, n.Size.GPU)
	p.Nodes, p.byName[state.Name] = append(p.Nodes, n), n
}

// Take sets aside what the task needs on a node, and says which GPUs that are.
func (p *Pool) Take(n *Node, t *Task) (shares []projections.DeviceShare) {
	if len(t.GPUs) > 0 {
		shares = t.Profile.devices(p, n, t)
		n.count(t)
	}
	if p.learned.images {
		for _, image := range t.Images {
			n.hasImage(image)
		}
	}
	n.Free.add(t.Requests, shares, -1)
	if n.leaving != nil {
		n.leaving.later.add(t.Requests, shares, -1)
	}
	for _, port := range t.Ports {
		n.reservePort(port)
	}
	t.peers[n.State.Name]++
	n.taken++
	n.forget()
	p.changed = append(p.changed, n.index)
	p.joinGroups(n, t)
	return shares
}

func (n *Node) reservePort(port string) {
	if n.ports == nil {
		n.ports = map[string]bool{}
	}
	n.ports[port] = true
}

func (n *Node) count(t *Task) {
	if n.kinds == nil {
		n.kinds = map[string]int{}
	}
	n.kinds[t.kind()]++
}

// SharePeers lets tasks of one workload count its instances together.
func (t *Task) SharePeers(with *Task) { t.peers = with.peers }
