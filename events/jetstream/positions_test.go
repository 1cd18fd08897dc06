package jetstream_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/subscription"
)

func TestPositionConformance(t *testing.T) {
	onBoth(t, func(t *testing.T, s *servers) {
		logtest.RunStore(t, func(t *testing.T, name string) subscription.Store { return s.client(t).Position(name) })
	})
}

func TestTheLastOfTwoSubscribersGoesOn(t *testing.T) {
	onBoth(t, func(t *testing.T, s *servers) {
		first, second := s.client(t).Position("pager"), s.client(t).Position("pager")
		advance := func(p subscription.Store, to uint64) error {
			return p.Advance(logtest.Context(t), func(context.Context) (subscription.Position, error) { return subscription.Position{Sequence: to}, nil })
		}
		_, err := first.Load(logtest.Context(t))
		require.NoError(t, err)
		require.NoError(t, advance(first, 1))
		at, err := second.Load(logtest.Context(t))
		require.NoError(t, err)
		require.EqualValues(t, 1, at.Sequence)
		require.ErrorIs(t, advance(first, 2), events.ErrConflict)
		require.NoError(t, advance(second, 2))
		require.NoError(t, advance(second, 3))
	})
}
