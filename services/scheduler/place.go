package scheduler

import (
	"cmp"
	"slices"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
)

// Place plans which instances to take off their nodes, which to give to nodes, and what to say of those that fit nowhere.
func Place(view *projections.Cluster, now time.Time) decider.Plan {
	return Plan(decider.Turn{View: view, Now: now, Limit: events.MaxBatch})
}

// Plan is Place within the limits of a turn; the scheduler takes no commands.
func Plan(turn decider.Turn) decider.Plan {
	p := planner{
		view: turn.View, author: decider.Author{Service: events.ServiceScheduler, Now: turn.Now},
		draft: decider.NewDraft(turn.View, turn.Limit), generation: map[string]uint64{},
		awaits: map[events.InstanceKey]string{},
	}
	p.takeBack()
	p.place()
	return decider.Plan{Batch: p.draft.Batch(), More: p.cut || p.evicts}
}

// The kinds of events that one cause can bring about on one ledger: they keep derived ids apart.
const (
	kindAssigned = iota
	kindRevoked
	kindSuperseded
	kindPreempted
)

// planner makes one plan.
type planner struct {
	view       *projections.Cluster
	author     decider.Author
	draft      *decider.Draft
	generation map[string]uint64             // of the newest assignment in this plan, by node
	awaits     map[events.InstanceKey]string // the nodes where room is made for instances
	evicts     bool                          // what stops is more than it was when the first instances were looked at: plan again
	cut        bool                          // the limit was reached
}

func (p *planner) say(e events.Event) bool {
	if p.draft.Room() == 0 {
		p.cut = true
		return false
	}
	p.draft.Add(e)
	return true
}

// takeBack revokes what is on a ledger and not wished for there, and what ended by itself: a ledger without it is all
// that an agent needs to know, even one that has lost its disk.
func (p *planner) takeBack() {
	for entry := range p.view.Surplus() {
		revoked := ledger.RevokedV2{Instance: entry.Instance, Generation: entry.Generation, Cause: instance.CauseSuperseded}
		mark, kind := entry.Assigned, kindSuperseded
		if i, ok := p.view.Instance(entry.Instance); ok && i.Stop != nil {
			revoked.Cause, revoked.Grace = i.Stop.Cause, i.Stop.Grace
			mark, kind = i.Stop.Mark, kindRevoked
		}
		if !p.say(p.author.Say(mark, events.LedgerSubject(entry.Node), kind, revoked)) {
			return
		}
	}
	for i := range p.view.Unsettled() {
		if i.End == nil || i.Revoked || !i.Placed() {
			continue
		}
		revoked := ledger.RevokedV2{Instance: i.Key, Generation: i.Generation, Cause: instance.CauseFailed}
		if !p.say(p.author.Say(i.End.Mark, events.LedgerSubject(i.Node), kindRevoked, revoked)) {
			return
		}
	}
}

// place assigns the waiting instances, those of the highest priority first and of these the longest waiting.
func (p *planner) place() {
	waiting := slices.SortedFunc(p.view.Waiting(), func(a, b *projections.Instance) int {
		return cmp.Or(cmp.Compare(b.Spec.Priority, a.Spec.Priority),
			cmp.Compare(a.Requested.Sequence, b.Requested.Sequence), cmp.Compare(a.Key.String(), b.Key.String()))
	})
	if len(waiting) == 0 {
		return
	}
	nodes := newPool(p.view)
	// Capacity only shrinks while a plan grows, so what did not fit once is not tried again for another instance of the same shape.
	stuck := map[shape]bool{}
	var left []*projections.Instance
	clear := clearance{planner: p, nodes: nodes}
	demands, peers := map[shape]*demand{}, map[workload]map[string]int{}
	for _, i := range waiting {
		s := shapeOf(i)
		d, ok := demands[s]
		if !ok {
			d = newDemand(i, peersOf(p.view, i, peers))
			demands[s] = d
		}
		if p.draft.Room() == 0 {
			p.cut = true
			return
		}
		if !stuck[s] {
			if choice := nodes.choose(i, d); choice.node != nil {
				p.assign(i, choice)
				nodes.take(choice.node, d)
				continue
			}
			stuck[s] = true
		}
		left = append(left, i)
		if !p.preempt(i, d, clear.makeRoom(i, d)) {
			return
		}
	}
	p.explain(left, nodes, demands)
}

func (p *planner) assign(i *projections.Instance, c choice) {
	name := c.node.node.Name
	if _, ok := p.generation[name]; !ok {
		p.generation[name] = c.node.node.Generation
	}
	p.generation[name]++
	p.say(p.author.Say(i.Requested, events.LedgerSubject(name), kindAssigned, ledger.AssignedV2{
		Instance: i.Key, Generation: p.generation[name], Spec: i.Spec, Scores: c.scores, Considered: c.considered, Fitted: c.fitted,
	}))
}
