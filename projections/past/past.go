// Package past reads the state of any past moment out of the log.
package past

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
)

// Reader rebuilds past states. It is safe for use by several goroutines.
type Reader struct {
	log events.Log
	now func() time.Time
}

// New makes a reader of a log's past.
func New(log events.Log) *Reader { return &Reader{log: log, now: time.Now} }

// Bounds is what can be asked for.
func (r *Reader) Bounds(ctx context.Context) (events.Extent, error) { return r.log.Extent(ctx) }

// Resolve is the sequence of the last event at a moment, a [*RangeError] where the log does not cover it.
func (r *Reader) Resolve(ctx context.Context, m Moment) (uint64, error) {
	if m.Sequence == 0 && !m.Time.IsZero() {
		return r.SequenceAt(ctx, m.Time)
	}
	bounds, err := r.log.Extent(ctx)
	if err != nil {
		return 0, fmt.Errorf("resolve %s: %w", m, err)
	}
	return m.Sequence, covers(bounds, m.Sequence)
}

// covers is nil where the sequence is one of the log's.
func covers(bounds events.Extent, sequence uint64) error {
	asked := "sequence " + strconv.FormatUint(sequence, 10)
	switch {
	case sequence == 0 || !bounds.Empty() && sequence < bounds.First:
		return &RangeError{Asked: asked, Side: ErrBeforeFirst, Bounds: bounds}
	case sequence > bounds.Last:
		return &RangeError{Asked: asked, Side: ErrPastEnd, Bounds: bounds}
	}
	return nil
}

// SequenceAt is the sequence of the last event that the log had recorded at a time. A time before the first event, or one that is still
// to come, is a [*RangeError].
func (r *Reader) SequenceAt(ctx context.Context, at time.Time) (uint64, error) {
	asked := at.UTC().Format(time.RFC3339Nano)
	bounds, err := r.log.Extent(ctx)
	switch {
	case err != nil:
		return 0, fmt.Errorf("find the event at %s: %w", asked, err)
	case bounds.Empty() || at.Before(bounds.Began):
		return 0, &RangeError{Asked: asked, Side: ErrBeforeFirst, Bounds: bounds}
	case !at.Before(bounds.Ended):
		if at.After(r.now()) {
			return 0, &RangeError{Asked: asked, Side: ErrPastEnd, Bounds: bounds}
		}
		return bounds.Last, nil
	}
	// The event at low is not after the time, the one at high is.
	low, high := bounds.First, bounds.Last
	for high-low > 1 {
		middle := low + (high-low)/2
		e, err := r.log.Get(ctx, middle)
		if err != nil {
			return 0, fmt.Errorf("find the event at %s: %w", asked, err)
		}
		if e.Recorded.After(at) {
			high = middle
		} else {
			low = middle
		}
	}
	return low, nil
}

// At is the state right after the event at a sequence, a [*RangeError] where there is none.
func (r *Reader) At(ctx context.Context, sequence uint64) (*projections.Cluster, error) {
	bounds, err := r.log.Extent(ctx)
	if err != nil {
		return nil, fmt.Errorf("state at %d: %w", sequence, err)
	}
	if err := covers(bounds, sequence); err != nil {
		return nil, err
	}
	view, err := r.fold(ctx, projections.Empty(), sequence)
	if err != nil {
		return nil, fmt.Errorf("state at %d: %w", sequence, err)
	}
	return view, nil
}

// View is the state at a moment.
func (r *Reader) View(ctx context.Context, m Moment) (*projections.Cluster, error) {
	sequence, err := r.Resolve(ctx, m)
	if err != nil {
		return nil, err
	}
	return r.At(ctx, sequence)
}

// errReached ends a fold.
var errReached = errors.New("reached")

// fold goes on from a view up to a sequence that the log has.
func (r *Reader) fold(ctx context.Context, from *projections.Cluster, to uint64) (*projections.Cluster, error) {
	if from.Sequence() >= to {
		return from, nil
	}
	state := projections.StateOf(from)
	err := r.log.Follow(ctx, from.Sequence()+1, func(e events.Event, _ uint64) error {
		if e.Sequence > to {
			return errReached // the log skipped it
		}
		state.Apply(e)
		if e.Sequence == to {
			return errReached
		}
		return nil
	})
	if !errors.Is(err, errReached) {
		return nil, err
	}
	return state.View(), nil
}
