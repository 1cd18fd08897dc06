package scheduler

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/services/scheduler/placement"
)

// Place plans which instances to take off their nodes, which to give to nodes, and what to say of those that fit nowhere, by the
// default policy.
func Place(view *projections.Cluster, now time.Time) decider.Plan {
	return Plan(decider.Turn{View: view, Now: now, Limit: events.MaxBatch})
}

// Plan is Place within the limits of a turn; the scheduler takes no commands.
func Plan(turn decider.Turn) decider.Plan { return By(placement.DefaultPolicy())(turn) }

// By is Plan by another policy.
func By(policy *placement.Policy) func(decider.Turn) decider.Plan {
	return func(turn decider.Turn) decider.Plan {
		p := planner{
			view: turn.View, author: decider.Author{Service: events.ServiceScheduler, Now: turn.Now}, policy: policy,
			draft: decider.NewDraft(turn.View, turn.Limit), generation: map[string]uint64{}, awaits: map[events.InstanceKey]string{},
		}
		p.takeBack()
		p.place()
		return decider.Plan{Batch: p.draft.Batch(), More: p.cut || p.evicts}
	}
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
	policy     *placement.Policy
	draft      *decider.Draft
	nodes      *placement.Pool
	tasks      map[shape]*placement.Task     // nil: the instance names a profile that there is not
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
		if !i.End.Failed() {
			revoked.Cause = instance.CauseFinished
		}
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
	p.nodes, p.tasks = placement.NewPool(p.view, p.policy), map[shape]*placement.Task{}
	p.takeStock(waiting)
	// Capacity only shrinks while a plan grows, so what did not fit once is not tried again for another instance of the same shape.
	stuck := map[shape]bool{}
	var left []*projections.Instance
	clear := placement.NewClearance(p.nodes, nil)
	for _, i := range waiting {
		s := shapeOf(i)
		t := p.tasks[s]
		if p.draft.Room() == 0 {
			p.cut = true
			return
		}
		if t == nil {
			left = append(left, i)
			continue
		}
		if !stuck[s] {
			if choice := p.nodes.Choose(t, i.Key.String()); choice.Node != nil {
				p.assign(i, t, choice)
				continue
			}
			stuck[s] = true
		}
		left = append(left, i)
		if !p.preempt(i, t, clear) {
			return
		}
	}
	p.explain(left)
}

// shape is what all instances share that ask for the same: the workload and its revision.
type shape struct {
	namespace, workload string
	revision            int
}

func shapeOf(i *projections.Instance) shape {
	return shape{i.Key.Namespace, i.Key.Workload, i.Revision}
}

// takeStock works out what the waiting instances ask, once for all of a shape.
func (p *planner) takeStock(waiting []*projections.Instance) {
	first := map[[2]string]*placement.Task{}
	for _, i := range waiting {
		s := shapeOf(i)
		if t, known := p.tasks[s]; known {
			if t != nil {
				t.Expect++
			}
			continue
		}
		profile, ok := p.policy.Profile(i.Spec.Policy)
		if !ok {
			p.tasks[s] = nil
			continue
		}
		t := p.nodes.NewTask(s.namespace, s.workload, s.namespace+"/"+s.workload+"/"+strconv.Itoa(s.revision), &i.Spec, profile)
		t.Expect = 1
		if other := first[[2]string{s.namespace, s.workload}]; other != nil {
			t.SharePeers(other) // revisions count together
		} else {
			first[[2]string{s.namespace, s.workload}] = t
		}
		p.tasks[s] = t
	}
}

func (p *planner) assign(i *projections.Instance, t *placement.Task, c placement.Choice) {
	name := c.Node.State.Name
	if _, ok := p.generation[name]; !ok {
		p.generation[name] = c.Node.State.Generation
	}
	p.generation[name]++
	assigned := ledger.AssignedV2{
		Instance: i.Key, Generation: p.generation[name], Spec: i.Spec, Policy: t.Profile.Name, Scores: c.Scores, Considered: c.Considered, Fitted: c.Fitted,
	}
	for _, share := range p.nodes.Take(c.Node, t) {
		assigned.Devices = append(assigned.Devices, ledger.DeviceShare{Container: share.Container, Device: share.Device, Milli: int64(share.Share)})
	}
	p.say(p.author.Say(i.Requested, events.LedgerSubject(name), kindAssigned, assigned))
}
