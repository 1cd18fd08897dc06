// Package authtest runs the log of a deployment with its credentials, for tests of who may do what.
package authtest

import (
	"cmp"
	"context"
	"crypto/tls"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/door"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
	"github.com/rutter-run/rutter/internal/pki"
)

// Cluster is a server with TLS and credentials, its streams, a server that admits nodes, and a door.
type Cluster struct {
	Keys      *auth.Deployment
	Server    *natsserver.Server
	TLS       *tls.Config
	Admission *auth.Admission
	Log       *logrus.Logger

	t      *testing.T
	mu     sync.Mutex
	owners map[string]owner
}

type owner struct {
	key      string
	sequence uint64
}

// New makes a cluster whose door is open.
func New(t *testing.T) *Cluster {
	t.Helper()
	c := Closed(t)
	c.Open(nil)
	return c
}

// Closed makes a cluster without a door.
func Closed(t *testing.T) *Cluster {
	t.Helper()
	dir := t.TempDir()
	c := &Cluster{t: t, owners: map[string]owner{}, Log: logrus.New()}
	c.Log.SetOutput(t.Output())
	var err error
	c.Keys, err = auth.Init(filepath.Join(dir, "auth"))
	require.NoError(t, err)
	require.NoError(t, pki.Init(filepath.Join(dir, "pki"), []string{"127.0.0.1", "localhost"}))
	serverTLS, err := pki.Server(filepath.Join(dir, "pki"))
	require.NoError(t, err)
	c.TLS, err = pki.Client(pki.CAFile(filepath.Join(dir, "pki")))
	require.NoError(t, err)
	trust, err := c.Keys.Trust()
	require.NoError(t, err)
	c.Server, err = natsserver.Start(natsserver.Config{
		Dir: filepath.Join(dir, "data"), Port: natsserver.RandomPort, Auth: trust, TLS: serverTLS, Log: c.Log,
	})
	require.NoError(t, err)
	t.Cleanup(c.Server.Stop)
	require.NoError(t, jetstream.Setup(logtest.Context(t), c.Conn(c.Keys.Creds(auth.UserAdmin)), jetstream.StreamOptions{}))
	c.Admission, err = auth.LoadAdmission(c.Keys.NodesKey(), trust)
	require.NoError(t, err)
	joins, health := auth.NewJoinServer(c.Admission, c.Owner, c.Log), c.Conn(c.Keys.Creds(auth.UserNodeHealth))
	c.background(func(ctx context.Context) { _ = joins.Run(ctx, health) })
	return c
}

// background runs until the test is over.
func (c *Cluster) background(run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	stop = func() { cancel(); running.Wait() }
	c.t.Cleanup(stop)
	return stop
}

// Open opens a door more, on a connection of its own. through, which may be nil, comes between it and the log. kill ends it as a process that
// is killed ends: whatever it was about to say is not said.
func (c *Cluster) Open(through func(door.Log) door.Log) (kill func()) {
	c.t.Helper()
	nc := c.Conn(c.Keys.Creds(auth.UserDoor))
	client := jetstream.Open(nc, catalog.New(), jetstream.Logger(c.Log))
	var log door.Log = client.Log()
	if through != nil {
		log = through(log)
	}
	server := door.NewServer(door.Config{
		Log: log, Commands: client.Commands(), Registry: catalog.New(), Renew: c.Admission.Admit, Logger: c.Log,
		Owner: func(node string) (string, bool) { key, _ := c.Owner(node); return key, key != "" },
	})
	stop := c.background(func(ctx context.Context) { _ = server.Run(ctx, nc) })
	logtest.Eventually(c.t, "the door to listen", func() bool { return nc.NumSubscriptions() >= len(door.Verbs) })
	require.NoError(c.t, nc.FlushWithContext(logtest.Context(c.t)))
	return func() { nc.Close(); stop() }
}

// Owner is whose a name is.
func (c *Cluster) Owner(node string) (key string, sequence uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.owners[node]
	return o.key, o.sequence
}

// Own lets the log say, so to speak, that a name belongs to a key; to nobody where that is empty.
func (c *Cluster) Own(node, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owners[node] = owner{key, c.owners[node].sequence + 1}
}

// Conn connects with a credentials file.
func (c *Cluster) Conn(creds string) *nats.Conn {
	c.t.Helper()
	nc, err := natsconn.Connect(logtest.Context(c.t), natsconn.Config{
		URLs: []string{c.Server.URL()}, Name: filepath.Base(creds), Creds: creds, TLS: c.TLS, Log: c.Log,
	})
	require.NoError(c.t, err)
	c.t.Cleanup(nc.Close)
	return nc
}

// Client speaks to JetStream with a credentials file.
func (c *Cluster) Client(creds string) *jetstream.Client {
	return jetstream.Open(c.Conn(creds), catalog.New(), jetstream.Logger(c.Log))
}

// Service speaks to JetStream as a user.
func (c *Cluster) Service(user string) *jetstream.Client { return c.Client(c.Keys.Creds(user)) }

// Join makes a node's credentials by way of the join token.
func (c *Cluster) Join(node, file string) error {
	token, err := c.Keys.JoinToken()
	require.NoError(c.t, err)
	return auth.Join(logtest.Context(c.t), auth.JoinRequest{
		URLs: []string{c.Server.URL()}, Token: token, Node: node, File: file, TLS: c.TLS, Log: c.Log,
	})
}

// Node joins and gives the credentials file.
func (c *Cluster) Node(name string) string {
	c.t.Helper()
	file := filepath.Join(c.t.TempDir(), name+".creds")
	require.NoError(c.t, c.Join(name, file))
	return file
}

// Knock is a node at the door, with its credentials.
func (c *Cluster) Knock(name, creds string) *door.Client {
	c.t.Helper()
	return c.KnockPatiently(name, creds, door.Patience{Answer: 2 * time.Second, Request: logtest.Deadline})
}

// KnockPatiently is Knock with another patience.
func (c *Cluster) KnockPatiently(name, creds string, patience door.Patience) *door.Client {
	c.t.Helper()
	key, err := auth.NodeKey(creds)
	require.NoError(c.t, err)
	return door.OpenPatient(c.Conn(creds), name, key, catalog.New(), patience, jetstream.Logger(c.Log))
}

// Refused fails unless the server refuses to carry a message of the connection to its subject, or a trace of it where it asks for one.
func (c *Cluster) Refused(nc *nats.Conn, msg *nats.Msg) {
	c.t.Helper()
	about := cmp.Or(msg.Header.Get("Nats-Trace-Dest"), msg.Subject)
	violations := make(chan error, 16)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case violations <- err:
		default:
		}
	})
	require.NoError(c.t, nc.PublishMsg(msg))
	require.NoError(c.t, nc.FlushWithContext(logtest.Context(c.t)))
	select {
	case err := <-violations:
		require.ErrorIs(c.t, err, nats.ErrPermissionViolation, about)
		require.ErrorContains(c.t, err, about)
	case <-time.After(logtest.Deadline):
		c.t.Fatalf("publish to %s was not refused", about)
	}
}
