package jetstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
)

// find looks for a batch that the server would not store again: whether every event of it stands on its subject already, and the
// sequence of the last of them. duplicate: the server knew the ids, so they were stored within its de-duplication window.
// Otherwise something stands where the batch was to go, and if that is the batch it stands right after the expected sequence.
func (l *Log) find(ctx context.Context, batch events.Batch, duplicate bool) (last uint64, found bool, err error) {
	for _, w := range batch {
		sequence, ok, err := l.findWrite(ctx, w, duplicate)
		if err != nil || !ok {
			return 0, false, err
		}
		last = max(last, sequence)
	}
	return last, true, nil
}

// errFound ends a search.
var errFound = errors.New("found")

func (l *Log) findWrite(ctx context.Context, w events.Write, duplicate bool) (uint64, bool, error) {
	wanted := w.Events[len(w.Events)-1].ID
	head, err := l.head(ctx, w, duplicate)
	switch {
	case errors.Is(err, events.ErrNotFound):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("look for own events on %s: %w", w.Subject, err)
	case head.ID == wanted:
		return head.Sequence, true, nil
	case head.Sequence <= w.Expect && !duplicate:
		return 0, false, nil
	}
	// Others may have written after it.
	from := start{sequence: w.Expect + 1}
	if duplicate {
		from = start{time: time.Now().Add(-2 * eventDuplicates)}
	}
	var sequence uint64
	index := 0
	err = l.read(ctx, w.Subject, from, func(e events.Event) error {
		switch {
		case e.ID == wanted:
			sequence = e.Sequence
			return errFound
		case !duplicate && (index >= len(w.Events) || e.ID != w.Events[index].ID):
			return errFound // something else stands where the batch was to go
		}
		index++
		return nil
	})
	if err != nil && !errors.Is(err, errFound) {
		return 0, false, fmt.Errorf("look for own events on %s: %w", w.Subject, err)
	}
	return sequence, sequence > 0, nil
}

// head is the last event of a write's subject. After a conflict there is one above the expected sequence, but a replica may answer that has not
// got it yet: it is asked a few times.
func (l *Log) head(ctx context.Context, w events.Write, duplicate bool) (events.Event, error) {
	const attempts, pause = 5, 10 * time.Millisecond
	for attempt := 1; ; attempt++ {
		head, err := l.LastOf(ctx, w.Subject)
		if err != nil && !errors.Is(err, events.ErrNotFound) || attempt == attempts {
			return head, err
		}
		if err == nil && (duplicate || head.Sequence > w.Expect) {
			return head, nil
		}
		select {
		case <-ctx.Done():
			return events.Event{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// partly reports whether any event of a batch was stored on its subject within the de-duplication window.
func (l *Log) partly(ctx context.Context, batch events.Batch) (found bool, err error) {
	for _, w := range batch {
		own := make(map[string]bool, len(w.Events))
		for _, e := range w.Events {
			own[e.ID] = true
		}
		err := l.read(ctx, w.Subject, start{time: time.Now().Add(-2 * eventDuplicates)}, func(e events.Event) error {
			if own[e.ID] {
				return errFound
			}
			return nil
		})
		switch {
		case errors.Is(err, errFound):
			return true, nil
		case err != nil:
			return false, fmt.Errorf("look for own events on %s: %w", w.Subject, err)
		}
	}
	return false, nil
}
