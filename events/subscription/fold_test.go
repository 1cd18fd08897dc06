package subscription_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/subscription"
)

// tally is a fold that shows every event that was folded twice, left out or moved.
type tally struct {
	Sum  int      `json:"sum"`
	Seen []uint64 `json:"seen"`
}

func count(s tally, e events.Event) tally {
	s.Sum++
	s.Seen = append(s.Seen, e.Sequence)
	return s
}

// However often a fold is broken off, and wherever, its state at the end holds every event once.
func TestFoldOnceWhereverItIsBrokenOff(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "fold")
		require.NoError(rt, err)
		store := subscription.File(filepath.Join(dir, "state"))
		log := memlog.New(catalog.New())
		total := uint64(0)
		for range rapid.IntRange(1, 5).Draw(rt, "runs") {
			more := rapid.IntRange(1, 30).Draw(rt, "events")
			subject := logtest.Subject()
			last, err := log.Append(t.Context(), events.Batch{{Subject: subject, Events: logtest.Facts(string(subject), more)}})
			require.NoError(rt, err)
			total = last
			stop := rapid.Uint64Range(1, total).Draw(rt, "stop")
			ctx, cancel := context.WithCancel(t.Context())
			kept, err := store.Load(ctx)
			require.NoError(rt, err)
			if kept.Sequence >= stop {
				cancel()
			}
			err = subscription.Fold(ctx, log, store, func(s tally, e events.Event) tally {
				if e.Sequence == stop {
					cancel()
				}
				return count(s, e)
			})
			cancel()
			require.ErrorIs(rt, err, context.Canceled)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var end tally
		kept, err := store.Load(ctx)
		require.NoError(rt, err)
		if kept.Sequence == total {
			cancel()
		}
		err = subscription.Fold(ctx, log, store, func(s tally, e events.Event) tally {
			end = count(s, e)
			if e.Sequence == total {
				cancel()
			}
			return end
		})
		require.ErrorIs(rt, err, context.Canceled)
		data, err := store.Load(t.Context())
		require.NoError(rt, err)
		require.Equal(rt, total, data.Sequence)
		want := tally{}
		for i := range total {
			want = count(want, events.Event{Sequence: i + 1})
		}
		require.Equal(rt, want, stateOf[tally](rt, data))
		store.Release()
	})
}

func TestFoldOfAnotherState(t *testing.T) {
	log := newScript(t)
	log.lost("a")
	store := subscription.File(filepath.Join(t.TempDir(), "state"))
	ctx, cancel := context.WithCancel(logtest.Context(t))
	require.ErrorIs(t, subscription.Fold(ctx, log, store, func(s string, _ events.Event) string { cancel(); return s + "x" }), context.Canceled)
	err := subscription.Fold(logtest.Context(t), log, store, func(n int, _ events.Event) int { return n })
	require.ErrorIs(t, err, events.ErrInvalid)
}

func TestFoldTakesAFilter(t *testing.T) {
	log := newScript(t)
	log.lost("a")
	log.say(events.NodeSubject("a"), node.ReadyV1{})
	log.lost("b")
	store := subscription.File(filepath.Join(t.TempDir(), "state"))
	ctx, cancel := context.WithCancel(logtest.Context(t))
	err := subscription.Fold(ctx, log, store, func(s []string, e events.Event) []string {
		if e.Subject.Node() == "b" {
			cancel()
		}
		return append(s, e.Subject.Node())
	}, subscription.Types("run.rutter.node.lost"))
	require.ErrorIs(t, err, context.Canceled)
	kept, err := store.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, stateOf[[]string](t, kept))
}
