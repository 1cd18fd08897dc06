package subscribers_test

import (
	"fmt"
	"os"
	"path/filepath"
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
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
)

// rig is a server with credentials, on which the test plays the cluster.
type rig struct {
	t      *testing.T
	keys   *auth.Deployment
	server *natsserver.Server
	log    *jetstream.Log
	heads  map[events.Subject]uint64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	quiet := logrus.New()
	quiet.SetLevel(logrus.PanicLevel)
	keys, err := auth.Init(filepath.Join(t.TempDir(), "keys"))
	require.NoError(t, err)
	trust, err := keys.Trust()
	require.NoError(t, err)
	server, err := natsserver.Start(natsserver.Config{Dir: t.TempDir(), Port: natsserver.RandomPort, Auth: trust, Log: quiet})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	connect := func(user string) *nats.Conn {
		nc, err := natsconn.Connect(logtest.Context(t), natsconn.Config{URLs: []string{server.URL()}, Creds: keys.Creds(user), Log: quiet})
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		return nc
	}
	require.NoError(t, jetstream.Setup(logtest.Context(t), connect(auth.UserAdmin), jetstream.StreamOptions{}))
	health := jetstream.Open(connect(auth.UserNodeHealth), catalog.New(), jetstream.Logger(quiet))
	return &rig{t: t, keys: keys, server: server, log: health.Log(), heads: map[events.Subject]uint64{}}
}

// creds are credentials of a subscriber.
func (r *rig) creds(name string, patterns ...string) string {
	r.t.Helper()
	creds, err := r.keys.NewSubscriber(name, 0, patterns...)
	require.NoError(r.t, err)
	file := filepath.Join(r.t.TempDir(), name+".creds")
	require.NoError(r.t, os.WriteFile(file, []byte(creds), 0o600))
	return file
}

// say appends facts about a node in one batch and gives their ids.
func (r *rig) say(name string, facts ...events.Payload) (ids []string) {
	r.t.Helper()
	subject := events.NodeSubject(name)
	w := events.Write{Subject: subject, Expect: r.heads[subject]}
	for i, data := range facts {
		e := events.Event{ID: fmt.Sprintf("%s-%d-%d", name, w.Expect, i), Source: "/rutter/node-health", Actor: "user:Ada Lovelace €", Time: time.Unix(1_800_000_000, 0), Data: data}
		w.Events, ids = append(w.Events, e), append(ids, e.ID)
	}
	last, err := r.log.Append(logtest.Context(r.t), events.Batch{w})
	require.NoError(r.t, err)
	r.heads[subject] = last
	return ids
}

// lost is the fact that a node is lost.
func lost() events.Payload { return node.LostV1{Silent: spec.Duration(2200 * time.Millisecond)} }
