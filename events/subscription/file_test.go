package subscription_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/subscription"
)

// stateOf reads what a fold has kept.
func stateOf[S any](t require.TestingT, p subscription.Position) (s S) {
	require.NoError(t, json.Unmarshal(p.State, &s))
	return s
}

func TestFileConformance(t *testing.T) {
	dir := t.TempDir()
	logtest.RunStore(t, func(_ *testing.T, name string) subscription.Store { return subscription.File(filepath.Join(dir, name)) })
}

func TestAFileHasOneSubscriber(t *testing.T) {
	file := filepath.Join(t.TempDir(), "position")
	first, second := subscription.File(file), subscription.File(file)
	_, err := first.Load(t.Context())
	require.NoError(t, err)
	_, err = second.Load(t.Context())
	require.ErrorIs(t, err, events.ErrConflict)
	first.Release()
	_, err = second.Load(t.Context())
	require.NoError(t, err)
	second.Release()
}

// What a process that was killed in the midst of a write has left is not taken for a position.
func TestHalfAWriteIsNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "position")
	store := subscription.File(file)
	require.NoError(t, store.Advance(t.Context(), func(context.Context) (subscription.Position, error) {
		return subscription.Position{Sequence: 7, ID: "e7"}, nil
	}))
	require.NoError(t, os.WriteFile(file+".new", []byte(`{"sequence":8,"i`), 0o600))
	at, err := store.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, subscription.Position{Sequence: 7, ID: "e7"}, at)
	store.Release()
}

func TestNotAPosition(t *testing.T) {
	file := filepath.Join(t.TempDir(), "position")
	require.NoError(t, os.WriteFile(file, []byte("7"), 0o600))
	store := subscription.File(file)
	_, err := store.Load(t.Context())
	require.ErrorIs(t, err, events.ErrInvalid)
	require.ErrorContains(t, err, file)
	store.Release()
}
