package app

import (
	"cmp"
	"slices"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

// story is a set of events and how they came from each other. It is pure.
type story struct {
	bySequence map[uint64]events.Event
	byID       map[string]uint64 // also the ids of commands, at their outcomes
	hopeless   map[string]bool   // ids that the log does not have
}

func newStory() *story {
	return &story{bySequence: map[uint64]events.Event{}, byID: map[string]uint64{}, hopeless: map[string]bool{}}
}

func (s *story) add(e events.Event) {
	s.bySequence[e.Sequence] = e
	s.byID[e.ID] = e.Sequence
	if record, ok := recordIn(e); ok {
		s.byID[record.ID] = e.Sequence
	}
}

// missing lists the causes that are named and not known yet.
func (s *story) missing() (ids []string) {
	for _, e := range s.bySequence {
		if _, known := s.byID[e.Causation]; e.Causation != "" && !known && !s.hopeless[e.Causation] {
			ids = append(ids, e.Causation)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// giveUp marks ids that were looked for in vain: a heartbeat, say, is no event.
func (s *story) giveUp(ids []string) {
	for _, id := range ids {
		if _, known := s.byID[id]; !known {
			s.hopeless[id] = true
		}
	}
}

// inOrder lists the events that match, oldest first.
func (s *story) inOrder(match func(events.Event) bool) (found []events.Event) {
	for _, e := range s.bySequence {
		if match(e) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b events.Event) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return found
}

func (s *story) own(f Filter) []events.Event { return s.inOrder(f.Matches) }

// lastOf is the newest event before a sequence that matches.
func (s *story) lastOf(before uint64, match func(events.Event) bool) (events.Event, bool) {
	found := s.inOrder(func(e events.Event) bool { return e.Sequence < before && match(e) })
	if len(found) == 0 {
		return events.Event{}, false
	}
	return found[len(found)-1], true
}

// roots are the events that make up the present state of a thing, the most telling first: the newest of each kind of its aggregates.
func (s *story) roots(kind events.Aggregate, f Filter) (roots []events.Event) {
	var tellers []events.Aggregate
	switch kind {
	case events.AggregateInstance:
		tellers = []events.Aggregate{events.AggregateInstance, events.AggregateReport, events.AggregateLedger, events.AggregateUnplaced}
	case events.AggregateWorkload:
		tellers = []events.Aggregate{events.AggregateWorkload}
	case events.AggregateNode:
		tellers = []events.Aggregate{events.AggregateNode}
	}
	placed := false
	for _, e := range slices.Backward(s.own(f)) {
		aggregate := e.Subject.Aggregate()
		placed = placed || aggregate == events.AggregateLedger
		at := slices.Index(tellers, aggregate)
		if at < 0 || (aggregate == events.AggregateUnplaced && placed) {
			continue
		}
		tellers = slices.Delete(tellers, at, at+1)
		roots = append(roots, e)
	}
	slices.SortFunc(roots, func(a, b events.Event) int { return cmp.Compare(b.Sequence, a.Sequence) })
	return roots
}

// mostTroubles is how many instances a workload's why goes into.
const mostTroubles = 5

// troubles are the newest events of the workload's instances that are not ready.
func (s *story) troubles(view *projections.Cluster, f Filter) (roots []events.Event) {
	for i := range view.InstancesOf(f.Namespace, f.Workload) {
		if i.Retired || i.Phase == spec.PhaseReady || len(roots) == mostTroubles {
			continue
		}
		mine := s.own(Filter{Namespace: i.Key.Namespace, Workload: i.Key.Workload, Instance: i.Key.Name})
		if len(mine) > 0 {
			roots = append(roots, mine[len(mine)-1])
		}
	}
	return roots
}

// tree tells each root with its causes. What was told already is only named.
func (s *story) tree(roots []events.Event) (told []api.Cause) {
	seen := map[uint64]bool{}
	for _, e := range roots {
		if !seen[e.Sequence] {
			told = append(told, s.tell(e, seen))
		}
	}
	return told
}

func (s *story) tell(e events.Event, seen map[uint64]bool) api.Cause {
	seen[e.Sequence] = true
	c := causeOf(e)
	for _, cause := range s.causes(e) {
		if seen[cause.Sequence] {
			again := causeOf(cause)
			again.Shown = true
			c.Because = append(c.Because, again)
			continue
		}
		c.Because = append(c.Because, s.tell(cause, seen))
	}
	return c
}

func causeOf(e events.Event) api.Cause {
	c := api.Cause{
		ID: e.ID, Sequence: e.Sequence, Time: e.Time, Type: e.Type, Subject: string(e.Subject), Actor: e.Actor, Line: events.Line(e),
	}
	if record, ok := recordIn(e); ok {
		c.Actor, c.Reason = record.Actor, record.Reason
	}
	return c
}

// causes are the event that e names as its cause, and those that it follows from by what it says.
func (s *story) causes(e events.Event) (causes []events.Event) {
	add := func(cause events.Event, ok bool) {
		if ok && cause.Sequence != e.Sequence && !slices.ContainsFunc(causes, func(c events.Event) bool { return c.Sequence == cause.Sequence }) {
			causes = append(causes, cause)
		}
	}
	named, ok := s.bySequence[s.byID[e.Causation]]
	add(named, ok && e.Causation != "")
	a := subjectOf(e)
	mine := func(match func(events.Event) bool) func(events.Event) bool {
		return func(o events.Event) bool {
			b := subjectOf(o)
			return b.Namespace == a.Namespace && b.Workload == a.Workload && b.Instance == a.Instance && match(o)
		}
	}
	switch data := e.Data.(type) {
	case instance.RequestedV1:
		// Whatever set it off, what it is to run was said by the workload.
		add(s.lastOf(e.Sequence+events.MaxBatch, func(o events.Event) bool {
			revision, ok := revisionIn(o)
			return ok && subjectOf(o).workloadKey() == a.workloadKey() && revision == data.Revision
		}))
	case ledger.AssignedV2:
		add(s.lastOf(e.Sequence, mine(isA[instance.RequestedV1])))
	case ledger.RevokedV2:
		add(s.lastOf(e.Sequence, mine(isA[instance.StopRequestedV1])))
	default:
		if e.Subject.Aggregate() == events.AggregateReport && len(causes) == 0 {
			add(s.lastOf(e.Sequence, mine(func(o events.Event) bool { return isA[ledger.AssignedV2](o) && subjectOf(o).Node == a.Node })))
		}
		if e.Subject.Aggregate() == events.AggregateUnplaced && len(causes) == 0 {
			add(s.lastOf(e.Sequence, mine(isA[instance.RequestedV1])))
		}
	}
	return causes
}

// revisionIn is the revision that an event gave a workload.
func revisionIn(e events.Event) (int, bool) {
	switch data := e.Data.(type) {
	case workload.AppliedV1:
		return data.Revision, true
	case workload.RestartedV1:
		return data.Revision, true
	}
	return 0, false
}

func isA[P events.Payload](e events.Event) bool {
	_, ok := e.Data.(P)
	return ok
}

// recordIn is the command in the outcome of one.
func recordIn(e events.Event) (command.Record, bool) {
	switch data := e.Data.(type) {
	case command.AcceptedV1:
		return data.Command, true
	case command.RejectedV1:
		return data.Command, true
	}
	return command.Record{}, false
}
