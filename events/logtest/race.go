package logtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
)

// rounds is how often writers race: on three servers, writers that mixed a wildcard expectation with a literal one lost an update in 296
// of 300 rounds.
const rounds = 300

// settle appends until the outcome is known: it retries what is busy.
func settle(ctx context.Context, log events.Log, batch events.Batch) (uint64, error) {
	for {
		last, err := log.Append(ctx, batch)
		if !errors.Is(err, events.ErrBusy) {
			return last, err
		}
	}
}

// race lets writers append at the same time on the same expectation, round after round, and fails where not exactly one wins.
func race(t *testing.T, writers []events.Log, subject events.Subject, batch func(writer, round int, expect uint64) events.Batch) {
	t.Helper()
	ctx := Context(t)
	var at uint64
	for round := range rounds {
		errs := make([]error, len(writers))
		var group sync.WaitGroup
		for w, log := range writers {
			group.Go(func() { _, errs[w] = settle(ctx, log, batch(w, round, at)) })
		}
		group.Wait()
		winners := 0
		for _, err := range errs {
			if err == nil {
				winners++
				continue
			}
			require.ErrorIs(t, err, events.ErrConflict)
		}
		require.Equal(t, 1, winners, "round %d", round)
		head, err := last(ctx, writers[0], subject, at)
		require.NoError(t, err)
		at = head
	}
	require.Len(t, Gather(t, writers[0], subject, 0), rounds)
}

// last is the sequence of a subject's last event once that is above at: a replica may be a moment behind.
func last(ctx context.Context, log events.Log, subject events.Subject, at uint64) (uint64, error) {
	for {
		e, err := log.LastOf(ctx, subject)
		if err == nil && e.Sequence > at {
			return e.Sequence, nil
		}
		if err != nil && !errors.Is(err, events.ErrNotFound) {
			return 0, err
		}
	}
}

var raceCases = map[string]func(*testing.T, Fixture){
	"two writers of single events": func(t *testing.T, f Fixture) {
		subject := f.Subject()
		race(t, []events.Log{f.Log(t), f.Log(t)}, subject, func(w, round int, at uint64) events.Batch {
			return f.One(subject, at, fmt.Sprintf("%s-%d-%d", subject, w, round))
		})
	},
	"a single event and a batch": func(t *testing.T, f Fixture) {
		subject := f.Subject()
		race(t, []events.Log{f.Log(t), f.Log(t)}, subject, func(w, round int, at uint64) events.Batch {
			batch := f.One(subject, at, fmt.Sprintf("%s-%d-%d", subject, w, round))
			if w == 1 {
				batch = append(batch, f.One(f.Subject(), 0, Name("e"))...)
			}
			return batch
		})
	},
	"one event written twice at once": func(t *testing.T, f Fixture) {
		writers, ctx := []events.Log{f.Log(t), f.Log(t)}, Context(t)
		for range rounds / 10 {
			subject, id := f.Subject(), Name("e")
			var group sync.WaitGroup
			errs := make([]error, len(writers))
			for w, log := range writers {
				group.Go(func() { _, errs[w] = settle(ctx, log, f.One(subject, 0, id)) })
			}
			group.Wait()
			require.NoError(t, errors.Join(errs...), "both are told that it is done")
			require.Equal(t, []string{f.Fact(id).ID}, IDs(Gather(t, writers[0], subject, 0)))
		}
	},
}
