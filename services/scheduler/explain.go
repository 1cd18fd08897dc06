package scheduler

import (
	"slices"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/projections"
)

// explain says why instances fit nowhere, judged on what is left when everything else is placed. It says so again only when there
// are other reasons; that the same reasons hold for one node more or less is no news, or every node that comes
// and goes would cost an event for each instance that waits.
func (p *planner) explain(left []*projections.Instance) {
	reasons := map[shape]unplaced.UnplaceableV2{}
	for _, i := range left {
		s := shapeOf(i)
		why, ok := reasons[s]
		if !ok {
			why = p.whyNot(i)
			reasons[s] = why
		}
		why.Awaits = p.awaits[i.Key]
		if i.Unplaceable != nil && sameReasons(*i.Unplaceable, why) {
			continue
		}
		// What was said before is part of the id: the same reasons may come back later.
		if !p.say(p.author.Say(i.Requested, events.UnplacedSubject(i.Key), int(i.UnplacedHead), why)) {
			return
		}
	}
}

func (p *planner) whyNot(i *projections.Instance) unplaced.UnplaceableV2 {
	if t := p.tasks[shapeOf(i)]; t != nil {
		return p.nodes.Explain(t)
	}
	nodes := len(p.nodes.Nodes)
	return unplaced.UnplaceableV2{Nodes: nodes, Reasons: []unplaced.Reason{{
		Filter: "policy", Detail: "left alone: there is no profile " + i.Spec.Policy, Nodes: nodes,
	}}}
}

func sameReasons(a, b unplaced.UnplaceableV2) bool {
	return a.Awaits == b.Awaits && (a.Nodes == 0) == (b.Nodes == 0) && slices.EqualFunc(a.Reasons, b.Reasons, func(x, y unplaced.Reason) bool {
		return x.Filter == y.Filter && x.Detail == y.Detail
	})
}
