package memlog_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/memlog"
)

func TestAppendFaults(t *testing.T) {
	var fault func(store func() (uint64, error)) (uint64, error)
	log := memlog.New(catalog.New(), memlog.WithFaults(memlog.Faults{
		Append: func(_ context.Context, _ events.Batch, store func() (uint64, error)) (uint64, error) {
			return fault(store)
		},
	}))
	ctx, subject := t.Context(), logtest.Subject()
	e1, e2 := logtest.One(subject, 0, "e1"), logtest.One(subject, 1, "e2")

	// The outcome is not known, and it is stored: a retry finds it.
	fault = func(store func() (uint64, error)) (uint64, error) { _, _ = store(); return 0, events.ErrUnknown }
	_, err := log.Append(ctx, e1)
	require.ErrorIs(t, err, events.ErrUnknown)
	fault = func(store func() (uint64, error)) (uint64, error) { return store() }
	last, err := log.Append(ctx, e1)
	require.NoError(t, err)
	require.EqualValues(t, 1, last)

	// It is not stored.
	fault = func(func() (uint64, error)) (uint64, error) { return 0, events.ErrBusy }
	_, err = log.Append(ctx, e2)
	require.ErrorIs(t, err, events.ErrBusy)

	// It arrives twice.
	fault = func(store func() (uint64, error)) (uint64, error) { _, _ = store(); return store() }
	last, err = log.Append(ctx, e2)
	require.NoError(t, err)
	require.EqualValues(t, 2, last)
	require.Equal(t, []string{"e1", "e2"}, logtest.IDs(logtest.Gather(t, log, subject, 0)))
}

func TestFull(t *testing.T) {
	log := memlog.New(catalog.New(), memlog.WithMaxBytes(100))
	subject := logtest.Subject()
	at, err := log.Append(t.Context(), logtest.One(subject, 0, "e1"))
	require.NoError(t, err)
	_, err = log.Append(t.Context(), events.Batch{{Subject: subject, Expect: at, Events: logtest.Facts("f", 10)}})
	require.ErrorIs(t, err, events.ErrFull)
}

func TestMissedLiveEventShowsAsGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(nil, memlog.WithFaults(memlog.Faults{Live: func(e events.Event) bool { return e.ID == "e2" }}))
		ctx, cancel := context.WithCancel(t.Context())
		subject := logtest.Subject()
		heard := map[string]uint64{}
		go func() {
			_ = log.Subscribe(ctx, subject, func() {}, func(e events.Event, previous uint64) { heard[e.ID] = previous })
		}()
		synctest.Wait()
		for i, id := range []string{"e1", "e2", "e3"} {
			_, err := log.Append(ctx, logtest.One(subject, uint64(i), id))
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, map[string]uint64{"e1": 0, "e3": 2}, heard)
		cancel()
		synctest.Wait()
	})
}

// A delivery that nobody ends comes again, and duplicates carry the same attempt.
func TestDeliveryComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		commands := memlog.NewCommands(nil, memlog.Faults{Deliver: func(_ events.Command, attempt int) int {
			return map[int]int{1: 1, 2: 0, 3: 2}[attempt]
		}})
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		require.NoError(t, commands.Send(ctx, logtest.Register("c", "n")))
		type seen struct {
			attempt int
			after   time.Duration
		}
		var all []seen
		err := commands.Consume(ctx, events.ServiceNodeHealth, func(d events.Delivery) {
			all = append(all, seen{d.Attempt(), time.Since(start)})
			if len(all) == 3 {
				require.NoError(t, d.Ack())
				cancel()
			}
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, []seen{{1, 0}, {3, 2 * memlog.AckWait}, {3, 2 * memlog.AckWait}}, all)
	})
}

// A holder that cannot renew stops leading when its time is over, and only then leads another.
func TestCutOffLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl = 15 * time.Second
		var cutOff atomic.Bool
		leases := memlog.NewLeases(ttl, memlog.Faults{Renew: func(_, holder string) bool { return cutOff.Load() && holder == "first" }})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var lost, won time.Time
		ended := errors.New("ended")
		go func() {
			_ = leases.Hold(ctx, "l", "first", func(ctx context.Context) error { <-ctx.Done(); lost = time.Now(); return ended })
		}()
		synctest.Wait()
		go func() {
			_ = leases.Hold(ctx, "l", "second", func(ctx context.Context) error { won = time.Now(); <-ctx.Done(); return nil })
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Zero(t, lost)
		cut := time.Now()
		cutOff.Store(true)
		time.Sleep(2 * ttl)
		synctest.Wait()
		require.False(t, lost.IsZero())
		require.False(t, won.Before(lost), "two led at once")
		require.LessOrEqual(t, lost.Sub(cut), ttl)
		holder, err := leases.Holder(ctx, "l")
		require.NoError(t, err)
		require.Equal(t, "second", holder)
		cancel()
		synctest.Wait()
	})
}

func TestLostHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		beats := memlog.NewHeartbeats(memlog.Faults{Beat: func(b events.Heartbeat) bool { return b.Node == "n1" }})
		ctx, cancel := context.WithCancel(t.Context())
		var heard []string
		go func() { _ = beats.Listen(ctx, func(b events.Heartbeat, _ bool) { heard = append(heard, b.Node) }) }()
		synctest.Wait()
		for _, node := range []string{"n1", "n2"} {
			require.NoError(t, beats.Beat(ctx, events.Heartbeat{Node: node}))
		}
		synctest.Wait()
		require.Equal(t, []string{"n2"}, heard)
		cancel()
		synctest.Wait()
	})
}
