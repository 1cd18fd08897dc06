package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
)

// seen is what a follower knows of the log that it has read, to tell whether it reads the same one when it begins again. A server whose
// files were put back to an older state goes on from there with other events under the same sequences: whoever folded the old ones and
// went on would have a state that no log leads to.
type seen struct {
	created  time.Time // of the stream
	sequence uint64    // of the last event handled, and its id
	id       string
	behind   time.Time // since when the log ends before it; zero: it does not
}

// sameLog fails with [events.ErrOtherLog] where the log is not the one that was read before. A log that ends too early is given time: a new leader
// may not have applied all that it has.
func (f *follower) sameLog(ctx context.Context) error {
	if f.filter != "" || len(f.patterns) > 0 || f.toEnd {
		return nil // those are short, or their readers keep a position of their own
	}
	log := f.client.Log()
	x, err := log.Extent(ctx)
	if err != nil {
		return err
	}
	created := f.seen.created
	f.seen.created = x.Created
	switch {
	case f.seen.sequence == 0:
		return nil
	case !created.Equal(x.Created):
		return fmt.Errorf("the stream was made at %s, and the one read before at %s: %w", x.Created, created, events.ErrOtherLog)
	case x.Last < f.seen.sequence && f.seen.behind.IsZero():
		f.seen.behind = time.Now()
		return errLost
	case x.Last < f.seen.sequence && time.Since(f.seen.behind) < f.client.wait:
		return errLost
	case x.Last < f.seen.sequence:
		return fmt.Errorf("the log ends at %d and was read up to %d: %w", x.Last, f.seen.sequence, events.ErrOtherLog)
	}
	f.seen.behind = time.Time{}
	e, err := log.Get(ctx, f.seen.sequence)
	switch {
	case errors.Is(err, events.ErrNotFound) && f.seen.sequence < x.First:
		return nil // archived meanwhile
	case errors.Is(err, events.ErrDenied):
		return nil
	case err != nil:
		return err
	case e.ID != f.seen.id:
		return fmt.Errorf("event %d is %s and was %s: %w", f.seen.sequence, e.ID, f.seen.id, events.ErrOtherLog)
	}
	return nil
}
