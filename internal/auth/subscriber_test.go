package auth_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/subscription"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/auth/authtest"
)

// subscriber makes credentials and gives their file.
func subscriber(t *testing.T, c *authtest.Cluster, name string, patterns ...string) string {
	t.Helper()
	creds, err := c.Keys.NewSubscriber(name, time.Hour, patterns...)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), name+".creds")
	require.NoError(t, os.WriteFile(file, []byte(creds), 0o600))
	return file
}

// outside connects as a program outside this repository does.
func outside(t *testing.T, c *authtest.Cluster, creds string) *jetstream.Client {
	t.Helper()
	nc, err := jetstream.Connect(c.Server.URL(), creds, nats.Secure(c.TLS))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return jetstream.Open(nc, catalog.New(), jetstream.Logger(c.Log))
}

func TestSubscriberFollowsAndKeepsItsPosition(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	health := c.Service(auth.UserNodeHealth)
	_, err := health.Log().Append(ctx, events.Batch{{Subject: events.NodeSubject("n1"), Events: logtest.Facts("n1", 3)}})
	require.NoError(t, err)
	_, err = c.Service(auth.UserScheduler).Log().Append(ctx, events.Batch{{Subject: events.LedgerSubject("n1"), Events: []events.Event{logtest.Assigned("a1", "n1")}}})
	require.NoError(t, err)
	stop := errors.New("stop")
	for name, patterns := range map[string][]string{"all": nil, "nodes": {"evt.node.*"}, "one": {"evt.node.n1", "evt.ledger.n1"}} {
		client := outside(t, c, subscriber(t, c, name, patterns...))
		next := uint64(1)
		for range 3 {
			options := []subscription.Option{subscription.Durable(client.Position(name)), subscription.Aggregates(events.AggregateNode),
				subscription.Any(func(_ context.Context, e events.Event) error {
					if e.Sequence > next {
						return stop
					}
					require.Equal(t, next, e.Sequence)
					if next == 3 {
						return stop
					}
					return nil
				})}
			if name == "one" {
				options = append(options, subscription.Node("n1"))
			}
			require.ErrorIs(t, subscription.Run(ctx, client.Log(), options...), stop, name)
			next++
			if next > 3 {
				next = 3
			}
		}
		require.NoError(t, client.Log().Read(ctx, events.NodeSubject("n1"), 0, func(events.Event) error { return nil }))
	}
}

func TestSubscriberIsKeptToReading(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	_, err := c.Service(auth.UserNodeHealth).Log().Append(ctx, logtest.One(events.NodeSubject("n1"), 0, "e1"))
	require.NoError(t, err)
	for name, patterns := range map[string][]string{"all": nil, "nodes": {"evt.node.*"}} {
		creds := subscriber(t, c, name, patterns...)
		client := outside(t, c, creds)
		_, err := client.Log().Append(ctx, logtest.One(events.NodeSubject("n1"), 1, "forged"))
		require.ErrorIs(t, err, events.ErrDenied)
		require.ErrorIs(t, client.Commands().Send(ctx, logtest.Register("c1", "n1")), events.ErrDenied)
		_, err = client.Position("another").Load(ctx)
		require.ErrorIs(t, err, events.ErrDenied)
		raw := c.Conn(creds)
		for _, subject := range []string{
			"hb.n1", "rpc.n1.exec", "join.n1", "cmd.workload.default.web", "live.evt.node.n1", "$KV.LEASES.scheduler", "$KV.SUBSCRIBERS.another",
			"$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.UPDATE.EVENTS", "$JS.API.STREAM.PURGE.EVENTS", "$JS.API.CONSUMER.NAMES.EVENTS",
			"$JS.API.CONSUMER.LIST.EVENTS", "$JS.API.CONSUMER.CREATE.COMMANDS.x", "$JS.API.DIRECT.GET.COMMANDS", "_INBOX_scheduler.x",
		} {
			c.Refused(raw, nats.NewMsg(subject))
		}
	}
	nodes := outside(t, c, subscriber(t, c, "nodes2", "evt.node.*"))
	require.ErrorIs(t, nodes.Log().Follow(ctx, 1, nil), events.ErrDenied)
	require.ErrorIs(t, nodes.Log().FollowSubjects(ctx, 1, []string{"evt.ledger.*"}, nil), events.ErrDenied)
	require.ErrorIs(t, nodes.Log().FollowSubjects(ctx, 1, []string{"evt.node.*", "evt.ledger.*"}, nil), events.ErrDenied)
	_, err = nodes.Log().LastOf(ctx, events.LedgerSubject("n1"))
	require.ErrorIs(t, err, events.ErrDenied)
}

func TestSubscriberMistakes(t *testing.T) {
	keys, err := auth.Init(t.TempDir())
	require.NoError(t, err)
	for _, name := range []string{"", "a.b", "Pager", "a*"} {
		_, err := keys.NewSubscriber(name, 0)
		require.ErrorIs(t, err, events.ErrInvalid, name)
	}
	for _, pattern := range []string{"", "evt", "evt.", "evt..x", "cmd.>", "evt.>.x", "evt.n*", "evt.a b", ">", "evt.>.>"} {
		_, err := keys.NewSubscriber("pager", 0, pattern)
		require.ErrorIs(t, err, events.ErrInvalid, pattern)
	}
	for _, pattern := range []string{"evt.>", "evt.*.default.web", "evt.node.n1"} {
		_, err := keys.NewSubscriber("pager", 0, pattern)
		require.NoError(t, err, pattern)
	}
}

// A listener hears, and can say nothing: nothing can be steered anywhere with its credentials.
func TestListenerOnlyListens(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	health := c.Service(auth.UserNodeHealth).Log()
	for name, patterns := range map[string][]string{"all": nil, "nodes": {"evt.node.*"}} {
		creds, err := c.Keys.NewListener(name, time.Hour, patterns...)
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), name+".creds")
		require.NoError(t, os.WriteFile(file, []byte(creds), 0o600))
		raw := c.Conn(file)
		heard := make(chan *nats.Msg, 8)
		_, err = raw.ChanSubscribe("live.evt.node.*", heard)
		require.NoError(t, err)
		require.NoError(t, raw.FlushWithContext(ctx))
		subject := logtest.Subject()
		_, err = health.Append(ctx, logtest.One(subject, 0, logtest.Name("e")))
		require.NoError(t, err)
		require.Equal(t, "live."+string(subject), logtest.Receive(t, ctx, "a live event", heard).Subject)
		for _, subject := range []string{
			"$JS.API.INFO", "$JS.API.STREAM.INFO.EVENTS", "$JS.API.DIRECT.GET.EVENTS.evt.node.n1", "$JS.API.CONSUMER.CREATE.EVENTS.x.evt.node.*", "$KV.SUBSCRIBERS." + name,
			"$JS.FC.EVENTS.x", "evt.node.n1", "cmd.node.n1", "hb.n1", "door.n1.k.ping", "rpc.n1.exec", "join.n1", "_INBOX_" + auth.SubscriberUser(name) + ".x", "anything",
		} {
			c.Refused(raw, &nats.Msg{Subject: subject, Reply: "cmd.workload.default.web"})
		}
	}
}

func TestAProgramSpeaksInTheClearToThisMachineAlone(t *testing.T) {
	c := authtest.Closed(t)
	creds := subscriber(t, c, "outside")
	for _, url := range []string{"nats://10.0.0.1:4222", "10.0.0.1", "nats://127.0.0.1:4222,nats://nats.example.org:4222", "nats://[::]:4222"} {
		_, err := jetstream.Connect(url, creds)
		require.ErrorIs(t, err, events.ErrInvalid, url)
		require.ErrorContains(t, err, "tls://", url)
	}
}
