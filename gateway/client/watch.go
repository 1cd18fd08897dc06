package client

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events"
)

// recheck is how often a condition is looked at without an event: some, such as a node's loss, do not speak of the workload that they concern.
const recheck = 2 * time.Second

// restMost is the longest rest between two questions while events come.
const restMost = 200 * time.Millisecond

// pause waits, and reports false where ctx was done first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

var errDone = errors.New("done")

// Await calls check now, and again whenever an event matches the filter, until it is done, fails or ctx is done. Events only wake it: what it
// decides on is the state that it reads. The sequence that check gets is the newest event's, for reading a state that includes it.
func (c *Client) Await(ctx context.Context, filter Filter, check func(ctx context.Context, sequence uint64) (done bool, err error)) error {
	wake := make(chan uint64, 1)
	tell := func(sequence uint64) {
		select {
		case <-wake: // only the newest counts
		default:
		}
		wake <- sequence
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		// Each connection wakes: what happened while there was none must not be missed.
		return c.stream(ctx, 0, filter, func() { tell(0) }, func(e events.Event) error { tell(e.Sequence); return nil })
	})
	group.Go(func() error {
		ticker := time.NewTicker(recheck)
		defer ticker.Stop()
		var newest uint64
		met := false
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case sequence := <-wake:
				newest = max(newest, sequence)
			case <-ticker.C:
			}
			began := time.Now()
			done, err := check(ctx, newest)
			took := time.Since(began)
			var away *UnreachableError
			if errors.As(err, &away) && met {
				continue // the gateway restarts: the stream is coming back as well
			}
			if err != nil {
				return err
			}
			met = true
			if done {
				return errDone
			}
			// Where events come faster than they can be asked about, the gateway has others to answer: what comes meanwhile is asked about once.
			if !pause(ctx, min(2*took, restMost)) {
				return ctx.Err()
			}
		}
	})
	if err := group.Wait(); !errors.Is(err, errDone) {
		return err
	}
	return nil
}
