package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// Filter chooses events by what they speak of. The zero Filter takes all.
type Filter struct {
	Aggregates []events.Aggregate
	Namespace  string
	Workload   string // of any namespace where none is given
	Instance   string
	Node       string
}

// Matches reports whether the event is one of those. It is pure.
func (f Filter) Matches(e events.Event) bool {
	if len(f.Aggregates) > 0 && !slices.Contains(f.Aggregates, e.Subject.Aggregate()) {
		return false
	}
	a := subjectOf(e)
	return (f.Namespace == "" || a.Namespace == f.Namespace) && (f.Workload == "" || a.Workload == f.Workload) &&
		(f.Instance == "" || a.Instance == f.Instance) && (f.Node == "" || a.Node == f.Node)
}

// Validate reports aggregates that there are not.
func (f Filter) Validate() error {
	known := []events.Aggregate{events.AggregateWorkload, events.AggregateInstance, events.AggregateLedger, events.AggregateUnplaced,
		events.AggregateNode, events.AggregateReport, events.AggregateCommand}
	for _, aggregate := range f.Aggregates {
		if !slices.Contains(known, aggregate) {
			return spec.Errors{{Field: "aggregate", Value: string(aggregate), Want: fmt.Sprint("one of ", known)}}
		}
	}
	return nil
}

// lastShown is the last event that a reading shows.
func (r Reading) lastShown(ctx context.Context) (uint64, error) {
	if r.past {
		return r.view.Sequence(), nil
	}
	return r.app.End(ctx)
}

// shown leaves out what had not happened yet. sequences climb.
func (r Reading) shown(sequences []uint64) []uint64 {
	if !r.past {
		return sequences
	}
	end, _ := slices.BinarySearch(sequences, r.view.Sequence()+1)
	return sequences[:end]
}

func (r Reading) unheardOf(thing Thing) error {
	if r.past {
		return notFound("up to sequence %d the log has nothing about %s", r.view.Sequence(), thing)
	}
	return notFound("the log has nothing about %s: there never was one", thing)
}

// errEnough ends a reading of the log that has found what it wanted.
var errEnough = errors.New("enough")

// Events is a page of the log from a sequence on (0 and 1: the first). next is where the page after it starts, 0 at the end of the log.
func (r Reading) Events(ctx context.Context, from uint64, filter Filter, limit int) (page []events.Event, next uint64, err error) {
	a := r.app
	if err := filter.Validate(); err != nil {
		return nil, 0, err
	}
	most, err := Page{Limit: limit}.limit()
	if err != nil {
		return nil, 0, err
	}
	last, err := r.lastShown(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("read events: %w", err)
	}
	if from > last || last == 0 {
		return nil, 0, nil
	}
	err = a.Log.Follow(ctx, from, func(e events.Event, _ uint64) error {
		if e.Sequence > last {
			return errEnough
		}
		if filter.Matches(e) {
			if len(page) == most {
				next = e.Sequence
				return errEnough
			}
			page = append(page, e)
		}
		if e.Sequence >= last {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, 0, fmt.Errorf("read events: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	return page, next, nil
}

// Watch calls handle with the events from a sequence on (0: only those to come) until ctx is done or handle fails. Of an event that
// the filter turns away handle hears as well, with matches false, so that it knows how far it is.
func (a *App) Watch(ctx context.Context, from uint64, filter Filter, handle func(e events.Event, matches bool) error) error {
	if err := filter.Validate(); err != nil {
		return err
	}
	if from == 0 {
		last, err := a.End(ctx)
		if err != nil {
			return fmt.Errorf("watch events: %w", err)
		}
		from = last + 1
	}
	return a.Log.Follow(ctx, from, func(e events.Event, _ uint64) error { return handle(e, filter.Matches(e)) })
}

// Thing names what has a history: a workload, an instance or a node.
type Thing struct {
	Kind      events.Aggregate // workload, instance or node
	Namespace string           // of a workload or an instance
	Name      string
}

// String is the thing as people write it: workload/default/web, node/n1.
func (t Thing) String() string {
	if t.Namespace == "" {
		return string(t.Kind) + "/" + t.Name
	}
	return string(t.Kind) + "/" + t.Namespace + "/" + t.Name
}

// filter is what the thing's own history is made of.
func (t Thing) filter() (Filter, error) {
	switch t.Kind {
	case events.AggregateWorkload:
		return Filter{Namespace: t.Namespace, Workload: t.Name}, nil
	case events.AggregateInstance:
		key, err := InstanceKey(t.Namespace, t.Name)
		return Filter{Namespace: key.Namespace, Workload: key.Workload, Instance: key.Name}, err
	case events.AggregateNode:
		return Filter{Node: t.Name}, nil
	}
	return Filter{}, spec.Errors{{Field: "kind", Value: string(t.Kind), Want: "workload, instance or node"}}
}

// History is a page of all that ever happened to a thing, also to one that is long gone: a workload's includes its instances', a
// node's what was assigned to it and what its agent reported. from and next are as in Events.
func (r Reading) History(ctx context.Context, thing Thing, from uint64, limit int) (page []events.Event, next uint64, err error) {
	a := r.app
	filter, err := thing.filter()
	if err != nil {
		return nil, 0, err
	}
	most, err := Page{Limit: limit}.limit()
	if err != nil {
		return nil, 0, err
	}
	if err := a.trailAtEnd(ctx); err != nil {
		return nil, 0, err
	}
	sequences := a.trail.about(about{Namespace: filter.Namespace, Workload: filter.Workload}.workloadKey(), filter.Node)
	sequences = slices.DeleteFunc(r.shown(sequences), func(s uint64) bool { return s < from })
	err = a.fetch(ctx, sequences, func(e events.Event) error {
		if !filter.Matches(e) {
			return nil
		}
		if len(page) == most {
			next = e.Sequence
			return errEnough
		}
		page = append(page, e)
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("history of %s: %w", thing, err)
	}
	if len(page) == 0 && from <= 1 {
		return nil, 0, r.unheardOf(thing)
	}
	return page, next, nil
}

// endWait is how long the log is asked where it ends before the own view has to do.
const endWait = time.Second

// End is the sequence of the last event of the log. While the log elects a leader nobody can write, and it is what this gateway has folded.
func (a *App) End(ctx context.Context) (uint64, error) {
	asking, cancel := context.WithTimeout(ctx, endWait)
	defer cancel()
	last, err := a.Log.Last(asking)
	switch {
	case err == nil:
		return last, nil
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case a.View.Live() && (errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrUnknown)):
		return a.View.View().Sequence(), nil
	}
	return 0, err
}

// trailAtEnd waits until the trail knows every event that the log has now.
func (a *App) trailAtEnd(ctx context.Context) error {
	last, err := a.End(ctx)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, a.DecisionWait)
	defer cancel()
	if err := a.trail.wait(waiting, last); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &NotReadyError{What: "the index of the log has not reached sequence " + strconv.FormatUint(last, 10)}
	}
	return nil
}

// nearby is how many unwanted events are read over rather than asking the log anew.
const nearby = 512

// fetch reads the events at the sequences, which climb, and hands each to handle; errEnough ends it early without an error.
func (a *App) fetch(ctx context.Context, sequences []uint64, handle func(events.Event) error) error {
	for len(sequences) > 0 {
		run := 1
		for run < len(sequences) && sequences[run]-sequences[run-1] <= nearby {
			run++
		}
		wanted := sequences[:run]
		sequences = sequences[run:]
		err := a.Log.Follow(ctx, wanted[0], func(e events.Event, _ uint64) error {
			for len(wanted) > 0 && wanted[0] < e.Sequence {
				wanted = wanted[1:]
			}
			if len(wanted) > 0 && wanted[0] == e.Sequence {
				wanted = wanted[1:]
				if err := handle(e); err != nil {
					return err
				}
			}
			if len(wanted) == 0 {
				return errRunDone
			}
			return nil
		})
		switch {
		case errors.Is(err, errRunDone):
		case errors.Is(err, errEnough):
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
	}
	return nil
}

var errRunDone = errors.New("run of events is done")
