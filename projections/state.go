package projections

import (
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/tidwall/btree"
)

// State folds events. It belongs to one goroutine; the views it gives belong to everybody.
type State struct{ c Cluster }

// NewState is the state before the first event.
func NewState() *State { return &State{} }

// StateOf goes on from a view, which stays as it is.
func StateOf(view *Cluster) *State {
	c := *view // the maps' headers; forking the copies leaves the view's own untouched
	return &State{c: fork(&c)}
}

// View is the state now. It costs a few pointers, whatever the size.
func (s *State) View() *Cluster {
	view := fork(&s.c)
	return &view
}

// Sequence is the last event folded in.
func (s *State) Sequence() uint64 { return s.c.sequence }

// fork gives a second cluster that shares all nodes of the trees with the first; each copies what it changes from now on.
func fork(c *Cluster) Cluster {
	return Cluster{
		sequence: c.sequence, time: c.time,
		workloads: *c.workloads.Copy(), slots: *c.slots.Copy(), instances: *c.instances.Copy(), nodes: *c.nodes.Copy(),
		entries: *c.entries.Copy(), outcomes: *c.outcomes.Copy(), byAge: *c.byAge.Copy(), heads: *c.heads.Copy(),
		waiting: *c.waiting.Copy(), unsettled: *c.unsettled.Copy(),
		surplus: *c.surplus.Copy(), priorities: *c.priorities.Copy(), revokedNow: c.revokedNow, apart: *c.apart.Copy(),
	}
}

// Apply folds one event. Types it does not know change nothing but the sequence: they belong to a later version's projection. Nor does a
// type that stands under another aggregate's subject: no log takes one, and who may write there may not say that.
func (s *State) Apply(e events.Event) {
	c := &s.c
	said := e.Data
	if said != nil && !events.Belongs(said.WireType(), e.Subject) {
		said = nil
	}
	switch data := said.(type) {
	case workload.AppliedV1, workload.ScaledV1, workload.DeleteRequestedV1, workload.DeletedV1, workload.RestartedV1, workload.RolledBackV1,
		workload.RolloutStartedV1, workload.RolloutAdvancedV1, workload.RolloutPausedV1, workload.RolloutResumedV1,
		workload.RolloutPromotedV1, workload.RolloutCompletedV1, workload.CompletedV1, workload.FailedV1:
		c.applyWorkload(e)
	case instance.RequestedV1:
		c.instanceRequested(e, data)
	case instance.StopRequestedV1:
		c.changeInstance(e, func(i *Instance) {
			i.Head = e.Sequence
			i.Stop = &Stop{Cause: data.Cause, Message: data.Message, Grace: data.Grace, Mark: markOf(e)}
		})
	case instance.RetiredV1:
		c.instanceRetired(e, data)
	case ledger.AssignedV2:
		c.assigned(e, data)
	case ledger.RevokedV2:
		c.revoked(e, data)
	case unplaced.UnplaceableV2:
		c.changeInstance(e, func(i *Instance) {
			i.UnplacedHead = e.Sequence
			if !i.Placed() {
				i.Unplaceable = &data
			}
		})
	case node.JoinedV1, node.ReadyV1, node.NotReadyV1, node.SuspectedV1, node.LostV1, node.ReturnedV1, node.LeftV1:
		c.applyNode(e)
	case node.CordonedV1, node.UncordonedV1, node.DrainingV1, node.DrainedV1, node.TaintedV1, node.LabelledV1:
		c.applyNode(e)
	case report.PullingV1, report.CreatedV1, report.StartedV1, report.HealthyV1, report.UnhealthyV1, report.ExitedV1,
		report.RestartingV1, report.DelayedV1, report.StoppedV1, report.RejectedV1:
		c.applyReport(e)
	case command.AcceptedV1:
		c.outcome(e, Outcome{Accepted: true, Command: data.Command, Events: data.Events})
	case command.RejectedV1:
		c.outcome(e, Outcome{Code: data.Code, Message: data.Message, Command: data.Command})
	}
	// A plan's own events have no sequence yet; the view keeps the one it was made at.
	if e.Sequence > c.sequence {
		c.sequence = e.Sequence
	}
	c.time = e.Time
}

// rememberedOutcomes is how many outcomes are kept: beyond that a repeated idempotency key is a new command.
const rememberedOutcomes = 1 << 16

func (c *Cluster) outcome(e events.Event, o Outcome) {
	o.Service, o.Mark = e.Subject.Service(), markOf(e)
	c.heads.Set(string(e.Subject), e.Sequence)
	if old, ok := c.outcomes.Get(o.Command.ID); ok {
		c.byAge.Delete(old.Mark.Sequence)
	}
	c.outcomes.Set(o.Command.ID, &o)
	c.byAge.Set(e.Sequence, o.Command.ID)
	for c.byAge.Len() > rememberedOutcomes {
		if _, id, ok := c.byAge.PopMin(); ok {
			c.outcomes.Delete(id)
		}
	}
}

// change replaces the value at key with an altered copy, so that views keep the old one.
func change[V any](m *btree.Map[string, *V], key string, alter func(*V)) (*V, bool) {
	old, ok := m.Get(key)
	if !ok {
		return nil, false
	}
	v := *old
	alter(&v)
	m.Set(key, &v)
	return &v, true
}

func markOf(e events.Event) Mark {
	return Mark{
		ID: e.ID, Correlation: e.Correlation, Actor: e.Actor, TraceParent: e.TraceParent, Time: e.Time, Sequence: e.Sequence,
	}
}
