package fingerprint_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/fingerprint"
	"github.com/rutter-run/rutter/projections/follow"
)

// process follows a log and tells what it folds. One that errs misses an event.
type process struct {
	follower *follow.Follower
	teller   *fingerprint.Teller
}

func start(log events.Log, to events.Fingerprints, name string) *process {
	p := &process{}
	p.teller = fingerprint.NewTeller(to, "test", name, func() *projections.Cluster { return p.follower.View() })
	p.follower = follow.New(log, follow.Checkpoints(fingerprint.Period, p.teller.Mark))
	return p
}

// deaf is a log of which one event is heard as another.
type deaf struct {
	events.Log
	to uint64
}

func (d deaf) Follow(ctx context.Context, from uint64, handle func(events.Event, uint64) error) error {
	return d.Log.Follow(ctx, from, func(e events.Event, pending uint64) error {
		if e.Sequence == d.to {
			e.Data = node.JoinedV1{Incarnation: "misheard", Key: "misheard"} // which is never put right
		}
		return handle(e, pending)
	})
}

// run lets two processes fold while a log grows, busily and then not at all, and returns what became of comparing.
func run(t *testing.T, busy int, mishears uint64) (compared, differ int64) {
	synctest.Test(t, func(t *testing.T) {
		log, to := memlog.New(nil), memlog.NewFingerprints()
		ctx, end := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var comparison fingerprint.Comparison
		var c, d atomic.Int64
		running.Go(func() {
			_ = to.Hear(ctx, func(f events.Fingerprint) {
				_, different, both := comparison.Hear(f)
				if both {
					c.Add(1)
				}
				if different {
					d.Add(1)
				}
			})
		})
		for _, p := range []*process{start(log, to, "a"), start(deaf{log, mishears}, to, "b")} {
			running.Go(func() { _ = p.follower.Run(ctx) })
			running.Go(func() { _ = p.teller.Run(ctx) })
		}
		subject := events.NodeSubject("n1")
		for n := range busy {
			time.Sleep(100 * time.Millisecond)
			e := events.Event{ID: events.DeriveID("told", subject, n), Source: "/test", Data: node.ReadyV1{}}
			_, err := log.Append(ctx, events.Batch{{Subject: subject, Expect: uint64(n), Events: []events.Event{e}}})
			require.NoError(t, err)
		}
		time.Sleep(5 * fingerprint.Period)
		synctest.Wait()
		compared, differ = c.Load(), d.Load()
		end()
		running.Wait()
	})
	return compared, differ
}

func TestProcessesLookAtTheSameSequences(t *testing.T) {
	compared, differ := run(t, 1000, 0) // a hundred seconds
	require.Zero(t, differ)
	require.GreaterOrEqual(t, compared, int64(8), "one for each period of the log, and one at the end")
}

func TestOneWhoErredIsFound(t *testing.T) {
	_, differ := run(t, 1000, 500)
	require.NotZero(t, differ, "while the log grows")
	_, differ = run(t, 3, 2)
	require.EqualValues(t, 1, differ, "and once nothing happens any more")
}

func TestAComparisonForgetsTheOldest(t *testing.T) {
	var c fingerprint.Comparison
	for sequence := range uint64(10_000) {
		_, differ, compared := c.Hear(events.Fingerprint{Service: "a", Sequence: sequence, Hash: "x"})
		require.False(t, differ || compared)
		d, differ, compared := c.Hear(events.Fingerprint{Service: "b", Sequence: sequence, Hash: "y"})
		require.True(t, differ && compared)
		require.Contains(t, d.String(), "y")
	}
	_, _, compared := c.Hear(events.Fingerprint{Service: "b", Sequence: 0, Hash: "y"})
	require.False(t, compared)
	_, differ, compared := c.Hear(events.Fingerprint{Service: "c", Version: 1, Sequence: 9_999, Hash: "z"})
	require.False(t, differ || compared, "another version is another state")
}
