package logtest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/subscription"
)

// RunStore holds an implementation to [subscription.Store]. open gives the store of a name as a new process would; a store that holds something
// until it is released has a method Release.
func RunStore(t *testing.T, open func(t *testing.T, name string) subscription.Store) {
	release := func(s subscription.Store) {
		if r, ok := s.(interface{ Release() }); ok {
			r.Release()
		}
	}
	give := func(p subscription.Position) func(context.Context) (subscription.Position, error) {
		return func(context.Context) (subscription.Position, error) { return p, nil }
	}
	t.Run("nothing was kept", func(t *testing.T) {
		store := open(t, Name("p"))
		at, err := store.Load(Context(t))
		require.NoError(t, err)
		require.Zero(t, at)
		release(store)
	})
	t.Run("what was kept last", func(t *testing.T) {
		name := Name("p")
		for i := range uint64(3) {
			store := open(t, name)
			at, err := store.Load(Context(t))
			require.NoError(t, err)
			require.Equal(t, 2*i, at.Sequence)
			for _, next := range []subscription.Position{{Sequence: 2*i + 1, ID: "odd"}, {Sequence: 2*i + 2, ID: "even", State: json.RawMessage(`{"n":1}`)}} {
				require.NoError(t, store.Advance(Context(t), give(next)))
			}
			release(store)
		}
		store := open(t, name)
		at, err := store.Load(Context(t))
		require.NoError(t, err)
		require.Equal(t, subscription.Position{Sequence: 6, ID: "even", State: json.RawMessage(`{"n":1}`)}, at)
		release(store)
	})
	t.Run("nothing is kept of what failed", func(t *testing.T) {
		name := Name("p")
		store := open(t, name)
		_, err := store.Load(Context(t))
		require.NoError(t, err)
		require.NoError(t, store.Advance(Context(t), give(subscription.Position{Sequence: 1, ID: "a"})))
		err = store.Advance(Context(t), func(context.Context) (subscription.Position, error) {
			return subscription.Position{Sequence: 2}, errStop
		})
		require.ErrorIs(t, err, errStop)
		release(store)
		store = open(t, name)
		at, err := store.Load(Context(t))
		require.NoError(t, err)
		require.Equal(t, subscription.Position{Sequence: 1, ID: "a"}, at)
		release(store)
	})
	t.Run("what was handled is kept although the program is told to end", func(t *testing.T) {
		name := Name("p")
		store := open(t, name)
		_, err := store.Load(Context(t))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(Context(t))
		require.NoError(t, store.Advance(ctx, func(context.Context) (subscription.Position, error) {
			cancel()
			return subscription.Position{Sequence: 1, ID: "a"}, nil
		}))
		release(store)
		store = open(t, name)
		at, err := store.Load(Context(t))
		require.NoError(t, err)
		require.EqualValues(t, 1, at.Sequence)
		release(store)
	})
}
