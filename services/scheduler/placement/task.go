package placement

import (
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// Task is what an instance asks of its node, the same for all instances of a workload's revision.
type Task struct {
	Name      string // of what all its instances have in common, such as default/web at revision 3
	Namespace string
	Workload  string
	Labels    map[string]string
	Priority  spec.Priority
	Requests  spec.Resources
	GPUs      []Ask
	Ports     []string // host ports, such as tcp/80
	Images    []string
	Profile   *Profile
	Expect    int // how many of it are to be placed, as far as one knows

	selector    []label
	affinity    []spec.NodeTerm
	preferred   []spec.PreferredNodeTerm
	weights     int64 // of all that is preferred of nodes
	tolerations []spec.Toleration
	peers       map[string]int // instances of the workload by node
	around      around

	filters []*Filter
	scores  []Weighted
	moves   bool // what is placed on one node may change the answer for another
	drawn   bool // the scores are drawn anew for every instance
	seed    uint64
	ranking *ranking
}

// Ask is what a container asks of GPUs.
type Ask struct {
	Container string
	Whole     int       // devices of its own
	Share     spec.GPUs // of one device, where Whole is 0
}

func (a Ask) total() spec.GPUs { return spec.GPUs(a.Whole)*spec.Device + a.Share }

type label struct{ key, value string }

// NewTask works out what an instance of the spec asks. Where others are to be near or far, they are looked for in the pool's view.
func (p *Pool) NewTask(namespace, workload, name string, s *spec.InstanceSpec, profile *Profile) *Task {
	t := &Task{
		Name: name, Namespace: namespace, Workload: workload, Labels: s.Labels, Priority: s.Priority, Requests: s.Requests(), Profile: profile,
		tolerations: s.Tolerations, peers: map[string]int{}, seed: p.policy.Seed ^ hashOf(name),
	}
	p.learn(profile)
	t.GPUs = asksOf(s)
	for _, c := range s.Containers {
		t.Images = append(t.Images, c.Image.String())
	}
	for _, port := range s.HostPorts() {
		t.Ports = append(t.Ports, projections.PortName(port.Protocol, port.HostPort))
	}
	for _, key := range slices.Sorted(maps.Keys(s.NodeSelector)) {
		t.selector = append(t.selector, label{key, s.NodeSelector[key]})
	}
	if a := s.Affinity; a != nil && a.Node != nil {
		t.affinity, t.preferred = a.Node.Required, a.Node.Preferred
		for _, term := range t.preferred {
			t.weights += int64(term.Weight)
		}
	}
	p.lookAround(t, s)
	t.decide(p)
	p.tasks = append(p.tasks, t)
	return t
}

// decide works out which filters and scores have something to say of the task.
func (t *Task) decide(p *Pool) {
	t.filters, t.scores, t.moves, t.drawn = nil, nil, false, false
	for n := range Filters {
		if f := &Filters[n]; f.applies == nil || f.applies(t) {
			t.filters = append(t.filters, f)
			t.moves = t.moves || f.moves
		}
	}
	for _, w := range t.Profile.Scores {
		if w.applies == nil || w.applies(p, t) {
			t.scores = append(t.scores, w)
			t.moves, t.drawn = t.moves || w.moves, t.drawn || w.drawn
		}
	}
}

// gpus is the sum of what the task asks of GPUs.
func (t *Task) gpus() (sum spec.GPUs) {
	for _, a := range t.GPUs {
		sum += a.total()
	}
	return sum
}

// kind is how a task uses GPUs: tasks of one kind are alike.
func (t *Task) kind() string {
	switch {
	case len(t.GPUs) == 0:
		return ""
	case t.GPUs[0].Whole == 0:
		return "share"
	default:
		return strings.Repeat("g", min(t.GPUs[0].Whole, 64))
	}
}

// suits reports whether the node's labels are as the task demands.
func (t *Task) suits(n *Node) bool {
	for _, l := range t.selector {
		if value, ok := n.State.Labels[l.key]; !ok || value != l.value {
			return false
		}
	}
	return len(t.affinity) == 0 || slices.ContainsFunc(t.affinity, func(term spec.NodeTerm) bool { return term.Matches(n.State.Labels) })
}

func (t *Task) tolerates(taint spec.Taint) bool {
	return slices.ContainsFunc(t.tolerations, func(o spec.Toleration) bool { return o.Tolerates(taint) })
}

func hashOf(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

// mix is the finalizer of MurmurHash3: every bit of the result depends on every bit of x.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}
