package placement

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// Filter turns nodes away that cannot take a task.
type Filter struct {
	Name string
	pass func(*Pool, *Node, *Task) bool
	// why says why the node was turned away, in a few words that are the same for every node with that fault.
	why     func(*Pool, *Node, *Task) string
	applies func(*Task) bool // nil: to every task
	moves   bool             // the answer for a node may change by what is placed on others
}

// Filters are asked in this order; the first one that refuses gives the reason.
var Filters = []Filter{
	{Name: "node-ready", pass: takesWork, why: whyNotReady},
	{Name: "taints", pass: tolerated, why: whyTainted},
	{Name: "node-selector", pass: selected, why: whyNotSelected, applies: func(t *Task) bool { return len(t.selector) > 0 }},
	{Name: "node-affinity", pass: affine, why: whyNotAffine, applies: func(t *Task) bool { return len(t.affinity) > 0 }},
	{Name: "resources", pass: enough, why: whyShort},
	{Name: "gpus", pass: enoughGPUs, why: whyNoGPU, applies: func(t *Task) bool { return len(t.GPUs) > 0 }},
	{Name: "host-ports", pass: portsFree, why: whyPortTaken, applies: func(t *Task) bool { return len(t.Ports) > 0 }},
	{Name: "instance-affinity", pass: near, why: whyNotNear, moves: true, applies: func(t *Task) bool { return len(t.around.near) > 0 }},
	{Name: "instance-anti-affinity", pass: far, why: whyNotFar, moves: true, applies: func(t *Task) bool { return len(t.around.far)+len(t.around.keepOut) > 0 }},
	{Name: "topology-spread", pass: even, why: whyUneven, moves: true, applies: func(t *Task) bool { return len(t.around.spread) > 0 }},
}

// Fits asks every filter.
func (p *Pool) Fits(n *Node, t *Task) bool {
	for _, f := range t.filters {
		if !f.pass(p, n, t) {
			return false
		}
	}
	return true
}

func takesWork(_ *Pool, n *Node, _ *Task) bool { return !n.shunned || n.State.TakesWork() }

func whyNotReady(_ *Pool, n *Node, _ *Task) string {
	switch {
	case n.State.Health == projections.Healthy && !n.State.Ready:
		return "not ready"
	case n.State.Health == projections.Healthy:
		return "cordoned"
	default:
		return strings.ToLower(n.State.State())
	}
}

func tolerated(_ *Pool, n *Node, t *Task) bool { return !n.shunned || untolerated(n, t) == nil }

func untolerated(n *Node, t *Task) *spec.Taint {
	for i, taint := range n.State.Taints {
		if taint.Effect != spec.PreferNoSchedule && !t.tolerates(taint) {
			return &n.State.Taints[i]
		}
	}
	return nil
}

func whyTainted(_ *Pool, n *Node, t *Task) string { return "tainted " + untolerated(n, t).String() }

func selected(_ *Pool, n *Node, t *Task) bool {
	for _, l := range t.selector {
		if value, ok := n.State.Labels[l.key]; !ok || value != l.value {
			return false
		}
	}
	return true
}

func whyNotSelected(_ *Pool, n *Node, t *Task) string {
	for _, l := range t.selector {
		if value, ok := n.State.Labels[l.key]; !ok || value != l.value {
			return "without label " + l.key + "=" + l.value
		}
	}
	return ""
}

func affine(_ *Pool, n *Node, t *Task) bool {
	return slices.ContainsFunc(t.affinity, func(term spec.NodeTerm) bool { return term.Matches(n.State.Labels) })
}

func whyNotAffine(_ *Pool, _ *Node, t *Task) string {
	var terms []string
	for _, term := range t.affinity {
		var all []string
		for _, e := range term.MatchExpressions {
			all = append(all, e.String())
		}
		terms = append(terms, strings.Join(all, " and "))
	}
	return "without " + strings.Join(terms, ", or ")
}

func enough(_ *Pool, n *Node, t *Task) bool {
	return n.Free.Resources.Holds(t.Requests) && (n.leaving == nil || n.leaving.later.Resources.Holds(t.Requests))
}

func whyShort(_ *Pool, n *Node, t *Task) string {
	short := n.Free.Resources.Short(t.Requests)
	if len(short) == 0 {
		short = n.leaving.later.Resources.Short(t.Requests) // what is free now is kept for an instance that awaits the rest
	}
	return "short of " + strings.Join(short, ", ")
}

func enoughGPUs(_ *Pool, n *Node, t *Task) bool {
	return n.Free.pick(t, nil) && (n.leaving == nil || n.leaving.later.pick(t, nil))
}

func whyNoGPU(_ *Pool, _ *Node, t *Task) string {
	if a := t.GPUs[0]; a.Whole == 0 {
		return fmt.Sprintf("without %s free of one GPU", a.Share)
	}
	whole := 0
	for _, a := range t.GPUs {
		whole += a.Whole
	}
	return fmt.Sprintf("without %d whole GPUs free", whole)
}

func portsFree(_ *Pool, n *Node, t *Task) bool { return !slices.ContainsFunc(t.Ports, n.TakesPort) }

func whyPortTaken(_ *Pool, n *Node, t *Task) string {
	var taken []string
	for _, port := range t.Ports {
		if n.TakesPort(port) {
			taken = append(taken, port)
		}
	}
	return "without free port " + strings.Join(taken, ", ")
}
