package follow_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/projections/follow"
)

// flaky is a log whose following fails after a few events.
type flaky struct {
	events.Log
	after int
	from  []uint64
}

var errBroken = errors.New("the connection broke")

func (f *flaky) Follow(ctx context.Context, from uint64, handle func(events.Event, uint64) error) error {
	f.from = append(f.from, from)
	left := f.after
	return f.Log.Follow(ctx, from, func(e events.Event, pending uint64) error {
		if left--; left < 0 {
			return errBroken
		}
		return handle(e, pending)
	})
}

func write(t *testing.T, log events.Log, n int) uint64 {
	t.Helper()
	subject := events.NodeSubject("n1")
	var last uint64
	for range n {
		e := events.Event{ID: events.DeriveID("write", subject, int(last)), Source: "/test", Data: node.ReadyV1{}}
		var err error
		if last, err = log.Append(t.Context(), events.Batch{{Subject: subject, Expect: last, Events: []events.Event{e}}}); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

func TestAFollowerGoesOnWhereItWasWhenItFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &flaky{Log: memlog.New(nil), after: 4}
		last := write(t, log.Log, 10)
		f := follow.New(log)
		for range 2 {
			if err := f.Run(t.Context()); !errors.Is(err, errBroken) {
				t.Fatalf("run ended with %v", err)
			}
		}
		if f.Live() {
			t.Error("says that it has caught up and has not")
		}
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		view, err := f.WaitFor(ctx, last)
		if err != nil || view.Sequence() != last || !f.Live() {
			t.Errorf("at %d, live %v, %v", view.Sequence(), f.Live(), err)
		}
		end()
		<-ended
		if want := []uint64{1, 5, 9}; len(log.from) != 3 || log.from[1] != want[1] || log.from[2] != want[2] {
			t.Errorf("followed from %v, want %v", log.from, want)
		}
	})
}

func TestAnEmptyLogIsCaughtUpWithAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow.New(memlog.New(nil))
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		if err := f.WaitLive(ctx); err != nil {
			t.Error(err)
		}
		end()
		<-ended
		if _, err := f.WaitFor(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting for what never comes ended with %v", err)
		}
	})
}
