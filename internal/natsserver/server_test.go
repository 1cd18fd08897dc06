package natsserver_test

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
	"github.com/rutter-run/rutter/internal/pki"
)

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetLevel(logrus.PanicLevel)
	return log
}

func TestBeyondThisMachineOnlyProtected(t *testing.T) {
	dir := t.TempDir()
	trust := &auth.Trust{}
	protected := &tls.Config{}
	for name, config := range map[string]natsserver.Config{
		"no TLS":          {Host: "0.0.0.0", Auth: trust},
		"no credentials":  {Host: "0.0.0.0", TLS: protected},
		"all addresses":   {Host: "::", Auth: trust},
		"a name":          {Host: "node.example.com", Auth: trust},
		"cluster, no TLS": {Host: "127.0.0.1", ClusterHost: "0.0.0.0", ClusterPort: 6222},
	} {
		config.Dir, config.Port = dir, natsserver.RandomPort
		_, err := natsserver.Start(config)
		require.ErrorIs(t, err, natsserver.ErrExposed, name)
		require.Contains(t, err.Error(), "127.0.0.1", "says what to do instead", name)
	}
}

func TestMistakes(t *testing.T) {
	_, err := natsserver.Start(natsserver.Config{})
	require.ErrorContains(t, err, "Dir")
	_, err = natsserver.Start(natsserver.Config{Dir: t.TempDir(), ClusterPort: 6222, Routes: []string{"10.0.0.2"}})
	require.ErrorContains(t, err, "nats://")
}

// A graceful end and a start in the same directory lose nothing.
func TestDrainAndStartAgain(t *testing.T) {
	dir := t.TempDir()
	var at uint64
	for range 2 {
		s, err := natsserver.Start(natsserver.Config{Dir: dir, Port: natsserver.RandomPort, Log: quiet()})
		require.NoError(t, err)
		nc, err := natsconn.Connect(logtest.Context(t), natsconn.Config{URLs: []string{s.URL()}, Log: quiet()})
		require.NoError(t, err)
		require.NoError(t, jetstream.Setup(logtest.Context(t), nc, jetstream.StreamOptions{}))
		at, err = jetstream.Open(nc, catalog.New()).Log().Append(logtest.Context(t), logtest.One("evt.node.n1", at, logtest.Name("e")))
		require.NoError(t, err)
		nc.Close()
		s.Drain()
	}
	require.EqualValues(t, 2, at)
}

// A cluster as it is deployed: mutual TLS between the servers, TLS and credentials for clients.
func TestClusterWithTLSAndCredentials(t *testing.T) {
	dir := t.TempDir()
	keys, err := auth.Init(filepath.Join(dir, "auth"))
	require.NoError(t, err)
	trust, err := keys.Trust()
	require.NoError(t, err)
	certs := filepath.Join(dir, "pki")
	require.NoError(t, pki.Init(certs, []string{"127.0.0.1", "localhost"}))
	serverTLS, err := pki.Server(certs)
	require.NoError(t, err)
	peerTLS, err := pki.Peer(certs)
	require.NoError(t, err)
	clientTLS, err := pki.Client(pki.CAFile(certs))
	require.NoError(t, err)

	ports, routes := logtest.Ports(t, 3), []string{}
	for _, port := range ports {
		routes = append(routes, fmt.Sprintf("tls://127.0.0.1:%d", port))
	}
	var urls []string
	for i, port := range ports {
		s, err := natsserver.Start(natsserver.Config{
			Dir: filepath.Join(dir, fmt.Sprint(i)), Name: fmt.Sprintf("s%d", i), Port: natsserver.RandomPort, TLS: serverTLS, Auth: trust,
			ClusterPort: port, ClusterTLS: peerTLS, Routes: routes, Log: quiet(),
		})
		require.NoError(t, err)
		t.Cleanup(s.Stop)
		urls = append(urls, s.URL())
	}
	connect := func(user string) *nats.Conn {
		nc, err := natsconn.Connect(logtest.Context(t), natsconn.Config{URLs: urls, Creds: keys.Creds(user), TLS: clientTLS, Log: quiet()})
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		return nc
	}
	require.NoError(t, jetstream.Setup(logtest.Context(t), connect(auth.UserAdmin), jetstream.StreamOptions{Replicas: 3}))
	health := jetstream.Open(connect(auth.UserNodeHealth), catalog.New())
	_, err = health.Log().Append(logtest.Context(t), logtest.One("evt.node.n1", 0, "e1"))
	require.NoError(t, err)
	_, err = health.Log().Append(logtest.Context(t), logtest.One("evt.ledger.n1", 0, "e2"))
	require.ErrorIs(t, err, events.ErrDenied)
	require.Equal(t, []string{"e1"}, logtest.IDs(logtest.Gather(t, health.Log(), "evt.node.n1", 0)))
}

func TestOneServerADirectory(t *testing.T) {
	c := natsserver.Config{Dir: t.TempDir(), Port: natsserver.RandomPort, Log: quiet()}
	first, err := natsserver.Start(c)
	require.NoError(t, err)
	_, err = natsserver.Start(c)
	require.ErrorContains(t, err, "another server uses "+c.Dir)
	first.Stop()
	second, err := natsserver.Start(c)
	require.NoError(t, err)
	second.Stop()
}
