package sim

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/services/reconciler"
	"github.com/rutter-run/rutter/services/scheduler"
)

const (
	shortSeeds = 40
	trouble    = 90 * time.Second // in virtual time
	quiet      = 12 * time.Minute // longer than the longest backoff and a few roll-outs
)

func TestTheClusterKeepsItsPromisesInAnyWeather(t *testing.T) {
	first, count := uint64(1), uint64(shortSeeds)
	if text := os.Getenv("RUTTER_SIM_SEED"); text != "" {
		first, count = number(t, text), 1
	} else if text := os.Getenv("RUTTER_SIM_SEEDS"); text != "" {
		count = number(t, text)
	}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		})
	}
}

func number(t *testing.T, text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%q: want a number", text)
	}
	return n
}

// simulate runs one seed: trouble, then quiet, then the questions.
func simulate(t *testing.T, seed uint64) {
	w := newWorld(t, seed)
	draw := func(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }
	ctx, end := context.WithCancel(context.Background())
	var running sync.WaitGroup

	check := newChecker()
	var history []string
	running.Go(func() {
		_ = w.log.Follow(ctx, 1, func(e events.Event, _ uint64) error {
			for _, broken := range check.apply(e) {
				w.fault("%s", broken)
			}
			history = append(history, fmt.Sprintf("%6d %s %s", e.Sequence, e.Time.Format("04:05.000"), events.Line(e)))
			return nil
		})
	})
	var mu sync.Mutex
	services := map[string]service{}
	for at, name := range []string{events.ServiceReconciler, events.ServiceScheduler, events.ServiceNodeHealth} {
		for twin := range 2 {
			holder := fmt.Sprintf("%s-%d", name, twin)
			rng := draw(uint64(100 + 10*at + twin))
			running.Go(func() {
				w.keep(ctx, name, holder, rng, func(s service) {
					mu.Lock()
					defer mu.Unlock()
					services[holder] = s
				})
			})
		}
	}
	for n := range 4 {
		a := newAgent(w, fmt.Sprintf("n%d", n), spec.Resources{CPU: 2000, Memory: 2 << 30, GPU: spec.GPUs(n%3) * spec.Device}, seed*100+uint64(n))
		rng := draw(uint64(200 + n))
		running.Go(func() { w.node(ctx, a, rng) })
	}
	running.Go(func() { w.people(ctx, draw(300)) })
	running.Go(func() { w.operators(ctx, draw(302)) })
	running.Go(func() { w.weather(ctx, draw(301)) })

	time.Sleep(trouble)
	w.troubled.Store(false)
	time.Sleep(quiet)
	synctest.Wait()

	w.mu.Lock()
	problems := append([]string(nil), w.problems...)
	w.mu.Unlock()
	view := check.state.View()
	problems = append(problems, unrest(view, time.Now())...)
	for cause, consequence := range check.awaited {
		problems = append(problems, fmt.Sprintf("%s is caused by %q, which is nowhere", consequence, cause))
	}
	mu.Lock()
	for holder, s := range services {
		if sequence, hash := s.loop.State(); sequence != view.Sequence() || hash != view.Hash() {
			problems = append(problems, fmt.Sprintf("%s is at %d with hash %s, the log at %d with %s", holder, sequence, hash, view.Sequence(), view.Hash()))
		}
	}
	mu.Unlock()
	end()
	running.Wait()
	if len(problems) == 0 {
		t.Logf("seed %d: %d events, %+v", seed, view.Sequence(), view.Counts())
		return
	}
	if file := os.Getenv("RUTTER_SIM_HISTORY"); file != "" {
		if err := os.WriteFile(file, []byte(strings.Join(history, "\n")), 0o600); err != nil {
			t.Error(err)
		}
	}
	t.Fatalf("seed %d broke its promises (RUTTER_SIM_SEED=%d go test ./integration/sim):\n%s\nthe last events:\n%s", seed, seed,
		strings.Join(problems, "\n"), strings.Join(history[max(0, len(history)-40):], "\n"))
}

// unrest is what is not as it should be when nothing has happened for long.
func unrest(view *projections.Cluster, now time.Time) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if p := reconciler.Reconcile(view, now); len(p.Batch) > 0 {
		say("at quiet the reconciler still plans %d events, first %s", p.Batch.Len(), events.Line(p.Batch[0].Events[0]))
	}
	if p := scheduler.Place(view, now); len(p.Batch) > 0 {
		say("at quiet the scheduler still plans %d events, first %s", p.Batch.Len(), events.Line(p.Batch[0].Events[0]))
	}
	for n := range view.Nodes() {
		if !n.TakesWork() {
			say("at quiet node %s is %s", n.Name, n.State())
		}
	}
	for w := range view.Workloads() {
		ready, explained, left := map[int]bool{}, map[int]bool{}, 0
		for i := range view.InstancesOf(w.Namespace, w.Name) {
			switch {
			case i.Retired:
			case i.Phase == spec.PhaseReady && i.Wished():
				ready[i.Slot] = true
			case i.Phase == spec.PhasePending && i.Unplaceable != nil && i.Wished():
				explained[i.Slot] = true
			default:
				left++
				say("at quiet %s is %s (%s)", i.Key, i.Phase, i.Reason)
			}
		}
		// A successor may wait for room while the one before it serves.
		maps.Copy(explained, ready)
		if len(explained) != w.Replicas() || left > 0 {
			say("at quiet %s/%s has %d slots ready, %d of %d ready or explained, and %d other instances", w.Namespace, w.Name, len(ready), len(explained), w.Replicas(), left)
		}
		if w.Deleting && !w.Deleted {
			say("at quiet %s/%s is still being deleted", w.Namespace, w.Name)
		}
	}
	return problems
}
