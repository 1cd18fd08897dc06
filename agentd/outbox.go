package agentd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rutter-run/rutter/agentd/store"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/report"
	"github.com/sirupsen/logrus"
)

// outbox carries reports from the disk to the log, in the order they were made, however long the log cannot be reached.
type outbox struct {
	store  *store.Store
	log    events.Log
	source string
	types  *events.Registry
	logger *logrus.Entry
	wake   chan struct{}
}

func newOutbox(s *store.Store, log events.Log, source string, logger *logrus.Entry) *outbox {
	return &outbox{store: s, log: log, source: source, types: catalog.New(), logger: logger, wake: make(chan struct{}, 1)}
}

// nudge says that there is something to send.
func (o *outbox) nudge() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

const (
	sendAtOnce = 500 // reports in one batch
	// fewReports are cheaper one by one: an atomic batch stages and syncs a store of its own.
	fewReports = 4
)

func (o *outbox) run(ctx context.Context) error {
	wait := retryBackOff()
	for {
		sent, err := o.send(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			delay := wait.NextBackOff()
			if errors.Is(err, events.ErrBusy) {
				delay = time.Duration(rand.Int64N(int64(20 * time.Millisecond)))
			} else {
				o.logger.WithError(err).Warn("reports wait on disk")
			}
			if !sleep(ctx, delay) {
				return nil
			}
			continue
		}
		wait.Reset()
		if sent > 0 {
			continue
		}
		select {
		case <-o.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// send sends what waits now and returns how much that was.
func (o *outbox) send(ctx context.Context) (int, error) {
	reports, heads, err := o.store.Outbox(sendAtOnce)
	if err != nil || len(reports) == 0 {
		return 0, err
	}
	if len(reports) <= fewReports {
		for _, r := range reports {
			if err := o.append(ctx, []store.Report{r}, heads); err != nil {
				return 0, err
			}
		}
	} else if err := o.append(ctx, reports, heads); err != nil {
		return 0, err
	}
	return len(reports), nil
}

func (o *outbox) append(ctx context.Context, reports []store.Report, heads map[events.Subject]uint64) error {
	batch, last := o.batch(reports, heads)
	sequence, err := o.log.Append(ctx, batch)
	if errors.Is(err, events.ErrConflict) {
		// Only this agent writes here, so the head is one of its own that it did not live to remember.
		if err := o.refresh(ctx, batch, heads); err != nil {
			return err
		}
		batch, last = o.batch(reports, heads)
		sequence, err = o.log.Append(ctx, batch)
	}
	if err != nil {
		return fmt.Errorf("append %d reports: %w", len(reports), err)
	}
	// A batch is stored without a gap, so each subject's head is known from the sequence of the last event.
	for subject, back := range last {
		heads[subject] = sequence - back
	}
	remember := make(map[events.Subject]uint64, len(last))
	for subject := range last {
		remember[subject] = heads[subject]
	}
	for _, r := range reports {
		switch r.Type {
		case report.StoppedV1{}.WireType(), report.RejectedV1{}.WireType():
			remember[r.Subject] = 0 // nothing more will be said of it
		}
	}
	return o.store.Sent(reports, remember)
}

// refresh reads the true heads of the batch's subjects.
func (o *outbox) refresh(ctx context.Context, batch events.Batch, heads map[events.Subject]uint64) error {
	for _, w := range batch {
		e, err := o.log.LastOf(ctx, w.Subject)
		switch {
		case errors.Is(err, events.ErrNotFound):
			heads[w.Subject] = 0
		case err != nil:
			return fmt.Errorf("read the head of %s: %w", w.Subject, err)
		default:
			heads[w.Subject] = e.Sequence
		}
	}
	return nil
}

// batch makes one write a subject, subjects in the order of their first report, and tells for each how far its last event lies before
// the end of the batch.
func (o *outbox) batch(reports []store.Report, heads map[events.Subject]uint64) (events.Batch, map[events.Subject]uint64) {
	var batch events.Batch
	at := map[events.Subject]int{}
	for _, r := range reports {
		i, ok := at[r.Subject]
		if !ok {
			i = len(batch)
			at[r.Subject] = i
			batch = append(batch, events.Write{Subject: r.Subject, Expect: heads[r.Subject]})
		}
		batch[i].Events = append(batch[i].Events, events.Event{
			ID: r.ID, Type: r.Type, Source: o.source, Subject: r.Subject, Time: r.Time, Correlation: r.Correlation,
			Causation: r.Causation, Actor: r.Actor, TraceParent: r.TraceParent, Data: o.types.Decode(r.Type, r.Data),
		})
	}
	last := map[events.Subject]uint64{}
	after := uint64(0)
	for i := len(batch) - 1; i >= 0; i-- {
		last[batch[i].Subject] = after
		after += uint64(len(batch[i].Events))
	}
	return batch, last
}

// sleep waits, and reports false when ctx was done first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
