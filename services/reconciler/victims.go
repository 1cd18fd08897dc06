package reconciler

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// candidate is a slot that could be given up, with what speaks for that.
type candidate struct {
	*slot
	instance *projections.Instance
	crowd    int // the workload's instances on its node that are left when its turn comes, itself included
}

// reasons are what speaks for giving up an instance rather than another one, the strongest first. Each gives a number; the lower goes.
var reasons = []struct {
	what string
	rank func(*pass, candidate) int
}{
	{"it has no node yet", func(_ *pass, c candidate) int { return truth(c.instance.Placed()) }},
	{"it is not ready", func(_ *pass, c candidate) int { return truth(c.instance.Phase == spec.PhaseReady) }},
	{"its node is cordoned, tainted or not well", func(p *pass, c candidate) int { return truth(p.sound(c.instance.Node)) }},
	{"its node has most of them", func(_ *pass, c candidate) int { return -c.crowd }},
	{"it is the youngest", func(_ *pass, c candidate) int { return -int(c.instance.Requested.Sequence) }},
	{"its slot is the highest", func(_ *pass, c candidate) int { return -c.number }},
}

func truth(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// sound reports whether a node is one that instances may stay on.
func (p *pass) sound(name string) bool {
	n, ok := p.view.Node(name)
	if !ok || !n.TakesWork() {
		return false
	}
	return !slices.ContainsFunc(n.Taints, func(t spec.Taint) bool { return t.Effect != spec.PreferNoSchedule })
}

// spare takes so many slots out of those that are held, and notes for each why it is that one. Without a choice there is no reason.
func (p *pass) spare(held []*slot, more int) (kept []*slot) {
	if more == len(held) {
		return nil
	}
	all := make([]candidate, len(held))
	for n, s := range held {
		all[n] = candidate{slot: s, instance: s.holder()}
	}
	// On one node the oldest stays longest: when the turn of the nth comes, n are left.
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.instance.Requested.Sequence, b.instance.Requested.Sequence), a.number-b.number)
	})
	on := map[string]int{}
	for n := range all {
		on[all[n].instance.Node]++
		all[n].crowd = on[all[n].instance.Node]
	}
	slices.SortFunc(all, func(a, b candidate) int {
		order, _ := p.rank(a, b)
		return order
	})
	last := all[len(all)-1]
	for _, c := range all[:more] {
		_, what := p.rank(c, last)
		p.victims[c.number] = what
	}
	for _, c := range all[more:] {
		kept = append(kept, c.slot)
	}
	slices.SortFunc(kept, func(a, b *slot) int { return a.number - b.number })
	return kept
}

// rank orders two candidates, and says by what.
func (p *pass) rank(a, b candidate) (order int, what string) {
	for _, r := range reasons {
		if order = cmp.Compare(r.rank(p, a), r.rank(p, b)); order != 0 {
			return order, r.what
		}
	}
	return 0, ""
}

// choice says why an instance is one of those that the present number of replicas has no slot for.
func (p *pass) choice(i *projections.Instance) string {
	wished := p.workload.Replicas()
	if what := p.victims[i.Slot]; what != "" {
		return fmt.Sprintf("more than the %d wished for, and %s", wished, what)
	}
	return fmt.Sprintf("more than the %d wished for", wished)
}
