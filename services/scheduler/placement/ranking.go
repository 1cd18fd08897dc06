package placement

// ranking is the nodes that fit a task as a heap, the best on top. A node's place in it depends on that node alone, so only nodes that have
// changed are looked at again.
type ranking struct {
	heap []rank
	at   []int // where in the heap a node is, by its index; -1: it does not fit
	seen int   // how much of the pool's changes is in it
}

// fromRanking takes the best of the task's ranking, which is brought up to date first.
func (p *Pool) fromRanking(t *Task) (c Choice) {
	if t.ranking == nil {
		t.ranking = &ranking{at: make([]int, len(p.Nodes)), seen: len(p.changed)}
		for n, node := range p.Nodes {
			t.ranking.at[n] = -1
			if p.Fits(node, t) {
				t.ranking.push(p.rank(node, t, 0))
			}
		}
	}
	r := t.ranking
	changes := p.changed[r.seen:]
	if len(changes) > len(p.Nodes) {
		for n := range p.Nodes {
			p.refresh(r, t, n)
		}
	} else {
		for _, n := range changes {
			p.refresh(r, t, n)
		}
	}
	r.seen = len(p.changed)
	c.Considered, c.Fitted = len(p.Nodes), len(r.heap)
	p.tell(&c, t, r.top())
	return c
}

func (p *Pool) refresh(r *ranking, t *Task, n int) {
	node, at := p.Nodes[n], r.at[n]
	switch fits := p.Fits(node, t); {
	case !fits && at >= 0:
		r.remove(at)
	case !fits:
	case at < 0:
		r.push(p.rank(node, t, 0))
	default:
		r.heap[at] = p.rank(node, t, 0)
		r.settle(at)
	}
}

// top lists the best few: each is among the children of the ones before it.
func (r *ranking) top() (best []rank) {
	if len(r.heap) == 0 {
		return nil
	}
	var room [2*shownScores + 1]int
	open := append(room[:0], 0)
	for len(best) < shownScores && len(open) > 0 {
		first := 0
		for i := range open {
			if r.heap[open[i]].better(r.heap[open[first]]) {
				first = i
			}
		}
		at := open[first]
		best = append(best, r.heap[at])
		open[first] = open[len(open)-1]
		open = open[:len(open)-1]
		for child := 2*at + 1; child <= 2*at+2 && child < len(r.heap); child++ {
			open = append(open, child)
		}
	}
	return best
}

func (r *ranking) push(one rank) {
	r.heap = append(r.heap, one)
	r.at[one.node.index] = len(r.heap) - 1
	r.up(len(r.heap) - 1)
}

func (r *ranking) remove(at int) {
	last := len(r.heap) - 1
	r.at[r.heap[at].node.index] = -1
	if at < last {
		r.heap[at] = r.heap[last]
		r.at[r.heap[at].node.index] = at
	}
	r.heap = r.heap[:last]
	if at < last {
		r.settle(at)
	}
}

func (r *ranking) settle(at int) {
	if !r.down(at) {
		r.up(at)
	}
}

func (r *ranking) up(at int) {
	for at > 0 {
		parent := (at - 1) / 2
		if !r.heap[at].better(r.heap[parent]) {
			return
		}
		r.swap(at, parent)
		at = parent
	}
}

func (r *ranking) down(at int) (moved bool) {
	for {
		best := at
		for child := 2*at + 1; child <= 2*at+2 && child < len(r.heap); child++ {
			if r.heap[child].better(r.heap[best]) {
				best = child
			}
		}
		if best == at {
			return moved
		}
		r.swap(at, best)
		at, moved = best, true
	}
}

func (r *ranking) swap(a, b int) {
	r.heap[a], r.heap[b] = r.heap[b], r.heap[a]
	r.at[r.heap[a].node.index], r.at[r.heap[b].node.index] = a, b
}
