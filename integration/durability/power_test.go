package durability

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/integration/durability/forgetful"
)

func mountForgetful(t *testing.T) *forgetful.Disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("no /dev/fuse")
	}
	disk, err := forgetful.Mount(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = disk.Cut() })
	return disk
}

// cutPower runs a server under load on a disk that forgets, cuts its power, and gives the server what was left.
func cutPower(t *testing.T, lazy bool) (*load, *served) {
	t.Helper()
	disk := mountForgetful(t)
	s := alone(t, disk.Mount)
	s.Lazy = lazy
	s.start(t)
	setUp(t, jetstream.StreamOptions{}, s.url())
	l := startLoad(t, 3, func() *loadLog { return &loadLog{Log: dial(t, s.url()), padding: 500} })
	l.await(t, 60)
	s.kill()
	l.end()
	left, err := disk.Cut()
	require.NoError(t, err)
	s.Dir = left
	s.start(t)
	return l, s
}

func TestPowerLossLosesNothingThatWasAcknowledged(t *testing.T) {
	for range rounds(1, 20) {
		l, s := cutPower(t, false)
		before := l.hold(t, "after the power loss", dial(t, s.url()))
		// What is left is a log like any other: it goes on, and survives the next one.
		more := startLoad(t, 1, func() *loadLog { return &loadLog{Log: dial(t, s.url())} })
		more.await(t, 5)
		more.end()
		requireGrown(t, before, contents(t, dial(t, s.url())))
		s.kill()
	}
}

// The control: with nats-server's default the same loses what it has acknowledged. Where it did not, the test above would say nothing.
func TestPowerLossUnderTheDefaultOfNATSLosesMuch(t *testing.T) {
	l, s := cutPower(t, true)
	all, err := read(bounded(t), dial(t, s.url()))
	if err != nil {
		t.Logf("nothing is left of the log: %v", err)
		return
	}
	faults := l.losses(all)
	t.Logf("after the power loss: sequence %d, hash %s, %d batches acknowledged, %d faults", len(all), hashOf(all), l.count(), len(faults))
	require.NotEmpty(t, faults, "the disk forgot nothing")
}
