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
	log    Log
	source string
	types  *events.Registry
	logger *logrus.Entry
	wake   chan struct{}
}

func newOutbox(s *store.Store, log Log, source string, logger *logrus.Entry) *outbox {
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
	sendAtOnce = 200 // reports in one batch
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
		return len(reports), nil
	}
	err = o.append(ctx, reports, heads)
	for errors.Is(err, events.ErrTooLarge) && len(reports) > 1 {
		reports = reports[:len(reports)/2]
		err = o.append(ctx, reports, heads)
	}
	if err != nil {
		return 0, err
	}
	return len(reports), nil
}

// append stores reports. Only this agent writes here, so what is in the way is its own: stored, and the acknowledgement lost, or from before
// the agent's store was lost.
func (o *outbox) append(ctx context.Context, reports []store.Report, heads map[events.Subject]uint64) error {
	err := o.try(ctx, reports, heads)
	if errors.Is(err, events.ErrConflict) {
		var rest []store.Report
		if rest, err = o.catchUp(ctx, reports, heads); err == nil && len(rest) > 0 {
			err = o.try(ctx, rest, heads)
		}
	}
	if err != nil {
		return fmt.Errorf("append %d reports: %w", len(reports), err)
	}
	return nil
}

func (o *outbox) try(ctx context.Context, reports []store.Report, heads map[events.Subject]uint64) error {
	batch, last := o.batch(reports, heads)
	sequence, err := o.log.Append(ctx, batch)
	if err != nil {
		return err
	}
	// A batch is stored without a gap, so each subject's head is known from the sequence of the last event.
	for subject, back := range last {
		heads[subject] = sequence - back
	}
	return o.sent(reports, heads)
}

// sent takes reports that are in the log out of the outbox.
func (o *outbox) sent(reports []store.Report, heads map[events.Subject]uint64) error {
	remember := make(map[events.Subject]uint64, len(reports))
	for _, r := range reports {
		remember[r.Subject] = heads[r.Subject]
	}
	for _, r := range reports {
		switch r.Type {
		case report.StoppedV1{}.WireType(), report.RejectedV1{}.WireType():
			remember[r.Subject] = 0 // nothing more will be said of it
		}
	}
	return o.store.Sent(reports, remember)
}

// catchUp reads what the log has of the reports' subjects beyond their known heads, takes the reports that are among it out of the outbox and
// returns the others. What goes out next may be cut into other batches than what was stored, so the log cannot know it by itself.
func (o *outbox) catchUp(ctx context.Context, reports []store.Report, heads map[events.Subject]uint64) (rest []store.Report, err error) {
	stored, read := map[string]bool{}, map[events.Subject]bool{}
	for _, r := range reports {
		if read[r.Subject] {
			continue
		}
		read[r.Subject] = true
		if err := o.readOn(ctx, r.Subject, heads, stored); err != nil {
			return nil, fmt.Errorf("read %s: %w", r.Subject, err)
		}
	}
	var done []store.Report
	for _, r := range reports {
		if stored[r.ID] {
			done = append(done, r)
		} else {
			rest = append(rest, r)
		}
	}
	if len(done) > 0 {
		o.logger.WithField("reports", len(done)).Info("reports whose acknowledgement was lost are in the log")
		err = o.sent(done, heads)
	}
	return rest, err
}

// readOn notes the ids that stand on a subject beyond its known head, and its true head.
func (o *outbox) readOn(ctx context.Context, subject events.Subject, heads map[events.Subject]uint64, stored map[string]bool) error {
	known := heads[subject]
	err := o.log.Read(ctx, subject, known+1, func(e events.Event) error {
		stored[e.ID], heads[subject] = true, e.Sequence
		return nil
	})
	if err != nil || heads[subject] > known {
		return err
	}
	switch e, err := o.log.LastOf(ctx, subject); {
	case errors.Is(err, events.ErrNotFound):
		heads[subject] = 0
	case err != nil:
		return err
	default:
		heads[subject] = e.Sequence
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
