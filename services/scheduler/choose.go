package scheduler

import (
	"hash/fnv"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// choice is the node for an instance; node is nil where none fits.
type choice struct {
	node       *candidate
	scores     []ledger.Score // of the best nodes, best first
	considered int
	fitted     int
}

const (
	// shownScores is how many nodes' scores an assignment tells.
	shownScores = 3
	// whole is a full score of one part.
	whole = 1000
	// spreadWeight lets one instance fewer of the same workload outweigh any difference in load.
	spreadWeight = whole + 1
	// mostPeers is from how many instances of one workload on a node on spreading makes no difference any more.
	mostPeers = 1000
)

// score is what a node scored for an instance.
type score struct {
	candidate    *candidate
	spread, load int64
	tie          uint64
}

func (s score) total() int64 { return s.spread*spreadWeight + s.load }

// better orders scores; no two nodes tie, so that no order of nodes decides anything.
func (s score) better(o score) bool {
	switch {
	case s.total() != o.total():
		return s.total() > o.total()
	case s.tie != o.tie:
		return s.tie > o.tie
	default:
		return s.candidate.node.Name < o.candidate.node.Name
	}
}

// choose finds the best node for an instance: first the one with the fewest instances of the same workload, then the least
// allocated, then one by a hash of instance and node, so that equal nodes share the load.
func (p *pool) choose(i *projections.Instance, d *demand) choice {
	c := choice{considered: len(p.candidates)}
	best := make([]score, 0, shownScores+1)
	for _, candidate := range p.candidates {
		if !fits(candidate, d) {
			continue
		}
		c.fitted++
		s := score{
			candidate: candidate, spread: int64(mostPeers - min(mostPeers, d.peers[candidate.node.Name])),
			load: leastAllocated(candidate, d.requests),
		}
		if len(best) == shownScores && s.total() < best[shownScores-1].total() {
			continue
		}
		s.tie = tie(i.Key, candidate.node.Name)
		best = insert(best, s)
	}
	for _, s := range best {
		c.scores = append(c.scores, ledger.Score{
			Node: s.candidate.node.Name, Total: s.total(),
			Parts: map[string]int64{"spread": s.spread * spreadWeight, "least-allocated": s.load},
		})
	}
	if len(best) > 0 {
		c.node = best[0].candidate
	}
	return c
}

// insert keeps the best few in order.
func insert(best []score, s score) []score {
	best = append(best, s)
	for at := len(best) - 1; at > 0 && best[at].better(best[at-1]); at-- {
		best[at], best[at-1] = best[at-1], best[at]
	}
	return best[:min(len(best), shownScores)]
}

// leastAllocated is the free share of processor and memory that would be left, from 0 to 1000: their mean.
func leastAllocated(c *candidate, requests spec.Resources) int64 {
	cpu := share(int64(c.free.CPU-requests.CPU), int64(c.node.Capacity.CPU))
	memory := share(int64(c.free.Memory-requests.Memory), int64(c.node.Capacity.Memory))
	return (cpu + memory) / 2
}

func share(free, capacity int64) int64 {
	if capacity <= 0 || free <= 0 {
		return 0
	}
	return min(whole, free*whole/capacity)
}

// tie is the same for the same instance and node for ever, and even over the nodes.
func tie(k events.InstanceKey, node string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(k.Namespace))
	h.Write([]byte{0})
	h.Write([]byte(k.Name))
	h.Write([]byte{0})
	h.Write([]byte(node))
	// FNV's high bits hardly move with the last bytes: mix them down (the finalizer of MurmurHash3).
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}
