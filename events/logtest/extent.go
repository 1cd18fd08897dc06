package logtest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
)

var extentCases = map[string]func(*testing.T, Fixture){
	"grows with the log and says when": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), Subject()
		last, err := log.Append(ctx, events.Batch{{Subject: subject, Events: Facts(string(subject), 3)}})
		require.NoError(t, err)
		before, err := log.Extent(ctx)
		require.NoError(t, err)
		require.False(t, before.Empty())
		require.EqualValues(t, 1, before.First)
		require.Equal(t, last, before.Last)
		first, err := log.Get(ctx, before.First)
		require.NoError(t, err)
		require.Equal(t, first.Recorded, before.Began)
		newest, err := log.Get(ctx, before.Last)
		require.NoError(t, err)
		require.Equal(t, newest.Recorded, before.Ended)
		next, err := log.Append(ctx, One(subject, last, Name("e")))
		require.NoError(t, err)
		after, err := f.Log(t).Extent(ctx)
		require.NoError(t, err)
		require.Equal(t, next, after.Last)
		require.Equal(t, before.Created, after.Created, "it is the same log")
		require.False(t, after.Created.IsZero())
	},
	"gets one event by its sequence": func(t *testing.T, f Fixture) {
		log, ctx, subject := f.Log(t), Context(t), Subject()
		last, err := log.Append(ctx, events.Batch{{Subject: subject, Events: Facts(string(subject), 3)}})
		require.NoError(t, err)
		for i, want := range Gather(t, log, subject, 0) {
			got, err := log.Get(ctx, last-2+uint64(i))
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		for _, none := range []uint64{0, last + 1, 1 << 40} {
			_, err := log.Get(ctx, none)
			require.ErrorIs(t, err, events.ErrNotFound)
		}
	},
}
