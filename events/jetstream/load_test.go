package jetstream_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/logtest"
)

var errLoaded = errors.New("all there")

func TestALoadedLogHoldsTheEventsInTheirOrder(t *testing.T) {
	s, ctx := startServers(t, 1), logtest.Context(t)
	a, b := logtest.Subject(), logtest.Subject()
	var all []events.Event
	for n, e := range logtest.Facts(string(a), 2500) {
		e.Subject = a
		if n%3 == 0 {
			e.Subject = b // one subject stands many times in a batch, among others
		}
		all = append(all, e)
	}
	var told []uint64
	require.NoError(t, s.client(t).Load(ctx, slices.Values(all), func(n uint64) { told = append(told, n) }))
	require.Equal(t, []uint64{1000, 2000, 2500}, told)
	next := 0
	err := s.client(t).Log().Follow(ctx, 1, func(e events.Event, pending uint64) error {
		require.Equal(t, all[next].ID, e.ID)
		require.Equal(t, all[next].Subject, e.Subject)
		if next++; next == len(all) {
			return errLoaded
		}
		return nil
	})
	require.ErrorIs(t, err, errLoaded)
	require.ErrorIs(t, s.client(t).Load(ctx, slices.Values(all), func(uint64) {}), events.ErrConflict, "it is not empty any more")
}
