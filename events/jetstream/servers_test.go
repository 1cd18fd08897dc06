package jetstream_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
)

// servers are one or three servers in this process, with the streams on them.
type servers struct {
	configs []natsserver.Config
	running []*natsserver.Server // nil: stopped
	urls    []string
}

// quiet drops the servers' and clients' logs: what they say about servers that a test stops is no news.
func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetLevel(logrus.PanicLevel)
	return log
}

func startServers(t *testing.T, n int) *servers {
	t.Helper()
	s := &servers{}
	dir := t.TempDir()
	ports := logtest.Ports(t, 2*n)
	for i := range n {
		c := natsserver.Config{Dir: filepath.Join(dir, strconv.Itoa(i)), Name: fmt.Sprintf("s%d", i), Port: ports[n+i], Log: quiet()}
		if n > 1 {
			c.ClusterPort = ports[i]
			for _, port := range ports[:n] {
				c.Routes = append(c.Routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
			}
		}
		server, err := natsserver.Start(c)
		require.NoError(t, err)
		s.configs, s.running, s.urls = append(s.configs, c), append(s.running, server), append(s.urls, server.URL())
	}
	t.Cleanup(func() {
		for i := range s.running {
			s.stop(i)
		}
	})
	require.NoError(t, jetstream.Setup(logtest.Context(t), s.conn(t), jetstream.StreamOptions{Replicas: n}))
	return s
}

func (s *servers) stop(i int) {
	if s.running[i] != nil {
		s.running[i].Stop()
		s.running[i] = nil
	}
}

func (s *servers) start(t *testing.T, i int) {
	t.Helper()
	server, err := natsserver.Start(s.configs[i])
	require.NoError(t, err)
	s.running[i] = server
}

// conn is a connection of its own.
func (s *servers) conn(t *testing.T) *nats.Conn {
	t.Helper()
	nc, err := natsconn.Connect(logtest.Context(t), natsconn.Config{URLs: s.urls, Name: t.Name(), Log: quiet()})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

func (s *servers) client(t *testing.T, options ...jetstream.Option) *jetstream.Client {
	t.Helper()
	return jetstream.Open(s.conn(t), catalog.New(), append([]jetstream.Option{jetstream.Logger(quiet())}, options...)...)
}

// stream is the raw stream EVENTS, for what the contract does not let one do.
func (s *servers) stream(t *testing.T) (js.JetStream, js.Stream) {
	t.Helper()
	api, err := js.New(s.conn(t))
	require.NoError(t, err)
	stream, err := api.Stream(logtest.Context(t), jetstream.StreamEvents)
	require.NoError(t, err)
	return api, stream
}

// leaseTTL is the shortest that JetStream allows.
const leaseTTL = time.Second

func (s *servers) fixture() logtest.Fixture {
	return logtest.Fixture{
		Log:        func(t *testing.T) events.LiveLog { return s.client(t).Log() },
		Commands:   func(t *testing.T) events.Commands { return s.client(t).Commands() },
		Leases:     func(t *testing.T) events.Leases { return s.client(t, jetstream.LeaseTTL(leaseTTL)).Leases() },
		Heartbeats: func(t *testing.T) events.Heartbeats { return s.client(t).Heartbeats() },
		Vault:      func(t *testing.T) events.Vault { return s.client(t).Vault() },
		Snapshots:  func(t *testing.T) events.Snapshots { return s.client(t).Snapshots() },

		Fingerprints: func(t *testing.T) events.Fingerprints { return s.client(t).Fingerprints() },
	}
}

// onBoth runs a test on one server and on a cluster of three.
func onBoth(t *testing.T, run func(t *testing.T, s *servers)) {
	t.Run("one server", func(t *testing.T) { run(t, startServers(t, 1)) })
	t.Run("three servers", func(t *testing.T) { run(t, startServers(t, 3)) })
}
