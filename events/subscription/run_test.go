package subscription_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/subscription"
	"github.com/rutter-run/rutter/events/workload"
)

var errSeen = errors.New("seen enough")

// script is a log that a test writes.
type script struct {
	*memlog.Log
	t     *testing.T
	heads map[events.Subject]uint64
}

func newScript(t *testing.T) *script {
	return &script{Log: memlog.New(catalog.New()), t: t, heads: map[events.Subject]uint64{}}
}

func (s *script) say(subject events.Subject, data events.Payload) string {
	s.t.Helper()
	e := events.Event{ID: logtest.Name("e"), Source: "/rutter/test", Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Data: data}
	last, err := s.Append(logtest.Context(s.t), events.Batch{{Subject: subject, Expect: s.heads[subject], Events: []events.Event{e}}})
	require.NoError(s.t, err)
	s.heads[subject] = last
	return e.ID
}

func (s *script) lost(name string) string {
	return s.say(events.NodeSubject(name), node.LostV1{Silent: spec.Duration(2 * time.Second)})
}

func TestTypedHandlers(t *testing.T) {
	log := newScript(t)
	log.say(events.NodeSubject("a"), node.ReadyV1{})
	lost := log.lost("a")
	scaled := log.say(events.WorkloadSubject("default", "web"), workload.ScaledV1{From: 1, Replicas: 3})
	later := log.say(events.NodeSubject("b"), events.Unknown{Type: "run.rutter.node.promoted.v9", Raw: json.RawMessage(`{"rank":"admiral"}`)})
	var got []string
	err := subscription.Run(logtest.Context(t), log,
		subscription.On(func(_ context.Context, e events.Event, data node.LostV1) error {
			require.Equal(t, spec.Duration(2*time.Second), data.Silent)
			require.Equal(t, "a", e.Subject.Node())
			got = append(got, e.ID)
			return nil
		}),
		subscription.On(func(_ context.Context, e events.Event, data workload.ScaledV1) error {
			require.Equal(t, 3, data.Replicas)
			got = append(got, e.ID)
			return nil
		}),
		subscription.Else(func(_ context.Context, e events.Event) error {
			got = append(got, e.Type)
			if e.ID == later {
				require.Equal(t, events.Unknown{Type: "run.rutter.node.promoted.v9", Raw: json.RawMessage(`{"rank":"admiral"}`)}, e.Data)
				return errSeen
			}
			return nil
		}))
	require.ErrorIs(t, err, errSeen)
	require.Equal(t, []string{"run.rutter.node.ready.v1", lost, scaled, "run.rutter.node.promoted.v9"}, got)
}

func TestFilters(t *testing.T) {
	log := newScript(t)
	for _, ns := range []string{"default", "shop"} {
		for _, name := range []string{"web", "db"} {
			log.say(events.WorkloadSubject(ns, name), workload.DeleteRequestedV1{})
			log.say(events.WorkloadSubject(ns, name), workload.DeletedV1{})
		}
	}
	log.lost("a")
	for name, c := range map[string]struct {
		options []subscription.Option
		want    []uint64
	}{
		"all":                     {nil, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9}},
		"a namespace":             {[]subscription.Option{subscription.Namespace("shop")}, []uint64{5, 6, 7, 8}},
		"a workload":              {[]subscription.Option{subscription.Workload("db")}, []uint64{3, 4, 7, 8}},
		"both":                    {[]subscription.Option{subscription.Namespace("shop"), subscription.Workload("db")}, []uint64{7, 8}},
		"an aggregate":            {[]subscription.Option{subscription.Aggregates(events.AggregateNode)}, []uint64{9}},
		"a node":                  {[]subscription.Option{subscription.Node("a")}, []uint64{9}},
		"a type":                  {[]subscription.Option{subscription.Types("run.rutter.workload.deleted.v1")}, []uint64{2, 4, 6, 8}},
		"a type in every version": {[]subscription.Option{subscription.Types("run.rutter.workload.deleted"), subscription.From(5)}, []uint64{6, 8}},
		"from a sequence":         {[]subscription.Option{subscription.From(8)}, []uint64{8, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []uint64
			err := subscription.Run(logtest.Context(t), log, append(c.options, subscription.Any(func(_ context.Context, e events.Event) error {
				got = append(got, e.Sequence)
				if len(got) == len(c.want) {
					return errSeen
				}
				return nil
			}))...)
			require.ErrorIs(t, err, errSeen)
			require.Equal(t, c.want, got)
		})
	}
}

func TestMistakes(t *testing.T) {
	log := newScript(t)
	on := subscription.On(func(context.Context, events.Event, node.LostV1) error { return nil })
	for name, options := range map[string][]subscription.Option{
		"no handler":                         nil,
		"a node's event of a namespace":      {on, subscription.Namespace("default")},
		"a type that no handler takes":       {on, subscription.Types("run.rutter.workload.deleted")},
		"an aggregate that no handler takes": {on, subscription.Aggregates(events.AggregateWorkload)},
	} {
		require.ErrorIs(t, subscription.Run(logtest.Context(t), log, options...), events.ErrInvalid, name)
	}
	err := subscription.Fold(logtest.Context(t), log, subscription.File(filepath.Join(t.TempDir(), "p")), func(n int, _ events.Event) int { return n }, on)
	require.ErrorIs(t, err, events.ErrInvalid)
}

// A subscriber that ends anywhere goes on after the last event that it handled.
func TestDurable(t *testing.T) {
	log := newScript(t)
	file := filepath.Join(t.TempDir(), "position")
	var want, got []string
	for range 5 {
		want = append(want, log.lost("a"))
		log.say(events.NodeSubject("a"), node.ReadyV1{})
	}
	for i := range want {
		once := func() error {
			return subscription.Run(logtest.Context(t), log, subscription.Durable(subscription.File(file)),
				subscription.On(func(_ context.Context, e events.Event, _ node.LostV1) error {
					if len(got) > i {
						return errSeen // the next one: not handled
					}
					got = append(got, e.ID)
					if len(got) == len(want) {
						return context.DeadlineExceeded // the last one fails after all
					}
					return nil
				}))
		}
		if i < len(want)-1 {
			require.ErrorIs(t, once(), errSeen)
			continue
		}
		require.ErrorIs(t, once(), context.DeadlineExceeded)
		got = got[:i]
		require.ErrorIs(t, once(), context.DeadlineExceeded, "what failed comes again")
	}
	require.Equal(t, want, got)
}

func TestFromNowStaysThatNow(t *testing.T) {
	log := newScript(t)
	log.lost("a")
	file := filepath.Join(t.TempDir(), "position")
	ended, cancel := context.WithCancel(logtest.Context(t))
	cancel() // it ends before anything happens
	run := func(ctx context.Context) (got []string, err error) {
		return got, subscription.Run(ctx, log, subscription.FromNow(), subscription.Durable(subscription.File(file)),
			subscription.On(func(_ context.Context, e events.Event, _ node.LostV1) error {
				got = append(got, e.ID)
				return errSeen
			}))
	}
	_, err := run(ended)
	require.ErrorIs(t, err, context.Canceled)
	missed := log.lost("b")
	var got []string
	err = subscription.Run(logtest.Context(t), log, subscription.FromNow(), subscription.Durable(subscription.File(file)),
		subscription.On(func(_ context.Context, e events.Event, _ node.LostV1) error {
			got = append(got, e.ID)
			return errSeen
		}))
	require.ErrorIs(t, err, errSeen)
	require.Equal(t, []string{missed}, got)
}

func TestRetry(t *testing.T) {
	log := newScript(t)
	log.lost("a")
	log.lost("b")
	tries := 0
	var got []string
	err := subscription.Run(logtest.Context(t), log, subscription.Retry(time.Microsecond, time.Millisecond),
		subscription.Durable(subscription.File(filepath.Join(t.TempDir(), "p"))),
		subscription.On(func(_ context.Context, e events.Event, _ node.LostV1) error {
			if tries++; tries < 5 {
				return errors.New("not now")
			}
			if got = append(got, e.Subject.Node()); len(got) == 2 {
				return events.ErrConflict // ends it
			}
			return nil
		}))
	require.ErrorIs(t, err, events.ErrConflict)
	require.Equal(t, []string{"a", "b"}, got)
}

func TestAnotherLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "position")
	handle := func(log events.Log) error {
		seen := 0
		return subscription.Run(logtest.Context(t), log, subscription.Durable(subscription.File(file)), subscription.Any(func(context.Context, events.Event) error {
			if seen++; seen == 3 {
				return errSeen
			}
			return nil
		}))
	}
	log := newScript(t)
	for range 3 {
		log.lost("a")
	}
	require.ErrorIs(t, handle(log), errSeen) // two are handled
	shorter := newScript(t)
	shorter.lost("a")
	require.ErrorIs(t, handle(shorter), events.ErrOtherLog)
	other := newScript(t)
	for range 5 {
		other.lost("a")
	}
	require.ErrorIs(t, handle(other), events.ErrOtherLog)
}

// beheaded is a log whose oldest events were let go of.
type beheaded struct {
	*script
	first uint64
}

func (b beheaded) Extent(ctx context.Context) (events.Extent, error) {
	x, err := b.script.Extent(ctx)
	x.First = b.first
	return x, err
}

func (b beheaded) Follow(ctx context.Context, from uint64, handle func(events.Event, uint64) error) error {
	return b.script.Follow(ctx, max(from, b.first), handle)
}

func TestGap(t *testing.T) {
	log := beheaded{newScript(t), 4}
	for range 6 {
		log.lost("a")
	}
	var got []uint64
	any := subscription.Any(func(_ context.Context, e events.Event) error {
		if got = append(got, e.Sequence); e.Sequence == 6 {
			return errSeen
		}
		return nil
	})
	err := subscription.Run(logtest.Context(t), log, any, subscription.From(2))
	require.ErrorIs(t, err, events.ErrGap)
	require.ErrorContains(t, err, "2 to 3")
	require.Empty(t, got)

	var gaps []subscription.Gap
	err = subscription.Run(logtest.Context(t), log, any, subscription.OnGap(func(g subscription.Gap) error { gaps = append(gaps, g); return nil }))
	require.ErrorIs(t, err, errSeen)
	require.Equal(t, []subscription.Gap{{From: 1, To: 3}}, gaps)
	require.Equal(t, []uint64{4, 5, 6}, got)
}

// forgetful is a log that leaves one event out, as no log of ours does.
type forgetful struct{ *script }

func (f forgetful) Follow(ctx context.Context, from uint64, handle func(events.Event, uint64) error) error {
	return f.script.Follow(ctx, from, func(e events.Event, pending uint64) error {
		if e.Sequence == 3 {
			return nil
		}
		return handle(e, pending)
	})
}

func TestAHoleIsFound(t *testing.T) {
	log := forgetful{newScript(t)}
	for range 6 {
		log.lost("a")
	}
	seen := 0
	err := subscription.Run(logtest.Context(t), log, subscription.Any(func(context.Context, events.Event) error { seen++; return nil }))
	require.ErrorIs(t, err, events.ErrGap)
	require.ErrorContains(t, err, "3 to 3")
	require.Equal(t, 2, seen)
}
