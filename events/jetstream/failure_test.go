package jetstream_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
)

// insist appends until it is done; the same ids make the same events.
func insist(ctx context.Context, log events.Log, batch events.Batch) (uint64, error) {
	for {
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		last, err := log.Append(once, batch)
		cancel()
		if err == nil || ctx.Err() != nil || errors.Is(err, events.ErrConflict) {
			return last, err
		}
	}
}

// A server that stops and comes back is a pause, to followers, subscribers and writers alike.
func TestRestart(t *testing.T) {
	s := startServers(t, 1)
	ctx, cancel := context.WithCancel(logtest.Context(t))
	defer cancel()
	writer, follower, subscriber, subject := s.client(t).Log(), s.client(t).Log(), s.client(t).Log(), logtest.Subject()
	followed, live, synced := make(chan events.Event, 64), make(chan events.Event, 64), make(chan struct{}, 8)
	go func() {
		_ = follower.Follow(ctx, 0, func(e events.Event, _ uint64) error { followed <- e; return nil })
	}()
	go func() {
		_ = subscriber.Subscribe(ctx, subject, func() { synced <- struct{}{} }, func(e events.Event, _ uint64) { live <- e })
	}()
	logtest.Receive(t, ctx, "synced", synced)
	first, err := writer.Append(ctx, logtest.One(subject, 0, "before"))
	require.NoError(t, err)
	require.Equal(t, "before", logtest.Receive(t, ctx, "an event", followed).ID)
	require.Equal(t, "before", logtest.Receive(t, ctx, "a live event", live).ID)

	s.stop(0)
	restarted := make(chan struct{})
	go func() { defer close(restarted); s.start(t, 0) }()
	_, err = insist(ctx, writer, logtest.One(subject, first, "after"))
	require.NoError(t, err)
	<-restarted
	require.Equal(t, "after", logtest.Receive(t, ctx, "the event after the restart", followed).ID)
	logtest.Receive(t, ctx, "synced again", synced)
}

// While the servers are away nothing is known about a write, or it was not sent.
func TestNoServer(t *testing.T) {
	s := startServers(t, 1)
	client := s.client(t, jetstream.AckWait(100*time.Millisecond))
	s.stop(0)
	_, err := client.Log().Append(t.Context(), logtest.One(logtest.Subject(), 0, "e"))
	require.True(t, errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrUnknown), err)
	_, err = client.Log().Last(t.Context())
	require.Error(t, err)
	require.Error(t, client.Commands().Send(t.Context(), logtest.Register("c", "n")))
}

// A leader that is cut off knows by its own clock that it leads no more.
func TestLeaderCutOff(t *testing.T) {
	s := startServers(t, 1)
	ctx, cancel := context.WithCancel(logtest.Context(t))
	defer cancel()
	lost := make(chan struct{}, 1)
	go func() {
		_ = s.client(t, jetstream.LeaseTTL(leaseTTL)).Leases().Hold(ctx, "l", "me", func(leading context.Context) error {
			s.stop(0)
			<-leading.Done()
			if ctx.Err() == nil {
				lost <- struct{}{}
			}
			return nil
		})
	}()
	logtest.Receive(t, ctx, "the leader to end", lost)
}

// A holder that dies without a word is followed by another once its lease has run out.
func TestLeaseOfTheDeadRunsOut(t *testing.T) {
	s := startServers(t, 1)
	ctx, cancel := context.WithCancel(logtest.Context(t))
	defer cancel()
	dying := s.conn(t)
	client := jetstream.Open(dying, nil, jetstream.LeaseTTL(leaseTTL), jetstream.Logger(quiet()))
	led := make(chan struct{})
	go func() {
		_ = client.Leases().Hold(ctx, "l", "first", func(leading context.Context) error {
			dying.Close()
			close(led)
			<-leading.Done()
			return nil
		})
	}()
	logtest.Receive(t, ctx, "the first leader", led)
	err := s.client(t, jetstream.LeaseTTL(leaseTTL)).Leases().Hold(ctx, "l", "second", func(context.Context) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
}

// One of three servers dies: writers, followers, leases and heartbeats go on with the others.
func TestOneOfThreeDies(t *testing.T) {
	s := startServers(t, 3)
	ctx := logtest.Context(t)
	writer, follower, subject := s.client(t).Log(), s.client(t).Log(), logtest.Subject()
	_, stream := s.stream(t)
	info, err := stream.Info(ctx)
	require.NoError(t, err)
	leader := 0
	for i, c := range s.configs {
		if c.Name == info.Cluster.Leader {
			leader = i
		}
	}
	followed := make(chan string, 64)
	go func() {
		_ = follower.Follow(ctx, 0, func(e events.Event, _ uint64) error { followed <- e.ID; return nil })
	}()
	at, err := writer.Append(ctx, logtest.One(subject, 0, "e0"))
	require.NoError(t, err)
	require.Equal(t, "e0", logtest.Receive(t, ctx, "an event", followed))
	for round, id := range []string{"e1", "e2"} {
		if round == 0 {
			s.stop(leader)
		} else {
			s.start(t, leader)
		}
		at, err = insist(ctx, writer, logtest.One(subject, at, id))
		require.NoError(t, err)
		require.Equal(t, id, logtest.Receive(t, ctx, "an event", followed))
	}
	require.Equal(t, []string{"e0", "e1", "e2"}, logtest.IDs(logtest.Gather(t, writer, subject, 0)))
}

// A server whose files were put back to an older state goes on from there with other events. Whoever has read the old ones hears of it.
func TestALogPutBackToAnOlderStateIsNotFollowedSilently(t *testing.T) {
	for name, after := range map[string]int{"and shorter": 0, "and written on": 5} {
		t.Run(name, func(t *testing.T) {
			s := startServers(t, 1)
			ctx, subject := logtest.Context(t), logtest.Subject()
			copied := filepath.Join(t.TempDir(), "copy")
			last, err := s.client(t).Log().Append(ctx, events.Batch{{Subject: subject, Events: logtest.Facts("kept", 3)}})
			require.NoError(t, err)
			s.stop(0)
			require.NoError(t, os.CopyFS(copied, os.DirFS(s.configs[0].Dir)))
			s.start(t, 0)
			_, err = insist(ctx, s.client(t).Log(), events.Batch{{Subject: subject, Expect: last, Events: logtest.Facts("lost", 2)}})
			require.NoError(t, err)

			followed, ended := make(chan events.Event, 64), make(chan error, 1)
			follower := s.client(t, jetstream.AckWait(time.Second)).Log()
			go func() {
				ended <- follower.Follow(ctx, 0, func(e events.Event, _ uint64) error { followed <- e; return nil })
			}()
			for range 5 {
				logtest.Receive(t, ctx, "an event", followed)
			}
			s.stop(0)
			require.NoError(t, os.RemoveAll(s.configs[0].Dir))
			require.NoError(t, os.CopyFS(s.configs[0].Dir, os.DirFS(copied)))
			if after > 0 {
				// Before the follower can look, the log is longer than what it has read.
				port := s.configs[0].Port
				s.configs[0].Port = natsserver.RandomPort
				s.start(t, 0)
				nc, err := natsconn.Connect(ctx, natsconn.Config{URLs: []string{s.running[0].URL()}, Log: quiet()})
				require.NoError(t, err)
				writer := jetstream.Open(nc, catalog.New(), jetstream.Logger(quiet())).Log()
				_, err = insist(ctx, writer, events.Batch{{Subject: subject, Expect: last, Events: logtest.Facts("other", after)}})
				require.NoError(t, err)
				nc.Close()
				s.stop(0)
				s.configs[0].Port = port
			}
			s.start(t, 0)
			require.ErrorIs(t, logtest.Receive(t, ctx, "the follower's end", ended), events.ErrOtherLog)
			require.Empty(t, followed, "nothing of the other log was handed over")
		})
	}
}
