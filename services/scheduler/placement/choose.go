package placement

import (
	"math"

	"github.com/rutter-run/rutter/events/ledger"
)

// Choice is the node for an instance; Node is nil where none fits.
type Choice struct {
	Node       *Node
	Scores     []ledger.Score // of the best nodes, best first
	Considered int            // nodes that were looked at
	Fitted     int
}

// shownScores is how many nodes' scores a choice tells.
const shownScores = 3

// rank is what a node scored for a task.
type rank struct {
	node  *Node
	total int64
	tie   uint64
}

// better orders ranks; no two nodes tie, so that no order of nodes decides anything.
func (r rank) better(o rank) bool {
	switch {
	case r.total != o.total:
		return r.total > o.total
	case r.tie != o.tie:
		return r.tie > o.tie
	default:
		return r.node.index < o.node.index
	}
}

// rank scores a node. Between nodes that score the same a hash decides, of the task, the node and how often the node was chosen: so a replay
// decides the same, and equal nodes share the load.
func (p *Pool) rank(n *Node, t *Task, draw uint64) rank {
	r := rank{node: n}
	if t.Profile.Ties != TiesByName {
		r.tie = mix(t.seed ^ n.hash ^ n.taken*0x9e3779b97f4a7c15 ^ draw)
	}
	for _, w := range t.scores {
		r.total += w.Weight * w.score(p, n, t)
	}
	return r
}

// Choose finds the best node for an instance of the task. instance is its name, for what is drawn by lot.
func (p *Pool) Choose(t *Task, instance string) Choice {
	size := p.sample()
	if t.drawn {
		return p.scan(t, instance, len(p.Nodes), hashOf(instance)^p.policy.Seed)
	}
	if !t.moves && (size >= len(p.Nodes) || t.ranking != nil || t.Expect*size > len(p.Nodes)) {
		return p.fromRanking(t)
	}
	return p.scan(t, instance, size, 0)
}

// sample is how many nodes that fit are looked at where they are not ranked. It grows with the square root of their number.
func (p *Pool) sample() int {
	switch s := p.policy.Sample; {
	case s == SampleAll:
		return len(p.Nodes)
	case s > 0:
		return max(100, len(p.Nodes)*int(s)/100)
	}
	return max(100, int(4*math.Sqrt(float64(len(p.Nodes)))))
}

// scan looks at nodes from one on that the instance's name gives, until enough fit.
func (p *Pool) scan(t *Task, instance string, enough int, draw uint64) (c Choice) {
	var room [shownScores + 1]rank
	best := room[:0]
	start := 0
	if enough < len(p.Nodes) {
		start = int(mix(hashOf(instance)^p.policy.Seed) % uint64(len(p.Nodes)))
	}
	for at := range p.Nodes {
		n := p.Nodes[(start+at)%len(p.Nodes)]
		c.Considered++
		if !p.Fits(n, t) {
			continue
		}
		c.Fitted++
		r := p.rank(n, t, draw)
		if len(best) < shownScores || r.better(best[shownScores-1]) {
			best = insert(best, r)
		}
		if c.Fitted == enough {
			break
		}
	}
	p.tell(&c, t, best)
	return c
}

// insert keeps the best few in order.
func insert(best []rank, r rank) []rank {
	best = append(best, r)
	for at := len(best) - 1; at > 0 && best[at].better(best[at-1]); at-- {
		best[at], best[at-1] = best[at-1], best[at]
	}
	return best[:min(len(best), shownScores)]
}

// tell says what the best nodes scored, part by part.
func (p *Pool) tell(c *Choice, t *Task, best []rank) {
	for _, r := range best {
		s := ledger.Score{Node: r.node.State.Name, Total: r.total, Parts: make(map[string]int64, len(t.scores))}
		for _, w := range t.scores {
			s.Parts[w.Name] = w.Weight * w.score(p, r.node, t)
		}
		c.Scores = append(c.Scores, s)
	}
	if len(best) > 0 {
		c.Node = best[0].node
	}
}
