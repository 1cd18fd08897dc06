package past_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/past"
	"github.com/rutter-run/rutter/projections/projectionstest"
	"github.com/rutter-run/rutter/projections/snapshot"
)

// told is a log that holds a history as it is told, each event having gone over the wire.
type told struct {
	events.Log
	events []events.Event
}

func tell(t *testing.T, h projectionstest.History, n int) *told {
	t.Helper()
	l, decoder := &told{Log: memlog.New(nil)}, cloudevent.NewDecoder(catalog.New())
	for e := range h.Events(n) {
		header, data, err := cloudevent.EncodeEvent(e)
		require.NoError(t, err)
		got := decoder.Event(string(e.Subject), header, data)
		got.Sequence, got.Recorded = e.Sequence, e.Recorded
		l.events = append(l.events, got)
	}
	return l
}

func (l *told) Extent(ctx context.Context) (events.Extent, error) {
	x, err := l.Log.Extent(ctx)
	n := len(l.events)
	x.First, x.Last, x.Began, x.Ended = 1, uint64(n), l.events[0].Recorded, l.events[n-1].Recorded
	return x, err
}

func (l *told) Get(_ context.Context, sequence uint64) (events.Event, error) {
	return l.events[sequence-1], nil
}

func (l *told) Follow(_ context.Context, from uint64, handle func(events.Event, uint64) error) error {
	for _, e := range l.events[from-1:] {
		if err := handle(e, uint64(len(l.events))-e.Sequence); err != nil {
			return err
		}
	}
	return nil
}

// TestAtAnyPointOfAHistoryThePastIsWhatThePresentWas: 10,000 events, 1,000 random points, by way of a snapshot and from the first event.
func TestAtAnyPointOfAHistoryThePastIsWhatThePresentWas(t *testing.T) {
	const length, every = 10_000, 250
	log := tell(t, projectionstest.History{Seed: 3, Nodes: 6, PerNode: 3}, length)
	store, ctx := memlog.NewSnapshots(), t.Context()
	source := snapshot.Source{Log: log, Snapshots: store}
	keeper := snapshot.NewKeeper(source, snapshot.Schedule{Ladder: snapshot.Ladder{Newest: length / every}}, nil)

	random, asked := rand.New(rand.NewPCG(1, 2)), make([]uint64, points)
	hashes := map[uint64]string{length: ""}
	for n := range asked {
		asked[n] = 1 + random.Uint64N(length)
		hashes[asked[n]] = ""
	}
	// What the live projection was.
	live, hasher := projections.NewState(), projections.Hasher{}
	for _, e := range log.events {
		live.Apply(e)
		if _, ok := hashes[e.Sequence]; ok {
			hashes[e.Sequence] = hasher.Hash(live.View())
		}
		if e.Sequence%every == 0 {
			_, err := keeper.Take(ctx, live.View())
			require.NoError(t, err)
		}
	}
	kept, err := store.List(ctx)
	require.NoError(t, err)
	require.Len(t, kept, length/every)

	bySnapshot := past.New(log, past.Snapshots(source))
	for n, sequence := range asked {
		view, err := bySnapshot.At(ctx, sequence)
		require.NoError(t, err)
		require.Equal(t, hashes[sequence], view.Hash(), "by a snapshot, at %d", sequence)
		if n >= fromFirst {
			continue
		}
		view, err = past.New(log).At(ctx, sequence)
		require.NoError(t, err)
		require.Equal(t, hashes[sequence], view.Hash(), "from the first event, at %d", sequence)
	}
	require.NotEqual(t, hashes[length], hashes[asked[0]])
}
