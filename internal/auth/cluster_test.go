package auth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
	"github.com/rutter-run/rutter/internal/pki"
)

// cluster is a server with TLS and credentials, its streams, and a node-health that admits nodes.
type cluster struct {
	t      *testing.T
	keys   *auth.Deployment
	server *natsserver.Server
	tls    *tls.Config
	joins  *auth.JoinServer
	owners map[string]string
	log    *logrus.Logger
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir := t.TempDir()
	c := &cluster{t: t, owners: map[string]string{}, log: logrus.New()}
	c.log.SetOutput(t.Output())
	var err error
	c.keys, err = auth.Init(filepath.Join(dir, "auth"))
	require.NoError(t, err)
	require.NoError(t, pki.Init(filepath.Join(dir, "pki"), []string{"127.0.0.1", "localhost"}))
	serverTLS, err := pki.Server(filepath.Join(dir, "pki"))
	require.NoError(t, err)
	c.tls, err = pki.Client(pki.CAFile(filepath.Join(dir, "pki")))
	require.NoError(t, err)
	trust, err := c.keys.Trust()
	require.NoError(t, err)
	c.server, err = natsserver.Start(natsserver.Config{
		Dir: filepath.Join(dir, "data"), Port: natsserver.RandomPort, Auth: trust, TLS: serverTLS, Log: c.log,
	})
	require.NoError(t, err)
	t.Cleanup(c.server.Stop)

	require.NoError(t, jetstream.Setup(logtest.Context(t), c.conn(c.keys.Creds(auth.UserAdmin)), jetstream.StreamOptions{}))
	admission, err := auth.LoadAdmission(c.keys.NodesKey(), trust)
	require.NoError(t, err)
	c.joins = auth.NewJoinServer(admission, func(node string) (string, bool) { key, ok := c.owners[node]; return key, ok }, c.log)
	health := c.conn(c.keys.Creds(auth.UserNodeHealth))
	go func() { _ = c.joins.Run(t.Context(), health) }()
	return c
}

// conn connects with a credentials file.
func (c *cluster) conn(creds string) *nats.Conn {
	c.t.Helper()
	nc, err := natsconn.Connect(logtest.Context(c.t), natsconn.Config{
		URLs: []string{c.server.URL()}, Name: filepath.Base(creds), Creds: creds, TLS: c.tls, Log: c.log,
	})
	require.NoError(c.t, err)
	c.t.Cleanup(nc.Close)
	return nc
}

func (c *cluster) client(creds string) *jetstream.Client {
	return jetstream.Open(c.conn(creds), catalog.New(), jetstream.Logger(c.log))
}

func (c *cluster) service(user string) *jetstream.Client { return c.client(c.keys.Creds(user)) }

// join makes a node's credentials by way of the join token.
func (c *cluster) join(node, file string) error {
	token, err := c.keys.JoinToken()
	require.NoError(c.t, err)
	return auth.Join(logtest.Context(c.t), auth.JoinRequest{
		URLs: []string{c.server.URL()}, Token: token, Node: node, File: file, TLS: c.tls, Log: c.log,
	})
}

// node joins and gives the credentials file.
func (c *cluster) node(name string) string {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), name+".creds")
	require.NoError(c.t, c.join(name, file))
	return file
}

// refused reports whether the server carries no message from the holder of creds to the subject.
func (c *cluster) refused(nc *nats.Conn, subject string) {
	c.t.Helper()
	violations := make(chan error, 16)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case violations <- err:
		default:
		}
	})
	require.NoError(c.t, nc.Publish(subject, []byte("{}")))
	require.NoError(c.t, nc.FlushWithContext(logtest.Context(c.t)))
	select {
	case err := <-violations:
		require.ErrorIs(c.t, err, nats.ErrPermissionViolation, subject)
		require.ErrorContains(c.t, err, subject)
	case <-time.After(logtest.Deadline):
		c.t.Fatalf("publish to %s was not refused", subject)
	}
}

func TestNodeWorksWithItsOwn(t *testing.T) {
	c := newCluster(t)
	ctx := logtest.Context(t)
	n1 := c.client(c.node("n1"))
	key := events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}
	_, err := n1.Log().Append(ctx, logtest.One(events.ReportSubject("n1", key), 0, "r1"))
	require.NoError(t, err)
	// A retry is recognised with a node's permissions too.
	_, err = n1.Log().Append(ctx, logtest.One(events.ReportSubject("n1", key), 0, "r1"))
	require.NoError(t, err)
	_, err = n1.Log().Append(ctx, logtest.One(events.ReportSubject("n1", key), 0, "r2"))
	require.ErrorIs(t, err, events.ErrConflict)
	require.NoError(t, n1.Heartbeats().Beat(ctx, events.Heartbeat{Node: "n1"}))
	require.NoError(t, n1.Commands().Send(ctx, logtest.Register("c1", "n1")))

	// It hears and reads its own ledger.
	heard := make(chan events.Event, 1)
	synced := make(chan struct{}, 1)
	go func() {
		_ = n1.Log().Subscribe(ctx, events.LedgerSubject("n1"), func() { synced <- struct{}{} }, func(e events.Event, _ uint64) { heard <- e })
	}()
	<-synced
	_, err = c.service(auth.UserScheduler).Log().Append(ctx, logtest.One(events.LedgerSubject("n1"), 0, "a1"))
	require.NoError(t, err)
	require.Equal(t, "a1", (<-heard).ID)
	last, err := n1.Log().LastOf(ctx, events.LedgerSubject("n1"))
	require.NoError(t, err)
	require.Equal(t, "a1", last.ID)
	var read []string
	require.NoError(t, n1.Log().Read(ctx, events.LedgerSubject("n1"), 0, func(e events.Event) error { read = append(read, e.ID); return nil }))
	require.Equal(t, []string{"a1"}, read)
}

func TestNodeIsKeptToItsOwn(t *testing.T) {
	c := newCluster(t)
	ctx := logtest.Context(t)
	_ = c.node("n2")
	creds := c.node("n1")
	n1 := c.client(creds)
	key := events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}

	for _, subject := range []events.Subject{
		events.ReportSubject("n2", key), events.LedgerSubject("n1"), events.LedgerSubject("n2"), events.NodeSubject("n1"),
		events.WorkloadSubject("default", "web"), events.CommandSubject(events.ServiceNodeHealth),
	} {
		_, err := n1.Log().Append(ctx, logtest.One(subject, 0, "forged"))
		require.ErrorIs(t, err, events.ErrDenied, subject)
		batch := append(logtest.One(events.ReportSubject("n1", key), 0, "own"), logtest.One(subject, 0, "forged")...)
		_, err = n1.Log().Append(ctx, batch)
		require.ErrorIs(t, err, events.ErrDenied, subject)
	}
	admin := c.service(auth.UserAdmin)
	last, err := admin.Log().Last(ctx)
	require.NoError(t, err)
	require.Zero(t, last, "nothing of it is stored")

	require.ErrorIs(t, n1.Commands().Send(ctx, logtest.Register("c1", "n2")), events.ErrDenied)
	require.ErrorIs(t, n1.Log().Read(ctx, events.LedgerSubject("n2"), 0, nil), events.ErrDenied)
	require.ErrorIs(t, n1.Log().Follow(ctx, 0, nil), events.ErrDenied)
	_, err = n1.Log().LastOf(ctx, events.LedgerSubject("n2"))
	require.ErrorIs(t, err, events.ErrDenied)
	_, err = n1.Log().Last(ctx)
	require.ErrorIs(t, err, events.ErrDenied)
	require.ErrorIs(t, n1.Log().Subscribe(ctx, events.LedgerSubject("n2"), func() {}, nil), events.ErrDenied)
	require.ErrorIs(t, n1.Leases().Hold(ctx, "scheduler", "n1", nil), events.ErrDenied)
	require.ErrorIs(t, n1.Commands().Consume(ctx, events.ServiceNodeHealth, nil), events.ErrDenied)
	require.ErrorIs(t, n1.Heartbeats().Listen(ctx, nil), events.ErrDenied)

	raw := c.conn(creds)
	for _, subject := range []string{
		"hb.n2", "rpc.n2.exec", "join.n3", "$KV.LEASES.scheduler", "live.evt.ledger.n2", "$JS.API.STREAM.CREATE.X",
		"$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.UPDATE.EVENTS", "$JS.API.CONSUMER.CREATE.EVENTS.x",
		"$JS.API.CONSUMER.CREATE.EVENTS.x.evt.>", "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.x", "$JS.API.DIRECT.GET.EVENTS",
		"$JS.API.STREAM.MSG.GET.EVENTS", "_INBOX_node_n2.x", "_INBOX_scheduler.x",
	} {
		c.refused(raw, subject)
	}
}

// The filter of a consumer stands in the API subject and in the request; the server holds one to the other.
func TestNodeCannotSmuggleAFilter(t *testing.T) {
	c := newCluster(t)
	raw := c.conn(c.node("n1"))
	for name, config := range map[string]string{
		"another filter":  `{"filter_subject":"evt.ledger.n2","ack_policy":"none","deliver_policy":"all"}`,
		"several filters": `{"filter_subjects":["evt.ledger.n2","evt.ledger.n1"],"ack_policy":"none","deliver_policy":"all"}`,
		"no filter":       `{"ack_policy":"none","deliver_policy":"all"}`,
	} {
		msg, err := raw.RequestWithContext(logtest.Context(t), "$JS.API.CONSUMER.CREATE.EVENTS.x.evt.ledger.n1",
			[]byte(`{"stream_name":"EVENTS","config":`+config+`,"action":"create"}`))
		require.NoError(t, err, name)
		require.Contains(t, string(msg.Data), `"error"`, name)
	}
}

func TestServicesWriteOnlyTheirOwn(t *testing.T) {
	c := newCluster(t)
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
		client := c.service(user)
		for subject, writer := range writers {
			_, err := client.Log().Append(ctx, logtest.One(subject, 0, "by-"+user+"-"+string(subject)))
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
	c := newCluster(t)
	ctx := logtest.Context(t)
	auditor := c.service(auth.UserAuditor)
	_, err := auditor.Vault().Put(ctx, "checkpoint", []byte("signed"), 0)
	require.NoError(t, err)
	value, revision, err := c.service(auth.UserGateway).Vault().Get(ctx, "checkpoint")
	require.NoError(t, err)
	require.Equal(t, "signed", string(value))
	for _, user := range []string{auth.UserReconciler, auth.UserScheduler, auth.UserNodeHealth, auth.UserGateway} {
		_, err := c.service(user).Vault().Put(ctx, "checkpoint", []byte("forged"), revision)
		require.ErrorIs(t, err, events.ErrDenied, user)
	}
	_, _, err = c.service(auth.UserScheduler).Vault().Get(ctx, "checkpoint")
	require.ErrorIs(t, err, events.ErrDenied)
	leading, stop := context.WithCancel(ctx)
	err = auditor.Leases().Hold(leading, events.ServiceAuditor, "a1", func(context.Context) error { stop(); return nil })
	require.ErrorIs(t, err, context.Canceled)
}

func TestServicesLeadAndConsume(t *testing.T) {
	c := newCluster(t)
	ctx := logtest.Context(t)
	require.NoError(t, c.service(auth.UserGateway).Commands().Send(ctx, logtest.Register("c1", "n1")))
	health := c.service(auth.UserNodeHealth)
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

// The gateway asks an agent, which answers as often as it likes; nobody else may ask.
func TestRPC(t *testing.T) {
	c := newCluster(t)
	ctx := logtest.Context(t)
	agent, gateway := c.conn(c.node("n1")), c.conn(c.keys.Creds(auth.UserGateway))
	_, err := agent.Subscribe("rpc.n1.>", func(msg *nats.Msg) {
		for range 100 {
			_ = msg.Respond([]byte(msg.Subject))
		}
	})
	require.NoError(t, err)
	require.NoError(t, agent.FlushWithContext(ctx))
	inbox := gateway.NewInbox()
	answers, err := gateway.SubscribeSync(inbox)
	require.NoError(t, err)
	require.NoError(t, gateway.PublishRequest("rpc.n1.logs", inbox, nil))
	for range 100 {
		msg, err := answers.NextMsgWithContext(ctx)
		require.NoError(t, err)
		require.Equal(t, "rpc.n1.logs", string(msg.Data))
	}
	c.refused(c.conn(c.keys.Creds(auth.UserScheduler)), "rpc.n1.logs")
}

func TestJoin(t *testing.T) {
	c := newCluster(t)
	file := filepath.Join(t.TempDir(), "agent", "n1.creds")
	require.NoError(t, c.join("n1", file))
	for path := range contents(t, filepath.Dir(file)) {
		require.Contains(t, []string{file, file + ".nk"}, path)
	}
	key, err := auth.NodeKey(file)
	require.NoError(t, err)

	t.Run("again with the same key", func(t *testing.T) {
		require.NoError(t, os.Remove(file))
		require.NoError(t, c.join("n1", file))
		again, err := auth.NodeKey(file)
		require.NoError(t, err)
		require.Equal(t, key, again)
	})
	t.Run("another key wants the name", func(t *testing.T) {
		require.ErrorIs(t, c.join("n1", filepath.Join(t.TempDir(), "n1.creds")), events.ErrExists)
	})
	t.Run("the log knows another owner", func(t *testing.T) {
		c.owners["n2"] = "somebody"
		require.ErrorIs(t, c.join("n2", filepath.Join(t.TempDir(), "n2.creds")), events.ErrExists)
	})
	t.Run("released", func(t *testing.T) {
		c.joins.Release("n1")
		require.NoError(t, c.join("n1", filepath.Join(t.TempDir(), "n1.creds")))
	})
	t.Run("not a name", func(t *testing.T) {
		require.ErrorIs(t, c.join("N_1", filepath.Join(t.TempDir(), "n.creds")), events.ErrInvalid)
	})
}

func TestJoinTokenCanOnlyJoin(t *testing.T) {
	c := newCluster(t)
	token, err := c.keys.JoinToken()
	require.NoError(t, err)
	creds := filepath.Join(t.TempDir(), "join.creds")
	text, err := auth.CredsOfToken(token)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(creds, []byte(text), 0o600))
	nc := c.conn(creds)
	for _, subject := range []string{"evt.ledger.n1", "cmd.node.n1", "hb.n1", "rpc.n1.x", "$JS.API.INFO", "$JS.API.DIRECT.GET.EVENTS.evt.ledger.n1"} {
		c.refused(nc, subject)
	}
	// Node-health answers nowhere but in a joiner's inbox: its right to answer must not be borrowed to write the log.
	require.NoError(t, nc.PublishRequest("join.n9", "evt.ledger.n1", []byte(`{"key":"x"}`)))
	msg, err := nc.RequestWithContext(logtest.Context(t), "join.n9", []byte(`{"key":"x"}`))
	require.NoError(t, err)
	require.Contains(t, string(msg.Data), "error")
	_, err = c.service(auth.UserAdmin).Log().LastOf(logtest.Context(t), "evt.ledger.n1")
	require.ErrorIs(t, err, events.ErrNotFound)
}

func TestBadTokens(t *testing.T) {
	c := newCluster(t)
	other, err := auth.Init(t.TempDir())
	require.NoError(t, err)
	foreign, err := other.JoinToken()
	require.NoError(t, err)
	good, err := c.keys.JoinToken()
	require.NoError(t, err)
	expired, err := c.keys.NewJoinToken(time.Nanosecond)
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
				URLs: []string{c.server.URL()}, Token: test.token, Node: "n1", File: filepath.Join(t.TempDir(), "n1.creds"), TLS: c.tls, Log: c.log,
			})
			require.ErrorIs(t, err, test.want)
		})
	}
}

func TestStrangersAreRefused(t *testing.T) {
	c := newCluster(t)
	_, err := natsconn.Connect(logtest.Context(t), natsconn.Config{URLs: []string{c.server.URL()}, TLS: c.tls, Log: c.log})
	require.ErrorIs(t, err, events.ErrDenied)
}

// A consumer delivers wherever its request says, and the server does not hold that to the requester's permissions. What is steered onto a
// subject keeps the name of the subject that it was stored under, by which a listener knows that it was not sent there.
func TestNodeCannotSteerItsLedgerIntoOthersEars(t *testing.T) {
	c := newCluster(t)
	ctx := logtest.Context(t)
	raw := c.conn(c.node("n1"))
	_, err := c.service(auth.UserScheduler).Log().Append(ctx, logtest.One(events.LedgerSubject("n1"), 0, "a1"))
	require.NoError(t, err)

	beats := make(chan events.Heartbeat, 8)
	health := c.service(auth.UserNodeHealth)
	go func() { _ = health.Heartbeats().Listen(ctx, func(b events.Heartbeat, _ bool) { beats <- b }) }()
	heard, synced := make(chan events.Event, 8), make(chan struct{}, 8)
	n2 := c.client(c.node("n2"))
	go func() {
		_ = n2.Log().Subscribe(ctx, events.LedgerSubject("n2"), func() { synced <- struct{}{} }, func(e events.Event, _ uint64) { heard <- e })
	}()
	logtest.Receive(t, ctx, "synced", synced)
	require.NoError(t, n2.Heartbeats().Beat(ctx, events.Heartbeat{Node: "n2"}))
	require.Equal(t, "n2", logtest.Receive(t, ctx, "a heartbeat", beats).Node)

	for name, target := range map[string]string{"a": "hb.n2", "b": "live.evt.ledger.n2", "c": "evt.node.n2", "d": "$KV.LEASES.scheduler"} {
		_, err := raw.RequestWithContext(ctx, "$JS.API.CONSUMER.CREATE.EVENTS."+name+".evt.ledger.n1", []byte(`{"stream_name":"EVENTS","action":"create","config":{"name":"`+
			name+`","deliver_subject":"`+target+`","filter_subject":"evt.ledger.n1","ack_policy":"none","deliver_policy":"all"}}`))
		require.NoError(t, err)
	}
	_, err = health.Log().LastOf(ctx, events.NodeSubject("n2"))
	require.ErrorIs(t, err, events.ErrNotFound)
	// The next that is heard is what was truly sent.
	require.NoError(t, n2.Heartbeats().Beat(ctx, events.Heartbeat{Node: "n2", Incarnation: "true"}))
	require.Equal(t, events.Heartbeat{Node: "n2", Incarnation: "true"}, logtest.Receive(t, ctx, "a heartbeat", beats))
	_, err = c.service(auth.UserScheduler).Log().Append(ctx, logtest.One(events.LedgerSubject("n2"), 0, "a2"))
	require.NoError(t, err)
	require.Equal(t, "a2", logtest.Receive(t, ctx, "a live event", heard).ID)
}

// A long log needs flow control, whose subjects a service must be able to answer on.
func TestServiceFollowsALongLog(t *testing.T) {
	c := newCluster(t)
	ctx := logtest.Context(t)
	writer := c.service(auth.UserNodeHealth).Log()
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
	err := c.service(auth.UserScheduler).Log().Follow(ctx, 0, func(e events.Event, _ uint64) error {
		require.Equal(t, next, e.Sequence)
		if next++; e.Sequence == last {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
}
