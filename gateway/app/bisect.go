package app

import (
	"context"
	"fmt"
	"strconv"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
)

// Bisect finds the event that turned a predicate from true to false between two moments, in at most ⌈log2(bad-good)⌉ evaluations once
// both ends are seen to be what they are said to be. Where the predicate turned more than once it finds one of the turns.
func (a *App) Bisect(ctx context.Context, b api.Bisect) (api.BisectResult, events.Event, error) {
	fail := func(err error) (api.BisectResult, events.Event, error) {
		return api.BisectResult{}, events.Event{}, err
	}
	predicate, err := compilePredicate("predicate", b.Predicate)
	if err != nil {
		return fail(err)
	}
	good, err := a.end(ctx, "good", b.Good, predicate, true)
	if err != nil {
		return fail(err)
	}
	bad, err := a.end(ctx, "bad", b.Bad, predicate, false)
	if err != nil {
		return fail(err)
	}
	if good >= bad {
		return fail(spec.Errors{{Field: "bad", Value: b.Bad, Want: fmt.Sprintf("a moment after the good one, which is sequence %d", good)}})
	}
	result := api.BisectResult{Predicate: b.Predicate, Steps: []api.BisectStep{}}
	for bad-good > 1 {
		middle := good + (bad-good)/2
		holds, err := a.holdsAt(ctx, predicate, middle)
		if err != nil {
			return fail(fmt.Errorf("at sequence %d: %w", middle, err))
		}
		result.Steps = append(result.Steps, api.BisectStep{Sequence: middle, Good: holds})
		if holds {
			good = middle
		} else {
			bad = middle
		}
	}
	var culprit events.Event
	err = a.fetch(ctx, []uint64{bad}, func(e events.Event) error {
		culprit = e
		return errEnough
	})
	if err != nil {
		return fail(fmt.Errorf("read event %d: %w", bad, err))
	}
	result.Sequence, result.Line, result.Time = bad, events.Line(culprit), culprit.Time
	return result, culprit, nil
}

// end is the sequence of one end, once the predicate has been seen to be there what it is said to be.
func (a *App) end(ctx context.Context, field, moment string, predicate *question, want bool) (uint64, error) {
	sequence, err := a.sequenceOf(ctx, moment)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", field, err)
	}
	holds, err := a.holdsAt(ctx, predicate, sequence)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", field, err)
	}
	if holds != want {
		return 0, spec.Errors{{Field: field, Value: moment, Want: fmt.Sprintf("a moment at which the predicate is %s; at sequence %d it is %s",
			strconv.FormatBool(want), sequence, strconv.FormatBool(holds))}}
	}
	return sequence, nil
}

func (a *App) holdsAt(ctx context.Context, predicate *question, sequence uint64) (bool, error) {
	view, err := a.Past.At(ctx, sequence)
	if err != nil {
		return false, err
	}
	return predicate.holds(ctx, Reading{app: a, view: view, past: true})
}
