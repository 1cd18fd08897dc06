package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/follow"
)

// TestServicesThatAllDecideAtOnceCollideInsteadOfOvercommitting runs three of each service without leases, on real threads: run it
// with -race.
func TestServicesThatAllDecideAtOnceCollideInsteadOfOvercommitting(t *testing.T) {
	const replicas = 120
	w := newWorld(t, 1) // odd: no leases
	w.troubled.Store(false)
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	var running sync.WaitGroup
	for _, name := range []string{events.ServiceReconciler, events.ServiceScheduler, events.ServiceNodeHealth} {
		for twin := range 3 {
			s := w.start(name, fmt.Sprint(twin))
			running.Go(func() { _ = s.run(ctx) })
		}
	}
	check, follower := newChecker(), follow.New(w.log)
	running.Go(func() { _ = follower.Run(ctx) })
	checked := make(chan uint64, 1)
	running.Go(func() {
		_ = w.log.Follow(ctx, 1, func(e events.Event, _ uint64) error {
			for _, broken := range check.apply(e) {
				w.fault("%s", broken)
			}
			select {
			case <-checked:
			default:
			}
			checked <- e.Sequence
			return nil
		})
	})
	// Room for 100 of each: what is left over has to be explained.
	for n := range 5 {
		name := fmt.Sprintf("n%d", n)
		running.Go(func() {
			for ctx.Err() == nil {
				_ = w.heartbeats.Beat(ctx, events.Heartbeat{Node: name, Incarnation: "1", Ready: true})
				sleep(ctx, 200*time.Millisecond)
			}
		})
		send(t, w, events.NodeCommand(name), node.RegisterV1{Incarnation: "1", Key: name, Capacity: spec.Resources{CPU: 2000, Memory: 1 << 40}})
	}
	for _, name := range []string{"web", "api"} {
		d := document(name, rand.New(rand.NewPCG(1, 1)))
		d.Spec.Containers[0].Resources.Requests = spec.Resources{CPU: 50}
		d.Spec.Containers[0].Ports = nil
		n := replicas
		d.Spec.Replicas = &n
		send(t, w, events.WorkloadCommand("default", name), workload.ApplyV1{Workload: d})
	}
	await(t, ctx, follower, func(view *projections.Cluster) bool {
		placed, explained := 0, 0
		for i := range view.Instances() {
			switch {
			case i.Placed():
				placed++
			case i.Unplaceable != nil:
				explained++
			}
		}
		return placed == 200 && explained == 2*replicas-200
	})
	last := follower.View().Sequence()
	for sequence := range checked {
		if sequence >= last {
			break
		}
	}
	end()
	running.Wait()
	for _, p := range w.problems {
		t.Error(p)
	}
}

func send(t *testing.T, w *world, subject string, data events.Payload) {
	t.Helper()
	c := events.Command{ID: subject + data.Line(), Subject: subject, Actor: "user:ada", Time: time.Now(), Data: data}
	if err := w.commands.Send(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// await waits until a view is as it should be.
func await(t *testing.T, ctx context.Context, f *follow.Follower, done func(*projections.Cluster) bool) {
	t.Helper()
	for {
		changed := f.Changed()
		if done(f.View()) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("it never came to that: %+v at %d", f.View().Counts(), f.View().Sequence())
		}
	}
}
