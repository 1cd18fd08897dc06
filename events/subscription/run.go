package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Run hands the events that are subscribed to to their handlers, one after the other, until ctx is done or something fails, and returns
// that error. It follows the log through every restart of the servers.
func Run(ctx context.Context, log events.Log, options ...Option) error {
	s, patterns, err := subscribe(options)
	if err != nil {
		return err
	}
	if s.store == nil {
		begin, err := s.begin(ctx, log)
		if err != nil {
			return err
		}
		r := reader{log: log, patterns: patterns, gap: s.gap, at: Position{Sequence: begin - 1}}
		return r.read(ctx, func(e events.Event, _ uint64) error {
			takers := s.takers(e)
			return s.patiently(ctx, func() error { return dispatch(ctx, e, takers) })
		})
	}
	at, err := s.open(ctx, log)
	if err != nil {
		return err
	}
	defer release(s.store)
	r := reader{log: log, patterns: patterns, gap: s.gap, at: at}
	passed := 0
	return r.read(ctx, func(e events.Event, _ uint64) error {
		takers := s.takers(e)
		if len(takers) == 0 {
			// Nothing was done, so nothing needs to be kept yet.
			if passed++; passed < passedMost {
				return nil
			}
		}
		passed = 0
		return s.patiently(ctx, func() error {
			return s.store.Advance(ctx, func(ctx context.Context) (Position, error) {
				return Position{Sequence: e.Sequence, ID: e.ID}, dispatch(ctx, e, takers)
			})
		})
	})
}

// passedMost is how many events that are for no handler may go by before the position is kept.
const passedMost = 1000

// open loads the position. A new subscriber's first one is kept at once, so that from now on stays that now, however it ends.
func (s *settings) open(ctx context.Context, log events.Log) (Position, error) {
	at, err := s.store.Load(ctx)
	if err != nil {
		return at, err
	}
	if at.Sequence > 0 {
		return at, nil
	}
	begin, err := s.begin(ctx, log)
	if err == nil && begin > 1 {
		at.Sequence = begin - 1
		err = s.store.Advance(ctx, func(context.Context) (Position, error) { return at, nil })
	}
	if err != nil {
		release(s.store)
	}
	return at, err
}

// begin is the sequence of the first event that a new subscriber gets.
func (s *settings) begin(ctx context.Context, log events.Log) (uint64, error) {
	if !s.now {
		return max(s.from, 1), nil
	}
	last, err := log.Last(ctx)
	if err != nil {
		return 0, fmt.Errorf("subscribe from now on: %w", err)
	}
	return last + 1, nil
}

// patiently tries again where the subscriber asked for it. What another process keeps is never tried for again.
func (s *settings) patiently(ctx context.Context, handle func() error) error {
	for pause := s.first; ; pause = min(2*pause, s.most) {
		err := handle()
		if err == nil || s.first == 0 || errors.Is(err, events.ErrConflict) {
			return err
		}
		wait := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-wait.C:
		}
	}
}
