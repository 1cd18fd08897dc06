package decider

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
)

const (
	// maxCommands is how many commands are decided in one batch.
	maxCommands = 200
	// appendPatience is how long an append may take before its outcome counts as unknown; longer than an election of the log.
	appendPatience = 15 * time.Second
	// maxPace bounds how long a loop rests after a plan that found nothing to do, see idle.
	maxPace = 100 * time.Millisecond
)

// term is one time of leading: from the lease's being won to its loss.
type term struct {
	*Loop
	intake  chan events.Delivery
	pending []delivery
	pauses  *backoff.ExponentialBackOff
	failed  bool // the last append failed
	limit   int  // events in a batch: shrinks while the log refuses batches as too large
	atOnce  int  // commands in a batch: one while the log refuses batches
}

// delivery is a command in hand.
type delivery struct {
	events.Delivery
	refused string
}

func newTerm(l *Loop) *term {
	return &term{
		Loop: l, intake: make(chan events.Delivery, maxCommands), pauses: newBackOff(), limit: events.MaxBatch, atOnce: maxCommands,
	}
}

// run takes turns until ctx is done. What was in hand then is handed back at once for the next leader.
func (t *term) run(ctx context.Context) {
	var consuming sync.WaitGroup
	defer func() {
		consuming.Wait()
		t.handBack()
	}()
	if t.config.Commands != nil {
		consuming.Go(func() {
			t.Forever(ctx, "consume commands", func(ctx context.Context) error {
				return t.config.Commands.Consume(ctx, t.config.Service, func(d events.Delivery) {
					select {
					case t.intake <- d:
					case <-ctx.Done():
						_ = d.Nak(0) // it comes again anyway, only later
					}
				})
			})
		})
	}
	for ctx.Err() == nil {
		t.turn(ctx)
	}
}

// turn plans on the newest view and commits, or waits for something to happen.
func (t *term) turn(ctx context.Context) {
	changed := t.follower.Changed() // before the view is taken, so that no change is missed
	view := t.follower.View()
	t.take()
	t.settle(view)
	began := time.Now()
	commands := t.commands()
	plan := t.decide(Turn{View: view, Commands: commands, Now: began, Limit: t.limit})
	took := time.Since(began)
	t.meters.planned(plan, view.Sequence(), took)
	if len(plan.Batch) == 0 {
		t.idle(ctx, changed, plan.WakeAt, took)
		return
	}
	t.commit(ctx, plan, len(commands))
}

// commit appends the plan and waits until the own view includes it.
func (t *term) commit(ctx context.Context, plan Plan, commands int) {
	bounded, cancel := context.WithTimeout(ctx, appendPatience)
	defer cancel()
	last, err := t.config.Log.Append(bounded, plan.Batch)
	logger := t.config.Logger.WithField("events", plan.Batch.Len())
	if err == nil {
		t.meters.batch.Observe(float64(plan.Batch.Len()))
		// What made a batch too large is likely to make the next one so: grow again step by step.
		t.failed, t.limit, t.atOnce = false, min(2*t.limit, events.MaxBatch), maxCommands
		t.pauses.Reset()
		for _, w := range plan.Batch {
			for _, e := range w.Events {
				logger.Debug(events.Line(e))
			}
		}
		_, _ = t.follower.WaitFor(ctx, last) // fails only when ctx is done
		return
	}
	if ctx.Err() != nil {
		return // what became of it shows when the log is followed again
	}
	again := t.failed
	t.failed = true
	switch {
	case errors.Is(err, events.ErrConflict):
		t.meters.conflicts.Inc()
		logger.WithError(err).Debug("somebody was faster; decides again")
		t.catchUp(ctx)
		if again {
			pause(ctx, t.pauses.NextBackOff())
		}
		return
	case errors.Is(err, events.ErrBusy):
		t.meters.conflicts.Inc()
		pause(ctx, t.pauses.NextBackOff())
		return
	}
	t.meters.failures.Inc()
	if t.config.Failed != nil {
		t.config.Failed(err)
	}
	logger.WithError(err).Warn("cannot append; decides again")
	if errors.Is(err, events.ErrTooLarge) || errors.Is(err, events.ErrInvalid) {
		t.shrink(err, commands)
	}
	pause(ctx, t.pauses.NextBackOff())
	// Where the outcome is unknown the own events may stand in the log by now: the next plan is made on a view that shows it.
	t.catchUp(ctx)
}

// shrink makes the next batch smaller, down to what one command leads to; then that command is the fault.
func (t *term) shrink(err error, commands int) {
	const few = events.MaxBatchBytes / events.MaxEvent // so many always fit
	switch {
	case commands > 1:
		t.atOnce = 1
	case t.limit > few:
		t.limit = max(few, t.limit/4)
	case commands == 1:
		t.pending[0].refused = err.Error()
	}
}

// catchUp waits until the view includes all that the log holds now.
func (t *term) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, appendPatience)
	defer cancel()
	last, err := t.config.Log.Last(ctx)
	if err != nil {
		return // the next append tells
	}
	_, _ = t.follower.WaitFor(ctx, last)
}

// take moves what has come in into the hand.
func (t *term) take() {
	for len(t.pending) < maxCommands {
		select {
		case d := <-t.intake:
			t.pending = append(t.pending, delivery{Delivery: d})
		default:
			return
		}
	}
}

// settle acknowledges the commands whose outcome is in the log.
func (t *term) settle(view *projections.Cluster) {
	kept := t.pending[:0]
	for _, d := range t.pending {
		c := d.Command()
		_, decided := view.Outcome(c.ID)
		if c.ID == "" || len(c.ID) > events.MaxCommandID {
			// Nothing can be said of a command without an id, nor would saying it twice be noticed. Send never takes one.
			t.config.Logger.WithField("subject", c.Subject).Errorf("drops a command whose id has %d bytes; want 1 to %d", len(c.ID), events.MaxCommandID)
			decided = true
		}
		if !decided {
			kept = append(kept, d)
			continue
		}
		if err := d.Ack(); err != nil {
			t.config.Logger.WithError(err).WithField("command", c.ID).Warn("cannot acknowledge; it comes again and is known by its id")
		}
		t.meters.commands.Inc()
	}
	clear(t.pending[len(kept):])
	t.pending = kept
}

// commands lists what is in hand for the next plan.
func (t *term) commands() []Pending {
	list := make([]Pending, 0, min(len(t.pending), t.atOnce))
	for _, d := range t.pending[:min(len(t.pending), t.atOnce)] {
		list = append(list, Pending{Command: d.Command(), Attempt: d.Attempt(), Refused: d.refused})
	}
	return list
}

func (t *term) handBack() {
	t.take()
	for _, d := range t.pending {
		_ = d.Nak(0) // it comes again anyway, only later
	}
	t.pending = nil
}

// idle waits for a newer view, a command, a wake, the time that the plan asked for or the full pass. A plan that found nothing to
// do and was dear is followed by a rest of twice its cost, so that a large busy cluster cannot keep a core busy with empty plans.
func (t *term) idle(ctx context.Context, changed <-chan struct{}, wakeAt time.Time, took time.Duration) {
	if took > time.Millisecond {
		pause(ctx, min(2*took, maxPace))
	}
	wait := t.config.FullPass
	if !wakeAt.IsZero() {
		wait = min(wait, max(time.Until(wakeAt), time.Millisecond))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-changed:
	case <-t.wake:
	case <-timer.C:
	case d := <-t.intake:
		t.pending = append(t.pending, delivery{Delivery: d})
	}
}
