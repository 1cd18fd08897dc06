package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

// Why tells what the present state of a thing came from: the events that made it, each with its causes, back to the commands and
// who gave them. It works for what is long gone as well: the log forgets nothing.
func (r Reading) Why(ctx context.Context, thing Thing) (api.Why, error) {
	a := r.app
	filter, err := thing.filter()
	if err != nil {
		return api.Why{}, err
	}
	if err := a.trailAtEnd(ctx); err != nil {
		return api.Why{}, err
	}
	story := newStory()
	known := a.trail.about(about{Namespace: filter.Namespace, Workload: filter.Workload}.workloadKey(), filter.Node)
	err = a.fetch(ctx, r.shown(known), func(e events.Event) error {
		story.add(e)
		return nil
	})
	if err != nil {
		return api.Why{}, fmt.Errorf("why %s: %w", thing, err)
	}
	// Causes outside the thing's own history, such as a node's loss, are looked up as long as new ones turn up.
	for missing := story.missing(); len(missing) > 0; missing = story.missing() {
		err := a.fetch(ctx, a.trail.withID(missing...), func(e events.Event) error {
			story.add(e)
			return nil
		})
		if err != nil {
			return api.Why{}, fmt.Errorf("why %s: %w", thing, err)
		}
		story.giveUp(missing)
	}
	view := r.view
	roots := story.roots(thing.Kind, filter)
	if thing.Kind == events.AggregateWorkload {
		roots = append(roots, story.troubles(view, filter)...)
	}
	if len(roots) == 0 {
		return api.Why{}, r.unheardOf(thing)
	}
	return api.Why{Thing: thing.String(), Answer: answerOf(view, thing, story.own(filter)), Because: story.tree(roots)}, nil
}

// answerOf says the present state of a thing in one sentence. own is its own history, not empty. It is pure.
func answerOf(view *projections.Cluster, thing Thing, own []events.Event) string {
	at := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }
	switch thing.Kind {
	case events.AggregateInstance:
		key, err := InstanceKey(thing.Namespace, thing.Name)
		if err != nil {
			break
		}
		if i, ok := view.Instance(key); ok {
			where := ""
			if i.Placed() {
				where = " on node " + i.Node
			}
			return fmt.Sprintf("%s is %s%s since %s: %s", thing, i.Phase, where, at(i.Since), i.Reason)
		}
	case events.AggregateWorkload:
		if w, ok := view.Workload(thing.Namespace, thing.Name); ok && !w.Deleted {
			s := statusOf(view, w)
			answer := fmt.Sprintf("%s is %s: %d of %d instances are ready at revision %d", thing, s.State, s.Ready, s.Wished, s.Revision)
			if s.Message != "" {
				answer += "; " + s.Message
			}
			return answer
		}
	case events.AggregateNode:
		if n, ok := view.Node(thing.Name); ok {
			answer := fmt.Sprintf("%s is %s since %s, with %d instances", thing, n.State(), at(n.Since), n.Instances)
			if n.Message != "" {
				answer += ": " + n.Message
			}
			return answer
		}
	}
	// Gone from the state: how it ended is the last thing that was decided about it.
	for _, e := range slices.Backward(own) {
		switch e.Subject.Aggregate() {
		case events.AggregateInstance, events.AggregateWorkload, events.AggregateNode:
			if _, ended := e.Data.(instance.RequestedV1); !ended {
				return fmt.Sprintf("%s is gone since %s: %s", thing, at(e.Time), e.Data.Line())
			}
		}
	}
	return thing.String() + " is gone"
}
