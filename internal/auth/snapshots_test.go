package auth_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/auth/authtest"
)

// TestOnlyTheReconcilerWritesSnapshots: every service starts from them, and one keeps them.
func TestOnlyTheReconcilerWritesSnapshots(t *testing.T) {
	c, ctx := authtest.New(t), logtest.Context(t)
	keeper := c.Client(c.Keys.Creds(auth.UserReconciler)).Snapshots()
	info := events.SnapshotInfo{Version: 1, Sequence: 7, Event: "e7", Log: time.Unix(1, 2).UTC(), Hash: "sha256:00"}
	require.NoError(t, keeper.Put(ctx, info, []byte("state")))
	for _, user := range []string{auth.UserReconciler, auth.UserScheduler, auth.UserNodeHealth, auth.UserGateway} {
		reader := c.Client(c.Keys.Creds(user)).Snapshots()
		all, err := reader.List(ctx)
		require.NoError(t, err, user)
		require.Len(t, all, 1)
		data, err := reader.Get(ctx, all[0])
		require.NoError(t, err, user)
		require.Equal(t, "state", string(data))
		if user == auth.UserReconciler {
			continue
		}
		require.ErrorIs(t, reader.Delete(ctx, info), events.ErrDenied, user)
		info.Sequence++
		require.ErrorIs(t, reader.Put(ctx, info, []byte("forged")), events.ErrDenied, user)
		info.Sequence--
	}
	require.NoError(t, keeper.Delete(ctx, info))
	all, err := keeper.List(ctx)
	require.NoError(t, err)
	require.Empty(t, all)
}
