package agentd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/agentd/store"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/report"
)

func quiet(t *testing.T) *logrus.Entry {
	log := logrus.New()
	log.SetOutput(t.Output())
	return logrus.NewEntry(log)
}

// note is the nth report of an instance.
func note(instance string, n int) store.Report {
	subject := events.ReportSubject("n1", events.InstanceKey{Namespace: "default", Workload: "web", Name: instance})
	return store.Report{
		Subject: subject, ID: events.NodeID("n1", fmt.Sprint(instance, "-", n)), Type: report.UnhealthyV1{}.WireType(), Time: time.Now(),
		Actor: events.NodeActor("n1"), Data: encode(report.UnhealthyV1{Container: "main", Run: n}),
	}
}

// A report whose acknowledgement was lost leaves with others the next time, as a batch that the log has not seen. It is found, the others go on at
// once, and nothing is doubled.
func TestALostAcknowledgementHoldsNothingUp(t *testing.T) {
	for name, lose := range map[string]func(context.Context, events.Batch, func() (uint64, error)) error{
		"stored": func(_ context.Context, _ events.Batch, keep func() (uint64, error)) error {
			_, err := keep()
			return errors.Join(events.ErrUnknown, err)
		},
		"not stored": func(context.Context, events.Batch, func() (uint64, error)) error { return events.ErrUnknown },
	} {
		for first := 1; first <= 2*fewReports; first++ {
			t.Run(fmt.Sprintf("%s, %d reports", name, first), func(t *testing.T) {
				ctx := logtest.Context(t)
				s, err := store.Open(filepath.Join(t.TempDir(), "agent.db"))
				require.NoError(t, err)
				defer s.Close()
				lost := false
				log := memlog.New(catalog.New(), memlog.WithFaults(memlog.Faults{Append: func(ctx context.Context, batch events.Batch, keep func() (uint64, error)) (uint64, error) {
					if !lost {
						lost = true
						return 0, lose(ctx, batch, keep)
					}
					return keep()
				}}))
				o := newOutbox(s, log, events.NodeSource("n1"), quiet(t))
				post := func(from, to int) {
					for n := from; n < to; n++ {
						require.NoError(t, s.Post(note("web-0-1", n), note("web-1-1", n)))
					}
				}
				post(0, first)
				_, err = o.send(ctx)
				require.ErrorIs(t, err, events.ErrUnknown)
				post(first, first+3)
				for sent := 1; sent > 0; {
					sent, err = o.send(ctx)
					require.NoError(t, err)
				}
				for _, instance := range []string{"web-0-1", "web-1-1"} {
					var want []string
					for n := range first + 3 {
						want = append(want, note(instance, n).ID)
					}
					require.Equal(t, want, logtest.IDs(logtest.Gather(t, log, note(instance, 0).Subject, 0)))
				}
			})
		}
	}
}

// An agent whose store is lost does not know where its subjects end.
func TestAnOutboxFindsItsHeads(t *testing.T) {
	ctx := logtest.Context(t)
	log := memlog.New(catalog.New())
	for round := range 3 {
		s, err := store.Open(filepath.Join(t.TempDir(), "agent.db"))
		require.NoError(t, err)
		o := newOutbox(s, log, events.NodeSource("n1"), quiet(t))
		require.NoError(t, s.Post(note("web-0-1", round), note("web-1-1", round)))
		_, err = o.send(ctx)
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
	require.Len(t, logtest.Gather(t, log, note("web-0-1", 0).Subject, 0), 3)
}

// tight takes batches of few events, as a door takes requests of few bytes.
type tight struct {
	*memlog.Log
	most int
}

func (l tight) Append(ctx context.Context, batch events.Batch) (uint64, error) {
	if batch.Len() > l.most {
		return 0, fmt.Errorf("%d events: %w", batch.Len(), events.ErrTooLarge)
	}
	return l.Log.Append(ctx, batch)
}

func TestABatchThatIsTooLargeGoesInParts(t *testing.T) {
	ctx := logtest.Context(t)
	s, err := store.Open(filepath.Join(t.TempDir(), "agent.db"))
	require.NoError(t, err)
	defer s.Close()
	log := tight{memlog.New(catalog.New()), 3}
	o := newOutbox(s, log, events.NodeSource("n1"), quiet(t))
	const n = 50
	for i := range n {
		require.NoError(t, s.Post(note("web-0-1", i)))
	}
	for sent := 1; sent > 0; {
		sent, err = o.send(ctx)
		require.NoError(t, err)
	}
	require.Len(t, logtest.Gather(t, log, note("web-0-1", 0).Subject, 0), n)
}

// A connection that stands and carries nothing is none: only an answered round trip counts as contact.
func TestOnlyAnAnswerIsContact(t *testing.T) {
	var mu sync.Mutex
	reached := true
	a := &Agent{config: Config{Node: "n1", PartitionLease: 30 * time.Millisecond}, log: quiet(t)}
	a.conns.Reach = func(ctx context.Context) error {
		mu.Lock()
		ok := reached
		mu.Unlock()
		if ok {
			return nil
		}
		<-ctx.Done() // what is asked never comes back
		return ctx.Err()
	}
	set := func(ok bool) { mu.Lock(); defer mu.Unlock(); reached = ok }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.keepContact(ctx) }()
	for range 3 {
		set(false)
		logtest.Eventually(t, "the lease to run out", a.cutOff.Load)
		set(true)
		logtest.Eventually(t, "the contact to be back", func() bool { return !a.cutOff.Load() })
	}
	cancel()
	require.NoError(t, logtest.Receive(t, logtest.Context(t), "the end", ended))
}
