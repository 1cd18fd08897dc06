package auth_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/auth/authtest"
	"github.com/rutter-run/rutter/internal/natsconn"
)

func TestServicesWriteOnlyTheirOwn(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	key := events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}
	writers := map[events.Subject]string{
		events.WorkloadSubject("default", "web"):        auth.UserReconciler,
		events.InstanceSubject(key):                     auth.UserReconciler,
		events.CommandSubject(events.ServiceReconciler): auth.UserReconciler,
		events.LedgerSubject("n1"):                      auth.UserScheduler,
		events.UnplacedSubject(key):                     auth.UserScheduler,
		events.CommandSubject(events.ServiceScheduler):  auth.UserScheduler,
		events.NodeSubject("n1"):                        auth.UserNodeHealth,
		events.CommandSubject(events.ServiceNodeHealth): auth.UserNodeHealth,
		events.CommandSubject(events.ServiceGateway):    auth.UserGateway,
		events.ReportSubject("n1", key):                 "",
	}
	for _, user := range []string{auth.UserReconciler, auth.UserScheduler, auth.UserNodeHealth, auth.UserGateway, auth.UserAuditor} {
		client := c.Service(user)
		for subject, writer := range writers {
			_, err := client.Log().Append(ctx, logtest.OneNote(subject, 0, "by-"+user+"-"+string(subject)))
			if writer == user {
				require.NoError(t, err, "%s writes %s", user, subject)
			} else {
				require.ErrorIs(t, err, events.ErrDenied, "%s writes %s", user, subject)
			}
		}
		err := client.Commands().Send(ctx, logtest.Register("c-"+user, "n1"))
		if user == auth.UserGateway {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, events.ErrDenied)
		}
		// All of them read everything.
		stop := errors.New("stop")
		require.ErrorIs(t, client.Log().Follow(ctx, 0, func(events.Event, uint64) error { return stop }), stop)
	}
}

// What the auditor keeps is the gateway's to read and nobody else's.
func TestOnlyTheAuditorWritesTheAudit(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	auditor := c.Service(auth.UserAuditor)
	_, err := auditor.Vault().Put(ctx, "checkpoint", []byte("signed"), 0)
	require.NoError(t, err)
	value, revision, err := c.Service(auth.UserGateway).Vault().Get(ctx, "checkpoint")
	require.NoError(t, err)
	require.Equal(t, "signed", string(value))
	for _, user := range []string{auth.UserReconciler, auth.UserScheduler, auth.UserNodeHealth, auth.UserGateway} {
		_, err := c.Service(user).Vault().Put(ctx, "checkpoint", []byte("forged"), revision)
		require.ErrorIs(t, err, events.ErrDenied, user)
	}
	_, _, err = c.Service(auth.UserScheduler).Vault().Get(ctx, "checkpoint")
	require.ErrorIs(t, err, events.ErrDenied)
	leading, stop := context.WithCancel(ctx)
	err = auditor.Leases().Hold(leading, events.ServiceAuditor, "a1", func(context.Context) error { stop(); return nil })
	require.ErrorIs(t, err, context.Canceled)
}

func TestServicesLeadAndConsume(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	require.NoError(t, c.Service(auth.UserGateway).Commands().Send(ctx, logtest.Register("c1", "n1")))
	health := c.Service(auth.UserNodeHealth)
	leading, stop := context.WithCancel(ctx)
	err := health.Leases().Hold(leading, auth.UserNodeHealth, "h1", func(ctx context.Context) error {
		return health.Commands().Consume(ctx, events.ServiceNodeHealth, func(d events.Delivery) {
			require.Equal(t, "c1", d.Command().ID)
			require.NoError(t, d.Ack())
			stop()
		})
	})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, health.Leases().Hold(ctx, auth.UserScheduler, "h1", nil), events.ErrDenied)
	require.ErrorIs(t, health.Commands().Consume(ctx, events.ServiceReconciler, nil), events.ErrDenied)
}

func TestJoin(t *testing.T) {
	c := authtest.New(t)
	file := filepath.Join(t.TempDir(), "agent", "n1.creds")
	require.NoError(t, c.Join("n1", file))
	for path := range contents(t, filepath.Dir(file)) {
		require.Contains(t, []string{file, file + ".nk"}, path)
	}
	key, err := auth.NodeKey(file)
	require.NoError(t, err)

	t.Run("again with the same key", func(t *testing.T) {
		require.NoError(t, os.Remove(file))
		require.NoError(t, c.Join("n1", file))
		again, err := auth.NodeKey(file)
		require.NoError(t, err)
		require.Equal(t, key, again)
	})
	t.Run("another key wants the name", func(t *testing.T) {
		require.ErrorIs(t, c.Join("n1", filepath.Join(t.TempDir(), "n1.creds")), events.ErrExists)
	})
	t.Run("the log knows another owner", func(t *testing.T) {
		c.Own("n2", "somebody")
		require.ErrorIs(t, c.Join("n2", filepath.Join(t.TempDir(), "n2.creds")), events.ErrExists)
	})
	t.Run("not a name", func(t *testing.T) {
		require.ErrorIs(t, c.Join("N_1", filepath.Join(t.TempDir(), "n.creds")), events.ErrInvalid)
	})
}

func TestJoinTokenCanOnlyJoin(t *testing.T) {
	c := authtest.New(t)
	token, err := c.Keys.JoinToken()
	require.NoError(t, err)
	creds := filepath.Join(t.TempDir(), "join.creds")
	text, err := auth.CredsOfToken(token)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(creds, []byte(text), 0o600))
	nc := c.Conn(creds)
	for _, subject := range []string{"evt.ledger.n1", "cmd.node.n1", "hb.n1", "rpc.n1.x", "$JS.API.INFO", "$JS.API.DIRECT.GET.EVENTS.evt.ledger.n1"} {
		c.Refused(nc, nats.NewMsg(subject))
	}
	// Node-health answers nowhere but in a joiner's inbox: its right to answer must not be borrowed to write the log.
	require.NoError(t, nc.PublishRequest("join.n9", "evt.ledger.n1", []byte(`{"key":"x"}`)))
	msg, err := nc.RequestWithContext(logtest.Context(t), "join.n9", []byte(`{"key":"x"}`))
	require.NoError(t, err)
	require.Contains(t, string(msg.Data), "error")
	_, err = c.Service(auth.UserAdmin).Log().LastOf(logtest.Context(t), "evt.ledger.n1")
	require.ErrorIs(t, err, events.ErrNotFound)
}

func TestBadTokens(t *testing.T) {
	c := authtest.New(t)
	other, err := auth.Init(t.TempDir())
	require.NoError(t, err)
	foreign, err := other.JoinToken()
	require.NoError(t, err)
	good, err := c.Keys.JoinToken()
	require.NoError(t, err)
	expired, err := c.Keys.NewJoinToken(time.Nanosecond)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"of another deployment": {foreign, events.ErrDenied},
		"cut":                   {good[:len(good)/2], events.ErrInvalid},
		"not a token":           {"hunter2", events.ErrInvalid},
		"expired":               {expired, events.ErrDenied},
	} {
		t.Run(name, func(t *testing.T) {
			err := auth.Join(logtest.Context(t), auth.JoinRequest{
				URLs: []string{c.Server.URL()}, Token: test.token, Node: "n1", File: filepath.Join(t.TempDir(), "n1.creds"), TLS: c.TLS, Log: c.Log,
			})
			require.ErrorIs(t, err, test.want)
		})
	}
}

func TestStrangersAreRefused(t *testing.T) {
	c := authtest.New(t)
	_, err := natsconn.Connect(logtest.Context(t), natsconn.Config{URLs: []string{c.Server.URL()}, TLS: c.TLS, Log: c.Log})
	require.ErrorIs(t, err, events.ErrDenied)
}

// A long log needs flow control, whose subjects a service must be able to answer on.
func TestServiceFollowsALongLog(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	writer := c.Service(auth.UserNodeHealth).Log()
	var last uint64
	for range 10 {
		facts := logtest.Facts(logtest.Name("e"), events.MaxBatch)
		for i := range facts {
			facts[i].Data = node.NotReadyV1{Message: strings.Repeat("x", 2000)}
		}
		var err error
		last, err = writer.Append(ctx, events.Batch{{Subject: logtest.Subject(), Events: facts}})
		require.NoError(t, err)
	}
	stop, next := errors.New("stop"), uint64(1)
	err := c.Service(auth.UserScheduler).Log().Follow(ctx, 0, func(e events.Event, _ uint64) error {
		require.Equal(t, next, e.Sequence)
		if next++; e.Sequence == last {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
}
