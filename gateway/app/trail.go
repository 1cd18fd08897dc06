package app

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/ledger"
)

// trail remembers of every event of the log where it is and what it is about, in 24 bytes each, so that the history of a thing and the
// cause of an event are found without reading the whole log. It remembers hashes: whoever fetches an event by it looks whether it
// is the right one.
type trail struct {
	seed maphash.Seed

	mu      sync.RWMutex
	first   uint64        // sequence of the first entry
	entries []footprint   // by sequence, without gaps
	changed chan struct{} // closed at the next entry where somebody waits
}

// footprint is what is remembered of one event: hashes, 0 where there is nothing.
type footprint struct {
	id       uint64
	workload uint64 // of the workload that it is about
	node     uint64 // of the node that it is about
}

func newTrail() *trail { return &trail{seed: maphash.MakeSeed()} }

func (t *trail) hash(text string) uint64 {
	if text == "" {
		return 0
	}
	return max(1, maphash.String(t.seed, text))
}

// follow keeps the trail up to date until ctx is done.
func (t *trail) follow(ctx context.Context, log events.Log) error {
	return log.Follow(ctx, 1, func(e events.Event, _ uint64) error {
		t.add(e)
		return nil
	})
}

func (t *trail) add(e events.Event) {
	about := subjectOf(e)
	print := footprint{id: t.hash(e.ID), workload: t.hash(about.workloadKey()), node: t.hash(about.Node)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) == 0 {
		t.first = e.Sequence
	}
	// A sequence that the log skipped is an entry about nothing, so that place and sequence stay in step.
	for next := t.first + uint64(len(t.entries)); next < e.Sequence; next++ {
		t.entries = append(t.entries, footprint{})
	}
	if t.first+uint64(len(t.entries)) == e.Sequence {
		t.entries = append(t.entries, print)
	}
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// wait returns once the trail knows every event up to the sequence.
func (t *trail) wait(ctx context.Context, sequence uint64) error {
	for {
		t.mu.Lock()
		done := sequence == 0 || t.first+uint64(len(t.entries)) > sequence
		if !done && t.changed == nil {
			t.changed = make(chan struct{})
		}
		changed := t.changed
		t.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// about lists the sequences of what may be about the workload (and its instances), or the node.
func (t *trail) about(workloadKey, node string) []uint64 {
	w, n := t.hash(workloadKey), t.hash(node)
	return t.find(func(f footprint) bool { return (w != 0 && f.workload == w) || (n != 0 && f.node == n) })
}

// withID lists the sequences of what may have one of the ids.
func (t *trail) withID(ids ...string) []uint64 {
	wanted := make(map[uint64]bool, len(ids))
	for _, id := range ids {
		if id != "" {
			wanted[t.hash(id)] = true
		}
	}
	return t.find(func(f footprint) bool { return f.id != 0 && wanted[f.id] })
}

func (t *trail) find(match func(footprint) bool) (found []uint64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i, f := range t.entries {
		if match(f) {
			found = append(found, t.first+uint64(i))
		}
	}
	return found
}

// about is what an event speaks of.
type about struct {
	Namespace, Workload, Instance, Node string
}

func (a about) workloadKey() string {
	if a.Workload == "" {
		return ""
	}
	return a.Namespace + "/" + a.Workload
}

func (a about) of(k events.InstanceKey) about {
	a.Namespace, a.Workload, a.Instance = k.Namespace, k.Workload, k.Name
	return a
}

// subjectOf says what an event speaks of: its subject tells, and for ledgers and commands the data. It is pure.
func subjectOf(e events.Event) about {
	switch e.Subject.Aggregate() {
	case events.AggregateWorkload:
		namespace, name := e.Subject.Workload()
		return about{Namespace: namespace, Workload: name}
	case events.AggregateInstance, events.AggregateUnplaced:
		return about{}.of(e.Subject.Instance())
	case events.AggregateReport:
		return about{Node: e.Subject.Node()}.of(e.Subject.Instance())
	case events.AggregateNode:
		return about{Node: e.Subject.Node()}
	case events.AggregateLedger:
		a := about{Node: e.Subject.Node()}
		switch data := e.Data.(type) {
		case ledger.AssignedV2:
			return a.of(data.Instance)
		case ledger.RevokedV2:
			return a.of(data.Instance)
		}
		return a
	case events.AggregateCommand:
		switch data := e.Data.(type) {
		case command.AcceptedV1:
			return subjectOfCommand(data.Command.Subject)
		case command.RejectedV1:
			return subjectOfCommand(data.Command.Subject)
		case command.DryRunV1:
			return subjectOfCommand(data.Command.Subject)
		}
	}
	return about{}
}

// subjectOfCommand reads cmd.workload.<namespace>.<name> and cmd.node.<node>, which are built as events' subjects are.
func subjectOfCommand(subject string) about {
	s := events.Subject(subject)
	switch s.Aggregate() {
	case events.AggregateWorkload:
		namespace, name := s.Workload()
		return about{Namespace: namespace, Workload: name}
	case events.AggregateNode:
		return about{Node: s.Node()}
	}
	return about{}
}
