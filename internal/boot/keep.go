package boot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/sirupsen/logrus"

	"github.com/rutter-run/rutter/events"
)

// Keep runs what should never end, and again whenever it does, with growing pauses, until ctx is done. It gives up with
// [events.ErrOtherLog]: whatever this process has read is of a log that is not there any more.
func Keep(ctx context.Context, log *logrus.Entry, what string, run func(context.Context) error) error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 100*time.Millisecond, 5*time.Second
	for {
		began := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, events.ErrOtherLog) {
			return fmt.Errorf("%s: start anew: %w", what, err)
		}
		if time.Since(began) > time.Minute {
			wait.Reset()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			log.WithError(err).Warnf("could not %s; trying again", what)
		}
		timer := time.NewTimer(wait.NextBackOff())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
