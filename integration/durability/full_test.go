package durability

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
)

// The log refuses whole batches at its byte limit, and takes them again once the limit is raised.
func TestAtItsByteLimitTheLogRefusesWholeBatches(t *testing.T) {
	s := alone(t, t.TempDir())
	s.start(t)
	setUp(t, jetstream.StreamOptions{MaxEventBytes: 1 << 20}, s.url())
	l := startLoad(t, 3, func() *loadLog { return &loadLog{Log: dial(t, s.url()), padding: 8 << 10} })
	l.awaitRefused(t, events.ErrFull, 20)
	full := l.count()
	setUp(t, jetstream.StreamOptions{MaxEventBytes: 8 << 20}, s.url())
	l.await(t, 10)
	require.Greater(t, l.count(), full)
	l.end()
	l.hold(t, "after it was full", dial(t, s.url()))
}

// awaitRefused returns once so many appends were refused with an error.
func (l *load) awaitRefused(t *testing.T, kind error, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		return l.refused()[kind.Error()] >= n
	}, deadline, 5*time.Millisecond, "%v %d times", kind, n)
}

// smallDisk is a file system of so many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	dir := t.TempDir()
	require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)))
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A disk that somebody else fills: the log is closed before there is too little room for a batch, and open again when there is room.
func TestAFullDiskLosesNothing(t *testing.T) {
	const size = 64 << 20
	dir := smallDisk(t, size)
	server, err := natsserver.Start(natsserver.Config{Dir: filepath.Join(dir, "log"), Port: natsserver.RandomPort, Log: quiet()})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	setUp(t, jetstream.StreamOptions{}, server.URL())
	keepRoom(t, server)
	l := startLoad(t, 3, func() *loadLog { return &loadLog{Log: dial(t, server.URL()), padding: 256} })
	l.await(t, 10)
	ballast := filepath.Join(dir, "ballast")
	// Just within the reserve: what the writers add before the watch has seen it fits many times over, however slow the machine.
	left := jetstream.Reserve(size) - 256<<10
	fill(t, ballast, func() bool { _, free, err := server.Disk(); return err != nil || free <= left })
	l.awaitRefused(t, events.ErrFull, 10)
	log := dial(t, server.URL())
	closed, err := log.Last(bounded(t))
	require.NoError(t, err)
	for range rounds(10, 200) { // room that comes back by crumbs opens nothing
		info, err := os.Stat(ballast)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(ballast, info.Size()-int64(1+rand.IntN(8))<<12))
		l.awaitRefused(t, events.ErrFull, l.refused()[events.ErrFull.Error()]+1)
	}
	still, err := log.Last(bounded(t))
	require.NoError(t, err)
	require.Equal(t, closed, still)
	before := l.hold(t, "while it is full", log)
	require.NoError(t, os.Remove(ballast))
	l.await(t, 10)
	l.end()
	requireGrown(t, before, l.hold(t, "with room again", dial(t, server.URL())))
}

// keepRoom watches the server's disk as the product does.
func keepRoom(t *testing.T, server *natsserver.Server) {
	t.Helper()
	nc, err := natsconn.Connect(bounded(t), natsconn.Config{URLs: []string{server.URL()}, Log: quiet()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var keeping sync.WaitGroup
	keeping.Go(func() {
		if err := jetstream.KeepRoom(ctx, nc, jetstream.StreamOptions{}, server.Disk, quiet()); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); keeping.Wait(); nc.Close() })
}

// fill writes a file until it is enough.
func fill(t *testing.T, name string, enough func() bool) {
	t.Helper()
	f, err := os.Create(name)
	require.NoError(t, err)
	block := []byte(strings.Repeat("x", 64<<10))
	for err == nil && !enough() {
		_, err = f.Write(block)
	}
	require.NoError(t, errors.Join(err, f.Close()))
}
