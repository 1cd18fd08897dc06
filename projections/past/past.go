// Package past reads the state of any past moment out of the log, from the nearest snapshot before it.
package past

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/snapshot"
)

// Reader rebuilds past states. It is safe for use by several goroutines.
type Reader struct {
	source snapshot.Source
	now    func() time.Time
	live   func() *projections.Cluster
	recent *recent
	list   list
	flying singleflight.Group
	room   chan struct{} // who rebuilds holds a place in it
}

// Option changes what a reader works with.
type Option func(*Reader)

// Snapshots lets the reader begin at the nearest snapshot instead of the first event.
func Snapshots(source snapshot.Source) Option { return func(r *Reader) { r.source = source } }

// Live lets the reader answer from the present state where that is asked for.
func Live(view func() *projections.Cluster) Option { return func(r *Reader) { r.live = view } }

const (
	// keptViews is how many past states are remembered: who looks at one looks at it again, or at one nearby.
	keptViews = 4
	// atOnce is how many are rebuilt at a time; each holds a state.
	atOnce = 2
)

// New makes a reader of a log's past.
func New(log events.Log, options ...Option) *Reader {
	r := &Reader{
		source: snapshot.Source{Log: log}, now: time.Now, live: projections.Empty, recent: newRecent(keptViews), room: make(chan struct{}, atOnce),
	}
	for _, option := range options {
		option(r)
	}
	r.source.Log = log
	return r
}

// Bounds is what can be asked for.
func (r *Reader) Bounds(ctx context.Context) (events.Extent, error) { return r.source.Log.Extent(ctx) }

// Resolve is the sequence of the last event at a moment, a [*RangeError] where the log does not cover it.
func (r *Reader) Resolve(ctx context.Context, m Moment) (uint64, error) {
	if m.Sequence == 0 && !m.Time.IsZero() {
		return r.SequenceAt(ctx, m.Time)
	}
	bounds, err := r.Bounds(ctx)
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
	bounds, err := r.Bounds(ctx)
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
		e, err := r.source.Log.Get(ctx, middle)
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

// View is the state at a moment.
func (r *Reader) View(ctx context.Context, m Moment) (*projections.Cluster, error) {
	sequence, err := r.Resolve(ctx, m)
	if err != nil {
		return nil, err
	}
	return r.At(ctx, sequence)
}

// At is the state right after the event at a sequence, a [*RangeError] where there is none.
func (r *Reader) At(ctx context.Context, sequence uint64) (*projections.Cluster, error) {
	if live := r.live(); live.Sequence() == sequence && sequence > 0 {
		return live, nil
	}
	if view, ok := r.recent.at(sequence); ok {
		return view, nil
	}
	bounds, err := r.Bounds(ctx)
	if err != nil {
		return nil, fmt.Errorf("state at %d: %w", sequence, err)
	}
	if err := covers(bounds, sequence); err != nil {
		return nil, err
	}
	for {
		// Who waits for what somebody else rebuilds goes on by himself when that one gives up.
		mine := false
		result := r.flying.DoChan(strconv.FormatUint(sequence, 10), func() (any, error) {
			mine = true
			return r.rebuild(ctx, sequence)
		})
		select {
		case got := <-result:
			if got.Err == nil {
				return got.Val.(*projections.Cluster), nil
			}
			if mine || ctx.Err() != nil {
				return nil, fmt.Errorf("state at %d: %w", sequence, got.Err)
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("state at %d: %w", sequence, ctx.Err())
		}
	}
}

// rebuild folds on from the nearest state that is at hand.
func (r *Reader) rebuild(ctx context.Context, sequence uint64) (*projections.Cluster, error) {
	select {
	case r.room <- struct{}{}:
		defer func() { <-r.room }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if view, ok := r.recent.at(sequence); ok {
		return view, nil
	}
	all := r.list.get(ctx, r.source, r.now())
	from := r.recent.before(sequence)
	if nearest(all, sequence) > from.Sequence() {
		if kept := r.source.Nearest(ctx, all, sequence); kept.Sequence() > from.Sequence() {
			from = kept
		}
	}
	view, err := snapshot.FoldTo(ctx, r.source.Log, from, sequence)
	if err != nil {
		return nil, err
	}
	r.recent.add(view)
	return view, nil
}
