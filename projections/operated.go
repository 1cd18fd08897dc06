package projections

import (
	"cmp"
	"maps"
	"slices"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
)

// operated folds what operators say of a node.
func (n *Node) operated(e events.Event) {
	switch data := e.Data.(type) {
	case node.CordonedV1:
		n.Cordoned = true
	case node.UncordonedV1:
		n.Cordoned, n.Drain = false, nil
	case node.DrainingV1:
		n.Cordoned, n.Drain = true, &Drain{Deadline: data.Deadline, Mark: markOf(e)}
	case node.DrainedV1:
		if n.Drain != nil {
			done := *n.Drain
			done.Done = true
			n.Drain = &done
		}
	case node.TaintedV1:
		n.Taints = tainted(n.Taints, data)
	case node.LabelledV1:
		own := maps.Clone(n.OwnLabels)
		for _, key := range data.Removed {
			delete(own, key)
		}
		n.OwnLabels = merged(own, data.Set)
		n.Labels = merged(n.AgentLabels, n.OwnLabels)
	}
}

// tainted is a node's taints after a change, by key, then effect.
func tainted(old []spec.Taint, change node.TaintedV1) []spec.Taint {
	gone := slices.Concat(change.Removed, change.Set)
	left := slices.DeleteFunc(slices.Clone(old), func(t spec.Taint) bool {
		return slices.ContainsFunc(gone, func(g spec.Taint) bool { return spec.SameTaint(t, g) })
	})
	left = append(left, change.Set...)
	slices.SortFunc(left, func(a, b spec.Taint) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Effect, b.Effect), cmp.Compare(a.Value, b.Value))
	})
	if len(left) == 0 {
		return nil
	}
	return left
}

// merged is both sets, the second winning.
func merged(under, over map[string]string) map[string]string {
	if len(over) == 0 {
		return under
	}
	all := maps.Clone(under)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, over)
	return all
}
