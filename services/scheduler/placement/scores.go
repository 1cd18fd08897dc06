package placement

import (
	"slices"

	"github.com/rutter-run/rutter/events/spec"
)

// Full is the best score of one part; 0 is the worst.
const Full = 1_000_000

// Scorer says how good a node is for a task, from 0 to Full.
type Scorer struct {
	Name    string
	About   string // what it prefers, as a phrase
	score   func(*Pool, *Node, *Task) int64
	applies func(*Pool, *Task) bool // nil: to every task
	moves   bool                    // the answer for a node may change by what is placed on others
	drawn   bool                    // the answer is drawn anew for every instance
}

// Weighted is a scorer with what it counts for.
type Weighted struct {
	Scorer
	Weight int64
}

// Scorers are all that a policy may name.
var Scorers = []Scorer{
	{Name: "spread", About: "the fewest instances of the same workload", score: scoreSpread},
	{Name: "least-allocated", About: "the most left of processor and memory", score: scoreLeast},
	{Name: "most-allocated", About: "the least left of processor and memory", score: scoreMost},
	{Name: "balanced", About: "processor and memory used alike", score: scoreBalanced},
	{Name: "image-locality", About: "images that other instances there have had pulled", score: scoreImages},
	{Name: "node-preferences", About: "what the workload prefers of nodes' labels", score: scorePreferred, applies: func(_ *Pool, t *Task) bool { return t.weights > 0 }},
	{Name: "instance-preferences", About: "what the workload prefers to be near and far of", score: scoreWishes, moves: true, applies: func(_ *Pool, t *Task) bool { return len(t.around.wished) > 0 }},
	{Name: "topology-preferences", About: "an even spread where the workload does not insist on it", score: scoreLoose, moves: true, applies: func(_ *Pool, t *Task) bool { return len(t.around.loose) > 0 }},
	{Name: "taint-preferences", About: "no taint PreferNoSchedule", score: scoreTaints, applies: func(p *Pool, _ *Task) bool { return p.reluctant }},
	{Name: "best-fit", About: "the least left of processor and GPUs, against the largest node", score: scoreBestFit},
	{Name: "dot-product", About: "the least alike what is left and what is asked", score: scoreDotProduct},
	{Name: "gpu-packing", About: "GPUs that are shared already, then nodes that are used already", score: scoreGPUPacking},
	{Name: "gpu-clustering", About: "nodes that run the same kind of GPU work", score: scoreGPUClustering},
	{Name: "gpu-fragmentation", About: "the least growth of GPU fragmentation, by the tasks that are typical here", score: scoreFragmentation},
	{Name: "gpu-descent", About: "the same by all tasks and what they ask of GPUs, however small the difference", score: scoreDescent},
	{Name: "random", About: "nothing", score: scoreRandom, drawn: true},
}

func scorerNamed(name string) (Scorer, bool) {
	at := slices.IndexFunc(Scorers, func(s Scorer) bool { return s.Name == name })
	if at < 0 {
		return Scorer{}, false
	}
	return Scorers[at], true
}

// mostPeers is from how many instances of one workload on a node on spreading makes no difference any more.
const mostPeers = 1000

func scoreSpread(_ *Pool, n *Node, t *Task) int64 {
	return Full / mostPeers * int64(mostPeers-min(mostPeers, t.peers[n.State.Name]))
}

// share is part of whole, in Full.
func share(part, whole int64) int64 {
	if whole <= 0 || part <= 0 {
		return 0
	}
	if part >= whole {
		return Full
	}
	if part > 1<<40 { // bytes: what is lost does not matter
		part, whole = part>>20, whole>>20
	}
	return part * Full / whole
}

// left is the free share of processor and memory that would be left.
func left(n *Node, t *Task) (cpu, memory int64) {
	return share(int64(n.Free.Resources.CPU-t.Requests.CPU), int64(n.Size.CPU)), share(int64(n.Free.Resources.Memory-t.Requests.Memory), int64(n.Size.Memory))
}

func scoreLeast(_ *Pool, n *Node, t *Task) int64 {
	cpu, memory := left(n, t)
	return (cpu + memory) / 2
}

func scoreMost(p *Pool, n *Node, t *Task) int64 { return Full - scoreLeast(p, n, t) }

func scoreBalanced(_ *Pool, n *Node, t *Task) int64 {
	cpu, memory := left(n, t)
	if cpu < memory {
		cpu, memory = memory, cpu
	}
	return Full - (cpu - memory)
}

// scoreImages looks at what runs there: an image that is there need not be pulled.
func scoreImages(_ *Pool, n *Node, t *Task) int64 {
	there := int64(0)
	for _, image := range t.Images {
		if n.images[image] {
			there++
		}
	}
	return share(there, int64(len(t.Images)))
}

func scorePreferred(_ *Pool, n *Node, t *Task) int64 {
	var sum int64
	for _, term := range t.preferred {
		if (spec.NodeTerm{MatchExpressions: term.MatchExpressions}).Matches(n.State.Labels) {
			sum += int64(term.Weight)
		}
	}
	return sum * Full / t.weights
}

func scoreWishes(_ *Pool, n *Node, t *Task) int64 {
	a := &t.around
	sum := a.worst
	for _, w := range a.wished {
		if count, _ := w.in(n); count > 0 {
			sum += w.weight
		}
	}
	return sum * Full / (a.weights + a.worst)
}

func scoreLoose(_ *Pool, n *Node, t *Task) int64 {
	var sum int64
	for _, s := range t.around.loose {
		count, ok := s.in(n)
		if ok {
			sum += Full / int64(1+max(0, count-s.fewest()))
		}
	}
	return sum / int64(len(t.around.loose))
}

func scoreTaints(_ *Pool, n *Node, t *Task) int64 {
	if !n.shunned {
		return Full
	}
	bad := int64(0)
	for _, taint := range n.State.Taints {
		if taint.Effect == spec.PreferNoSchedule && !t.tolerates(taint) {
			bad++
		}
	}
	return Full / (1 + bad)
}

func scoreRandom(*Pool, *Node, *Task) int64 { return 0 } // its draw is the tie, see rank
