package subscription

import (
	"context"
	"fmt"

	"github.com/rutter-run/rutter/events"
)

// reader reads on from a position, and finds out where something is missing.
type reader struct {
	log      events.Log
	patterns []string // subjects asked for; all where there are none
	gap      func(Gap) error
	at       Position
}

// read calls handle for each event after the position, until it fails or ctx is done.
func (r *reader) read(ctx context.Context, handle func(events.Event, uint64) error) error {
	if err := r.check(ctx); err != nil {
		return err
	}
	from := r.at.Sequence + 1
	if r.at.ID != "" {
		from = r.at.Sequence // to see that it is still what it was
	}
	take := func(e events.Event, pending uint64) error {
		fresh, err := r.see(e)
		if err != nil || !fresh {
			return err
		}
		return handle(e, pending)
	}
	selective, ok := r.log.(events.SelectiveLog)
	switch {
	case len(r.patterns) == 0:
		return r.log.Follow(ctx, from, take)
	case ok:
		return selective.FollowSubjects(ctx, from, r.patterns, take)
	}
	return r.log.Follow(ctx, from, func(e events.Event, pending uint64) error {
		for _, pattern := range r.patterns {
			if e.Subject.Matches(pattern) {
				return take(e, pending)
			}
		}
		return nil
	})
}

// check compares the position with the ends of the log.
func (r *reader) check(ctx context.Context) error {
	log, err := r.log.Extent(ctx)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if r.at.Sequence > log.Last {
		return fmt.Errorf("the position is at %d and the log ends at %d: it is another log, or an older copy of it: %w", r.at.Sequence, log.Last, events.ErrOtherLog)
	}
	if log.First > r.at.Sequence+1 {
		if err := r.gap(Gap{From: r.at.Sequence + 1, To: log.First - 1}); err != nil {
			return err
		}
		r.at = Position{Sequence: log.First - 1}
	}
	return nil
}

// see takes note of an event; fresh where it is one to handle.
func (r *reader) see(e events.Event) (fresh bool, err error) {
	switch {
	case e.Sequence < r.at.Sequence:
		return false, nil
	case e.Sequence == r.at.Sequence:
		if r.at.ID != "" && r.at.ID != e.ID {
			return false, fmt.Errorf("event %d is %s and was %s when the position was kept: %w", e.Sequence, e.ID, r.at.ID, events.ErrOtherLog)
		}
		return false, nil
	case len(r.patterns) == 0 && e.Sequence != r.at.Sequence+1:
		if err := r.gap(Gap{From: r.at.Sequence + 1, To: e.Sequence - 1}); err != nil {
			return false, err
		}
	}
	r.at.Sequence, r.at.ID = e.Sequence, e.ID
	return true, nil
}
