package door_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/auth/authtest"
	"github.com/rutter-run/rutter/internal/door"
)

// nodeLog is a node's log where the suite wants a whole one: what a node may not ask is asked by the administrator.
type nodeLog struct {
	*jetstream.Log
	node *door.NodeLog
}

func (l nodeLog) Append(ctx context.Context, batch events.Batch) (uint64, error) {
	return l.node.Append(ctx, batch)
}

func (l nodeLog) Read(ctx context.Context, subject events.Subject, from uint64, handle func(events.Event) error) error {
	return l.node.Read(ctx, subject, from, handle)
}

func (l nodeLog) LastOf(ctx context.Context, subject events.Subject) (events.Event, error) {
	return l.node.LastOf(ctx, subject)
}

func TestConformance(t *testing.T) {
	c := authtest.New(t)
	c.Open(nil)
	creds, whole := c.Node("n1"), c.Service(auth.UserAdmin).Log()
	logtest.RunNode(t, logtest.Fixture{Node: "n1", Log: func(*testing.T) events.LiveLog {
		return nodeLog{whole, c.Knock("n1", creds).Log()}
	}})
}

// between comes between a door and the log.
type between struct {
	door.Log
	commit func(ctx context.Context, batch events.Batch, store func() (uint64, bool, error)) (uint64, bool, error)
}

func (b between) Commit(ctx context.Context, batch events.Batch) (uint64, bool, error) {
	return b.commit(ctx, batch, func() (uint64, bool, error) { return b.Log.Commit(ctx, batch) })
}

func key(name string) events.InstanceKey {
	return events.InstanceKey{Namespace: "default", Workload: "web", Name: name}
}

// A node-health that is killed takes the answer along: the agent asks again, another door answers, and the report stands in the log once.
func TestADoorThatIsKilledTakesTheAnswerAlong(t *testing.T) {
	c := authtest.Closed(t)
	ctx := logtest.Context(t)
	creds := c.Node("n1")
	n1 := c.KnockPatiently("n1", creds, door.Patience{Answer: 200 * time.Millisecond, Request: logtest.Deadline})
	subject := events.ReportSubject("n1", key("web-0-1"))
	var at uint64
	for round := range 5 {
		var kill func()
		var killed sync.Once
		ready := make(chan struct{})
		kill = c.Open(func(log door.Log) door.Log {
			return between{log, func(_ context.Context, _ events.Batch, store func() (uint64, bool, error)) (uint64, bool, error) {
				last, fresh, err := store()
				<-ready
				killed.Do(func() { go kill() })
				<-t.Context().Done() // it never gets to answer
				return last, fresh, err
			}}
		})
		close(ready)
		appended := make(chan error, 1)
		ids := []string{fmt.Sprint("r", round)}
		if round%2 == 1 {
			ids = append(ids, fmt.Sprint("s", round), fmt.Sprint("t", round))
		}
		go func() {
			last, err := n1.Log().Append(ctx, logtest.Reports("n1", subject, at, ids...))
			at = last
			appended <- err
		}()
		logtest.Eventually(t, "the report to be stored", func() bool {
			last, err := c.Service(auth.UserAdmin).Log().LastOf(ctx, subject)
			return err == nil && last.ID == events.NodeID("n1", ids[len(ids)-1])
		})
		again := c.Open(nil)
		require.NoError(t, logtest.Receive(t, ctx, "the append to end", appended))
		again()
	}
	require.Len(t, logtest.Gather(t, c.Service(auth.UserAdmin).Log(), subject, 0), 5+2*2)
}

// One that hangs holds nobody up for longer than an answer may take.
func TestADoorThatHangsIsPassedBy(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	c.Open(func(log door.Log) door.Log {
		return between{log, func(context.Context, events.Batch, func() (uint64, bool, error)) (uint64, bool, error) {
			<-t.Context().Done()
			return 0, false, events.ErrUnknown
		}}
	})
	n1 := c.KnockPatiently("n1", c.Node("n1"), door.Patience{Answer: 50 * time.Millisecond, Request: logtest.Deadline})
	subject := events.ReportSubject("n1", key("web-0-1"))
	var at uint64
	for i := range 10 {
		var err error
		at, err = n1.Log().Append(ctx, logtest.Reports("n1", subject, at, fmt.Sprint("r", i)))
		require.NoError(t, err)
	}
	require.Len(t, logtest.Gather(t, admin(c), subject, 0), 10)
}

// admin is the log as nobody keeps anything from it.
func admin(c *authtest.Cluster) events.Log { return c.Service(auth.UserAdmin).Log() }

// While the log elects a leader it is busy, out of reach, or does not say what became of a write. All of that passes.
func TestWhatPassesIsTriedAgain(t *testing.T) {
	c := authtest.Closed(t)
	ctx := logtest.Context(t)
	var calls atomic.Int64
	c.Open(func(log door.Log) door.Log {
		return between{log, func(_ context.Context, _ events.Batch, store func() (uint64, bool, error)) (uint64, bool, error) {
			switch calls.Add(1) {
			case 1:
				return 0, false, events.ErrUnavailable
			case 2:
				return 0, false, events.ErrBusy
			case 3:
				return 0, false, events.ErrUnknown
			case 4: // stored, and not acknowledged
				_, _, _ = store()
				return 0, false, events.ErrUnknown
			}
			return store()
		}}
	})
	n1 := c.Knock("n1", c.Node("n1"))
	subject := events.ReportSubject("n1", key("web-0-1"))
	last, err := n1.Log().Append(ctx, logtest.Reports("n1", subject, 0, "r1", "r2"))
	require.NoError(t, err)
	require.EqualValues(t, 5, calls.Load())
	all := logtest.Gather(t, admin(c), subject, 0)
	require.Len(t, all, 2)
	require.Equal(t, last, all[1].Sequence)
}

// Without a door a request ends in time, and says that it was not answered.
func TestNobodyAnswers(t *testing.T) {
	c := authtest.Closed(t)
	n1 := c.KnockPatiently("n1", c.Node("n1"), door.Patience{Answer: time.Second, Request: 50 * time.Millisecond})
	_, err := n1.Log().Append(t.Context(), logtest.Reports("n1", events.ReportSubject("n1", key("web-0-1")), 0, "r1"))
	require.True(t, errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrUnknown), err)
	_, err = n1.Log().LastOf(t.Context(), events.LedgerSubject("n1"))
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.NotErrorIs(t, err, events.ErrUnknown, "a reading changes nothing")
	// Where it was carried out or not, it says so.
	hung := make(chan struct{})
	c.Open(func(log door.Log) door.Log {
		return between{log, func(context.Context, events.Batch, func() (uint64, bool, error)) (uint64, bool, error) {
			<-hung
			return 0, false, events.ErrUnknown
		}}
	})
	_, err = n1.Log().Append(t.Context(), logtest.Reports("n1", events.ReportSubject("n1", key("web-0-1")), 0, "r1"))
	close(hung)
	require.ErrorIs(t, err, events.ErrUnknown)
}

func TestALongHistoryComesInPages(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	subject := events.LedgerSubject("n1")
	scheduler := c.Service(auth.UserScheduler).Log()
	var want []string
	var at uint64
	for range 3 {
		w := events.Write{Subject: subject, Expect: at}
		for range 700 {
			e := logtest.Note(subject, logtest.Name("e"))
			w.Events, want = append(w.Events, e), append(want, e.ID)
		}
		var err error
		at, err = scheduler.Append(ctx, events.Batch{w})
		require.NoError(t, err)
	}
	log := c.Knock("n1", c.Node("n1")).Log()
	var got []string
	require.NoError(t, log.Read(ctx, subject, 0, func(e events.Event) error { got = append(got, e.ID); return nil }))
	require.Equal(t, want, got)
	got = nil
	require.NoError(t, log.Read(ctx, subject, at, func(e events.Event) error { got = append(got, e.ID); return nil }))
	require.Equal(t, want[len(want)-1:], got)
}

func TestManyNodesReportAtOnce(t *testing.T) {
	c := authtest.New(t)
	c.Open(nil)
	ctx := logtest.Context(t)
	const nodes, instances, reports = 8, 6, 5
	var group sync.WaitGroup
	for n := range nodes {
		name := fmt.Sprint("n", n)
		log := c.Knock(name, c.Node(name)).Log()
		for i := range instances {
			group.Go(func() {
				subject := events.ReportSubject(name, key(fmt.Sprint("web-", i, "-1")))
				var at uint64
				for r := range reports {
					var err error
					if at, err = log.Append(ctx, logtest.Reports(name, subject, at, fmt.Sprint("r", i, "-", r))); err != nil {
						t.Errorf("%s: %v", subject, err)
						return
					}
				}
				if last, err := log.LastOf(ctx, subject); err != nil || last.Sequence != at {
					t.Errorf("%s is at %d, told %d: %v", subject, last.Sequence, at, err)
				}
			})
		}
	}
	group.Wait()
	last, err := admin(c).Last(ctx)
	require.NoError(t, err)
	require.EqualValues(t, nodes*instances*reports, last)
}
