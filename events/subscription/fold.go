package subscription

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rutter-run/rutter/events"
)

const (
	// foldMost is how many events may be folded before the state is kept, and foldFor for how long it may be ahead of what is kept.
	foldMost = 1000
	foldFor  = 500 * time.Millisecond
	// lastWord is how long keeping may take once the subscription is over.
	lastWord = 5 * time.Second
)

// Fold folds the events that pass the filter into a state of the subscriber's own, from the zero S on, and keeps it in one write with the
// position: whatever happens to the process, the state that is kept holds every event up to the position once. It is kept as JSON whenever no more
// events are at hand, and now and then while they are. Options that handle events have no place here. Fold returns when ctx is done or
// something fails, and then with that error.
func Fold[S any](ctx context.Context, log events.Log, store Store, fold func(S, events.Event) S, options ...Option) error {
	s, patterns, err := subscribe(append(options[:len(options):len(options)], Durable(store), Any(nil)))
	if err != nil {
		return err
	}
	if len(s.handlers) > 1 {
		return fmt.Errorf("subscribe: a fold takes no On, Any or Else: %w", events.ErrInvalid)
	}
	at, err := s.open(ctx, log)
	if err != nil {
		return err
	}
	defer release(store)
	f := folding[S]{store: store, at: at, patiently: s.patiently}
	if len(at.State) > 0 {
		if err := json.Unmarshal(at.State, &f.state); err != nil {
			return fmt.Errorf("the state kept at %d is not what is folded now: %w: %w", at.Sequence, events.ErrInvalid, err)
		}
	}
	reading, stop := context.WithCancelCause(ctx)
	keeper := make(chan struct{})
	go func() {
		defer close(keeper)
		f.keepNowAndThen(reading, stop)
	}()
	r := reader{log: log, patterns: patterns, gap: s.gap, at: at}
	err = r.read(reading, func(e events.Event, pending uint64) error {
		if !s.filter.passes(e.Type) {
			return nil
		}
		return f.add(reading, e, pending, fold)
	})
	if cause := context.Cause(reading); ctx.Err() == nil && cause != nil {
		err = cause // the keeper's
	}
	stop(nil)
	<-keeper
	if ctx.Err() != nil && !errors.Is(err, events.ErrConflict) {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
		defer cancel()
		if keeping := f.keep(ending); keeping != nil {
			err = errors.Join(err, keeping)
		}
	}
	return err
}

// folding is a state on its way.
type folding[S any] struct {
	store     Store
	patiently func(context.Context, func() error) error

	mu    sync.Mutex
	state S
	at    Position
	open  int // events that are folded and not kept
}

// add folds one event, and keeps the state where that is due.
func (f *folding[S]) add(ctx context.Context, e events.Event, pending uint64, fold func(S, events.Event) S) error {
	f.mu.Lock()
	f.state = fold(f.state, e)
	f.at = Position{Sequence: e.Sequence, ID: e.ID}
	f.open++
	due := pending == 0 || f.open >= foldMost
	f.mu.Unlock()
	if due {
		return f.keep(ctx)
	}
	return nil
}

// keep keeps the state where it is ahead of what is kept.
func (f *folding[S]) keep(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == 0 {
		return nil
	}
	data, err := json.Marshal(f.state)
	if err != nil {
		return fmt.Errorf("keep the state at %d: %w", f.at.Sequence, err)
	}
	at := f.at
	at.State = data
	err = f.patiently(ctx, func() error {
		return f.store.Advance(ctx, func(context.Context) (Position, error) { return at, nil })
	})
	if err == nil {
		f.open = 0
	}
	return err
}

// keepNowAndThen keeps the state while ctx is not done; where it cannot, it ends the subscription.
func (f *folding[S]) keepNowAndThen(ctx context.Context, stop context.CancelCauseFunc) {
	ticker := time.NewTicker(foldFor)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := f.keep(ctx); err != nil {
				stop(err)
				return
			}
		}
	}
}
