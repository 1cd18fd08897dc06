package durability

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
)

// three are three servers with three copies of the log, not started. hosts are their addresses, one each.
func three(t *testing.T, hosts ...string) (all []*served) {
	t.Helper()
	dir, ports := t.TempDir(), logtest.Ports(t, 6)
	var routes []string
	for i, host := range hosts {
		routes = append(routes, fmt.Sprintf("nats://%s:%d", host, ports[3+i]))
	}
	for i, host := range hosts {
		name := fmt.Sprintf("s%d", i)
		all = append(all, &served{Dir: filepath.Join(dir, name), Name: name, Host: host, Port: ports[i], Cluster: ports[3+i], Routes: routes})
	}
	return all
}

func urlsOf(all []*served) (urls []string) {
	for _, s := range all {
		urls = append(urls, s.url())
	}
	return urls
}

// leader is which of the servers leads the log. It waits until one does.
func leader(t *testing.T, all []*served) *served {
	t.Helper()
	nc := connect(t, urlsOf(all)...)
	defer nc.Close()
	api, err := js.New(nc)
	require.NoError(t, err)
	var found *served
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stream, err := api.Stream(ctx, jetstream.StreamEvents)
		if err != nil || stream.CachedInfo().Cluster == nil {
			return false
		}
		for _, s := range all {
			if s.Name == stream.CachedInfo().Cluster.Leader {
				found = s
			}
		}
		return found != nil
	}, deadline, 50*time.Millisecond, "a leader")
	return found
}

func TestTheLeaderOfThreeIsKilledUnderLoad(t *testing.T) {
	all := three(t, "127.0.0.1", "127.0.0.1", "127.0.0.1")
	for _, s := range all {
		s.start(t)
	}
	setUp(t, jetstream.StreamOptions{Replicas: 3}, urlsOf(all)...)
	l := startLoad(t, 3, func() *loadLog { return &loadLog{Log: dial(t, urlsOf(all)...), padding: 500} })
	for range rounds(1, 20) {
		l.await(t, 20)
		victim := leader(t, all)
		time.Sleep(rand.N(30 * time.Millisecond)) // anywhere in a batch
		victim.kill()
		l.await(t, 5) // by the two that are left
		victim.start(t)
		l.await(t, 5)
	}
	l.end()
	before := l.hold(t, "before all three are killed at once", dial(t, urlsOf(all)...))
	for _, s := range all {
		s.kill()
	}
	for _, s := range all {
		s.start(t)
	}
	leader(t, all)
	requireGrown(t, before, l.hold(t, "after it", dial(t, urlsOf(all)...)))
}
