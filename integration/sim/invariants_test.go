package sim

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// checker holds every event against what must be true for ever.
type checker struct {
	state       *projections.State
	outcomes    map[string]uint64
	generations map[string]uint64
	requested   map[events.Subject]bool
	ids         map[string]uint64
	awaited     map[string]string // causes that are not in the log yet, and what they caused
}

func newChecker() *checker {
	return &checker{
		state: projections.NewState(), outcomes: map[string]uint64{}, generations: map[string]uint64{}, requested: map[events.Subject]bool{},
		ids: map[string]uint64{}, awaited: map[string]string{},
	}
}

// apply folds one event in and returns what it broke.
func (c *checker) apply(e events.Event) (broken []string) {
	say := func(format string, args ...any) {
		broken = append(broken, fmt.Sprintf("%d %s: ", e.Sequence, events.Line(e))+fmt.Sprintf(format, args...))
	}
	if before, ok := c.ids[e.ID]; ok {
		say("id %s is also that of %d", e.ID, before)
	}
	c.ids[e.ID] = e.Sequence
	if _, known := c.ids[e.Causation]; e.Subject.Aggregate() != events.AggregateCommand && !known {
		// The outcome of a command stands for it, and comes after the command's events in one batch.
		c.awaited[e.Causation] = events.Line(e)
	}
	delete(c.awaited, e.ID)
	if e.ID == e.Causation || e.Correlation == "" || e.Actor == "" {
		say("does not name its cause: causation %q, correlation %q, actor %q", e.Causation, e.Correlation, e.Actor)
	}
	switch data := e.Data.(type) {
	case command.AcceptedV1:
		c.outcome(data.Command.ID, e, say)
	case command.RejectedV1:
		c.outcome(data.Command.ID, e, say)
	case instance.RequestedV1:
		if c.requested[e.Subject] {
			say("requested twice")
		}
		c.requested[e.Subject] = true
	case ledger.AssignedV2:
		if node := e.Subject.Node(); data.Generation <= c.generations[node] {
			say("generation %d follows %d", data.Generation, c.generations[node])
		} else {
			c.generations[node] = data.Generation
		}
	}
	before := c.state.View()
	c.state.Apply(e)
	view := c.state.View()
	if data, ok := e.Data.(ledger.AssignedV2); ok {
		old, known := before.Instance(data.Instance)
		if i, ok := view.Instance(data.Instance); ok && known && old.Placed() && (i.Node != old.Node || i.Generation != old.Generation) {
			say("it moved from %s to %s", old.Node, i.Node)
		}
	}
	for _, problem := range violations(view) {
		say("%s", problem)
	}
	return broken
}

func (c *checker) outcome(id string, e events.Event, say func(string, ...any)) {
	if before, ok := c.outcomes[id]; ok {
		say("command %s has an outcome already, at %d", id, before)
	}
	c.outcomes[id] = e.Sequence
}

// violations are the invariants of a state.
func violations(view *projections.Cluster) (broken []string) {
	say := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	for n := range view.Nodes() {
		var sum spec.Resources
		ports := map[string]bool{}
		for entry := range view.Entries(n.Name) {
			sum = sum.Add(entry.Requests)
			for _, p := range entry.HostPorts {
				if ports[p] {
					say("node %s gave host port %s away twice", n.Name, p)
				}
				ports[p] = true
			}
		}
		if short := n.Capacity.Short(sum); len(short) > 0 {
			say("node %s is over-committed: %v", n.Name, short)
		}
		if len(n.Allocated.Short(sum))+len(sum.Short(n.Allocated)) > 0 || len(ports) != len(n.HostPorts) {
			say("node %s: its entries sum up to %+v, it says %+v", n.Name, sum, n.Allocated)
		}
	}
	live := map[string]string{}
	for i := range view.Instances() {
		if !i.Wished() || i.End != nil {
			continue
		}
		slot := fmt.Sprintf("%s/%s slot %d", i.Key.Namespace, i.Key.Workload, i.Slot)
		other, shared := live[slot]
		s, _ := view.Slot(i.Key.Namespace, i.Key.Workload, i.Slot)
		// The successor of one that leaves a drained node is requested while that still serves.
		if newest, _ := view.Instance(events.InstanceKey{Namespace: i.Key.Namespace, Workload: i.Key.Workload, Name: s.Instance}); shared && !besides(newest) {
			say("%s is held by %s and %s", slot, other, i.Key.Name)
		}
		live[slot] = i.Key.Name
	}
	return broken
}

// besides reports whether an instance may run beside the one whose place it takes: until it is ready.
func besides(i *projections.Instance) bool {
	switch i.Cause {
	case instance.CauseDrained, instance.CauseFailed, instance.CauseNodeLost, instance.CauseRolledOut:
		return i.Spec.OnPartition != spec.PartitionStop
	}
	return false
}
