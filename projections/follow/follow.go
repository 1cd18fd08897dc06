// Package follow keeps a projection up to date with a log: the part of reading that waits, so that the folds stay pure.
package follow

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
)

// Follower keeps a state up to date with a log and hands out views of it.
type Follower struct {
	log   events.Log
	start func(context.Context) *projections.Cluster // the state to begin from; nil once it was asked for
	view  atomic.Pointer[projections.Cluster]
	// state belongs to Run. It outlives a run that failed, so that the view never goes back.
	state *projections.State

	period time.Duration
	mark   func(*projections.Cluster) // nil: no checkpoints
	newest time.Time                  // when the log stored the newest event

	mu      sync.Mutex
	changed chan struct{} // closed at the next view
	live    bool          // has caught up once
}

// Option changes how a follower begins.
type Option func(*Follower)

// From lets the follower begin with the state that start gives when it is first run, such as that of the newest snapshot.
func From(start func(context.Context) *projections.Cluster) Option {
	return func(f *Follower) { f.start = start }
}

// Checkpoints calls mark, once the follower is live, with the state right before the first event of each period of the log's own clock: all
// followers of a log have the same state there. mark must not wait.
func Checkpoints(period time.Duration, mark func(*projections.Cluster)) Option {
	return func(f *Follower) { f.period, f.mark = period, mark }
}

// New makes a follower, from the first event on where not told otherwise; Run sets it going.
func New(log events.Log, options ...Option) *Follower {
	f := &Follower{log: log, state: projections.NewState(), changed: make(chan struct{})}
	for _, option := range options {
		option(f)
	}
	f.view.Store(projections.Empty())
	return f
}

// maxUnseen is how many events may be folded without a new view while catching up.
const maxUnseen = 256

// Run follows the log until ctx is done. It takes a view whenever it has caught up. After it failed it can be run again and
// goes on where it was.
func (f *Follower) Run(ctx context.Context) error {
	if f.start != nil {
		view := f.start(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		f.state, f.start = projections.StateOf(view), nil
		f.publish(f.state, false)
	}
	state := f.state
	// What is there already is worth one view, also where it is nothing.
	last, err := f.last(ctx)
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	if state.Sequence() >= last {
		f.publish(state, true)
	}
	unseen := 0
	return f.log.Follow(ctx, state.Sequence()+1, func(e events.Event, pending uint64) error {
		f.checkpoint(e)
		state.Apply(e)
		if unseen++; pending == 0 || unseen >= maxUnseen {
			unseen = 0
			f.publish(state, e.Sequence >= last)
		}
		return nil
	})
}

// checkpoint marks the state where an event is the first of its period.
func (f *Follower) checkpoint(e events.Event) {
	if f.mark == nil {
		return
	}
	before := f.newest
	f.newest = e.Recorded
	if !before.IsZero() && e.Recorded.Truncate(f.period).After(before.Truncate(f.period)) && f.Live() {
		f.mark(f.state.View())
	}
}

// lastPatience is how long the log may take to say where it ends; one that has no leader yet does not answer at all.
const lastPatience = 2 * time.Second

func (f *Follower) last(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, lastPatience)
	defer cancel()
	return f.log.Last(ctx)
}

func (f *Follower) publish(state *projections.State, live bool) {
	f.view.Store(state.View())
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
	f.live = f.live || live
}

// View is the newest view.
func (f *Follower) View() *projections.Cluster { return f.view.Load() }

// Live reports whether all that was in the log at the start has been folded in.
func (f *Follower) Live() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.live
}

// Changed is closed when there is a newer view than the one that View gives after this call.
func (f *Follower) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// WaitLive returns once all that was in the log at the start has been folded in.
func (f *Follower) WaitLive(ctx context.Context) error {
	return f.wait(ctx, "the projection to catch up", f.Live)
}

// WaitFor returns a view that includes the sequence.
func (f *Follower) WaitFor(ctx context.Context, sequence uint64) (*projections.Cluster, error) {
	err := f.wait(ctx, fmt.Sprintf("the projection to reach sequence %d", sequence), func() bool { return f.View().Sequence() >= sequence })
	return f.View(), err
}

func (f *Follower) wait(ctx context.Context, what string, done func() bool) error {
	for {
		changed := f.Changed()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
}
