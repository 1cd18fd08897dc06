package natsconn_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/loopback"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
)

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

func TestConnectWaitsForItsServer(t *testing.T) {
	config := natsserver.Config{Dir: t.TempDir(), Port: natsserver.RandomPort, Log: quiet()}
	first, err := natsserver.Start(config)
	require.NoError(t, err)
	url := first.URL()
	first.Stop()

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = natsconn.Connect(short, natsconn.Config{URLs: []string{url}, Log: quiet()})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestConnectRefuses(t *testing.T) {
	_, err := natsconn.Connect(t.Context(), natsconn.Config{})
	require.ErrorContains(t, err, "nats://")
	_, err = natsconn.Connect(t.Context(), natsconn.Config{URLs: []string{"nats://127.0.0.1:1"}, Creds: filepath.Join(t.TempDir(), "none.creds")})
	require.Error(t, err)
	for _, url := range []string{"nats://10.0.0.1:4222", "10.0.0.1:4222", "nats://0.0.0.0:4222", "nats://[::]:4222", "nats://nats-1:4222", "nats://localhost.example.org:4222"} {
		_, err = natsconn.Connect(t.Context(), natsconn.Config{URLs: []string{"nats://127.0.0.1:1", url}, Log: quiet()})
		require.ErrorIs(t, err, loopback.ErrPlain, url)
		require.ErrorContains(t, err, "tls://", url)
	}
}

// Each user has an inbox of its own; a node called like a service does not share the service's.
func TestInboxes(t *testing.T) {
	dir := t.TempDir()
	keys, err := auth.Init(filepath.Join(dir, "auth"))
	require.NoError(t, err)
	trust, err := keys.Trust()
	require.NoError(t, err)
	server, err := natsserver.Start(natsserver.Config{Dir: filepath.Join(dir, "data"), Port: natsserver.RandomPort, Auth: trust, Log: quiet()})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	connect := func(creds string) *nats.Conn {
		nc, err := natsconn.Connect(logtest.Context(t), natsconn.Config{URLs: []string{server.URL()}, Creds: creds, Log: quiet()})
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		return nc
	}
	admission, err := auth.LoadAdmission(keys.NodesKey(), trust)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	health := connect(keys.Creds(auth.UserNodeHealth))
	go func() {
		_ = auth.NewJoinServer(admission, func(string) (string, uint64) { return "", 0 }, quiet()).Run(ctx, health)
	}()
	token, err := keys.JoinToken()
	require.NoError(t, err)
	file := filepath.Join(dir, "scheduler.creds")
	require.NoError(t, auth.Join(logtest.Context(t), auth.JoinRequest{URLs: []string{server.URL()}, Token: token, Node: "scheduler", File: file, Log: quiet()}))
	require.Regexp(t, `^_INBOX_node\.scheduler\.`, connect(file).NewInbox())
	require.Regexp(t, `^_INBOX_scheduler\.`, connect(keys.Creds(auth.UserScheduler)).NewInbox())
}

// What is published without a connection is not sent late.
func TestNothingIsSentLate(t *testing.T) {
	server, err := natsserver.Start(natsserver.Config{Dir: t.TempDir(), Port: natsserver.RandomPort, Log: quiet()})
	require.NoError(t, err)
	nc, err := natsconn.Connect(logtest.Context(t), natsconn.Config{URLs: []string{server.URL()}, Log: quiet()})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	server.Stop()
	logtest.Eventually(t, "the connection to be lost", func() bool { return !nc.IsConnected() })
	err = nc.Publish("hb.n1", nil)
	require.True(t, errors.Is(err, nats.ErrReconnectBufExceeded), err)
}
