package door_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/auth/authtest"
	"github.com/rutter-run/rutter/internal/door"
)

// A log that stalls holds up no ping, however many appends wait for it.
func TestAPingWaitsForNoAppend(t *testing.T) {
	c := authtest.Closed(t)
	creds := c.Node("n1")
	k, err := auth.NodeKey(creds)
	require.NoError(t, err)
	ctx, end := context.WithCancel(logtest.Context(t))
	inside, n1 := c.Conn(c.Keys.Creds(auth.UserDoor)), c.Conn(creds)

	s := door.NewServer(door.Config{Registry: catalog.New(), Logger: c.Log, Owner: func(string) (string, bool) { return k, true }})
	free := s.Fill()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, inside) }()
	logtest.Eventually(t, "the door to listen", func() bool { return inside.NumSubscriptions() == len(door.Verbs) })
	require.NoError(t, inside.FlushWithContext(ctx))
	require.NoError(t, n1.PublishRequest(door.Subject("n1", k, "append"), n1.NewInbox(), []byte("malformed")))
	_, err = n1.RequestWithContext(ctx, door.Subject("n1", k, "ping"), nil)
	free()
	end()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, err)
}
