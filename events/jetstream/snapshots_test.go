package jetstream_test

import (
	"testing"
	"time"

	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
)

// TestASnapshotIsAnObjectForEveryClientOfObjectStores: operators list and copy them with the tools that they have.
func TestASnapshotIsAnObjectForEveryClientOfObjectStores(t *testing.T) {
	s, ctx := startServers(t, 1), logtest.Context(t)
	data := make([]byte, 600<<10)
	copy(data, "state")
	info := events.SnapshotInfo{Version: 1, Sequence: 7, Event: "e7", Log: time.Unix(1, 2).UTC(), Hash: "sha256:0123"}
	require.NoError(t, s.client(t).Snapshots().Put(ctx, info, data))
	api, err := js.New(s.conn(t))
	require.NoError(t, err)
	store, err := api.ObjectStore(ctx, jetstream.BucketSnapshots)
	require.NoError(t, err)
	got, err := store.GetBytes(ctx, info.Name())
	require.NoError(t, err)
	require.Equal(t, data, got)
	// And what such a client has deleted is gone.
	require.NoError(t, store.Delete(ctx, info.Name()))
	all, err := s.client(t).Snapshots().List(ctx)
	require.NoError(t, err)
	require.Empty(t, all)
	_, err = s.client(t).Snapshots().Get(ctx, info)
	require.ErrorIs(t, err, events.ErrNotFound)
	// Nothing at all is left of what was deleted by name.
	require.NoError(t, s.client(t).Snapshots().Put(ctx, info, data))
	require.NoError(t, s.client(t).Snapshots().Delete(ctx, info))
	status, err := api.Stream(ctx, "OBJ_"+jetstream.BucketSnapshots)
	require.NoError(t, err)
	require.LessOrEqual(t, status.CachedInfo().State.Msgs, uint64(1), "at most the mark of what the other client deleted")
}
