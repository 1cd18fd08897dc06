package placement

// Scan looks at every node, without a ranking.
func (p *Pool) Scan(t *Task, instance string) Choice {
	draw := uint64(0)
	if t.drawn {
		draw = hashOf(instance) ^ p.policy.Seed
	}
	return p.scan(t, instance, len(p.Nodes), draw)
}
