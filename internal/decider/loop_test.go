package decider_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
)

var web = events.WorkloadSubject("default", "web")

// scaler accepts every command with one event: the least that a service can be.
func scaler(turn decider.Turn) decider.Plan {
	author := decider.Author{Service: events.ServiceReconciler, Now: turn.Now}
	draft := decider.NewDraft(turn.View, turn.Limit)
	more := !decider.Answer(draft, author, turn.Commands, func(_ *projections.Cluster, c events.Command) decider.Decision {
		return decider.Accept(author.Say(decider.Caused(c), web, 0, c.Data))
	})
	return decider.Plan{Batch: draft.Batch(), More: more}
}

// rig is a loop over a log in memory.
type rig struct {
	t        *testing.T
	log      *memlog.Log
	commands *memlog.Commands
	config   decider.Config
	sent     int
}

func newRig(t *testing.T, faults memlog.Faults) *rig {
	r := &rig{t: t, log: memlog.New(nil, memlog.WithFaults(faults)), commands: memlog.NewCommands(nil, faults)}
	r.config = decider.Config{Service: events.ServiceReconciler, Holder: "a", Log: r.log, Commands: r.commands}
	return r
}

// run sets a loop going; end stops it and waits.
func (r *rig) run(config decider.Config, decide func(decider.Turn) decider.Plan) (l *decider.Loop, end func()) {
	r.t.Helper()
	l, err := decider.NewLoop(config, decide)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			r.t.Errorf("the loop ended with %v", err)
		}
	})
	return l, func() { cancel(); running.Wait() }
}

func (r *rig) send(n int) {
	r.t.Helper()
	for range n {
		r.sent++
		c := events.Command{
			ID: fmt.Sprintf("cmd-%d", r.sent), Subject: events.WorkloadCommand("default", "web"), Actor: "user:ada", Data: workload.ScaledV1{Replicas: r.sent},
		}
		if err := r.commands.Send(r.t.Context(), c); err != nil {
			r.t.Fatal(err)
		}
	}
}

// history is what the log holds, type by type.
func (r *rig) history() (all []events.Event) {
	last, _ := r.log.Last(r.t.Context())
	if last == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	_ = r.log.Follow(ctx, 1, func(e events.Event, pending uint64) error {
		if all = append(all, e); pending == 0 {
			cancel()
		}
		return nil
	})
	return all
}

// expectOnce holds that every command was carried out once and in order.
func (r *rig) expectOnce() {
	r.t.Helper()
	scaled, accepted := 0, 0
	for _, e := range r.history() {
		switch data := e.Data.(type) {
		case workload.ScaledV1:
			if scaled++; data.Replicas != scaled {
				r.t.Errorf("command %d was carried out as the %dth", data.Replicas, scaled)
			}
		case command.AcceptedV1:
			accepted++
		}
	}
	if scaled != r.sent || accepted != r.sent {
		r.t.Errorf("%d commands led to %d events and %d outcomes", r.sent, scaled, accepted)
	}
}

func TestEveryCommandIsCarriedOutOnceWhateverAnAppendEndsWith(t *testing.T) {
	for _, c := range []struct {
		name   string
		stored bool
		err    error
	}{
		{"conflict", false, events.ErrConflict}, {"busy", false, events.ErrBusy}, {"unknown, not stored", false, events.ErrUnknown},
		{"unknown, stored", true, events.ErrUnknown}, {"unavailable", false, events.ErrUnavailable}, {"full", false, events.ErrFull},
		{"an error nobody has heard of", false, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries atomic.Int32
				r := newRig(t, memlog.Faults{Append: func(_ context.Context, _ events.Batch, store func() (uint64, error)) (uint64, error) {
					if tries.Add(1)%3 != 0 {
						if c.stored {
							_, _ = store()
						}
						return 0, fmt.Errorf("injected: %w", c.err)
					}
					return store()
				}})
				_, end := r.run(r.config, scaler)
				for range 4 {
					r.send(3)
					synctest.Wait()
				}
				time.Sleep(time.Minute)
				r.expectOnce()
				end()
				// What was acknowledged does not come again.
				before := len(r.history())
				_, end = r.run(r.config, func(turn decider.Turn) decider.Plan {
					if len(turn.Commands) > 0 {
						t.Errorf("%d commands were not acknowledged", len(turn.Commands))
					}
					return decider.Plan{}
				})
				time.Sleep(2 * memlog.AckWait)
				end()
				if after := len(r.history()); after != before {
					t.Errorf("%d events became %d", before, after)
				}
			})
		})
	}
}

func TestACommandIsAcknowledgedOnlyOnceItsOutcomeIsInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		r := newRig(t, memlog.Faults{Append: func(_ context.Context, _ events.Batch, store func() (uint64, error)) (uint64, error) {
			if down.Load() {
				return 0, events.ErrUnavailable
			}
			return store()
		}})
		_, end := r.run(r.config, scaler)
		r.send(2)
		time.Sleep(10 * time.Second)
		end() // the process goes with two commands in hand
		if n := len(r.history()); n != 0 {
			t.Fatalf("%d events in a log that takes none", n)
		}
		down.Store(false)
		_, end = r.run(r.config, scaler)
		synctest.Wait() // they were handed back: no waiting for the acknowledgement to time out
		r.expectOnce()
		end()
	})
}

func TestManyCommandsAtOnceAreFewBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var appends atomic.Int32
		r := newRig(t, memlog.Faults{Append: func(_ context.Context, _ events.Batch, store func() (uint64, error)) (uint64, error) {
			appends.Add(1)
			time.Sleep(5 * time.Millisecond) // as an fsync takes: meanwhile more commands come
			return store()
		}})
		r.send(300)
		_, end := r.run(r.config, scaler)
		time.Sleep(time.Second)
		r.expectOnce()
		if n := appends.Load(); n > 5 {
			t.Errorf("300 commands took %d batches", n)
		}
		end()
	})
}

func TestACommandThatTheLogNeverTakesIsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memlog.Faults{Append: func(_ context.Context, batch events.Batch, store func() (uint64, error)) (uint64, error) {
			for _, w := range batch {
				for _, e := range w.Events {
					if data, ok := e.Data.(workload.ScaledV1); ok && data.Replicas == 2 {
						return 0, fmt.Errorf("2 is a megabyte: %w", events.ErrTooLarge)
					}
				}
			}
			return store()
		}})
		r.send(3)
		_, end := r.run(r.config, scaler)
		time.Sleep(time.Minute)
		end()
		var lines []string
		for _, e := range r.history() {
			lines = append(lines, e.Data.Line())
		}
		got := strings.Join(lines, "\n")
		for _, want := range []string{"scaled from 0 to 1", "scaled from 0 to 3", "Invalid: the log does not take what the command leads to: 2 is a megabyte"} {
			if !strings.Contains(got, want) {
				t.Errorf("want %q in\n%s", want, got)
			}
		}
	})
}

// A megabyte that got past the gateway: a client of its own may publish what it likes.
func TestACommandThatIsTooLargeIsRejectedAndTheRestGoOn(t *testing.T) {
	large := func(n int) events.Payload {
		return events.Unknown{Type: workload.ScaledV1{}.WireType(), Raw: []byte(`"` + strings.Repeat("x", n) + `"`)}
	}
	for _, c := range []struct {
		name  string
		alter func(*events.Command)
		why   string
	}{
		{"data above the limit", func(c *events.Command) { c.Data = large(events.MaxEvent - 100) }, fmt.Sprintf("at most %d", events.MaxCommand)},
		{"data that cannot be read", func(c *events.Command) {
			c.Data = events.Malformed{Type: "x", Raw: make([]byte, events.MaxEvent-100), Problem: "what it is not"}
		}, fmt.Sprintf("at most %d", events.MaxCommand)},
		{"a reason of a megabyte", func(c *events.Command) { c.Reason = strings.Repeat("€", events.MaxEvent/4) }, "the reason is 786432 bytes long, at most 4096"},
		{"an actor of a megabyte", func(c *events.Command) { c.Actor = strings.Repeat("a", events.MaxEvent) }, "the actor is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// With a registry everything takes its way over the wire, whose limits the log holds.
				r := newRig(t, memlog.Faults{})
				r.log = memlog.New(catalog.New())
				r.config.Log = r.log
				bad := events.Command{ID: "large", Subject: events.WorkloadCommand("default", "web"), Type: workload.ScaledV1{}.WireType(), Data: workload.ScaledV1{Replicas: 1}}
				c.alter(&bad)
				loop, end := r.run(r.config, scaler)
				r.send(1)
				r.commands.Put(bad)
				r.send(1)
				time.Sleep(time.Minute)
				end()
				outcome, decided := loop.View().Outcome("large")
				if !decided || outcome.Accepted || outcome.Code != command.CodeInvalid || !strings.Contains(outcome.Message, c.why) {
					t.Errorf("outcome %+v, want a rejection that says %q", outcome, c.why)
				}
				for _, id := range []string{"cmd-1", "cmd-2"} {
					if o, ok := loop.View().Outcome(id); !ok || !o.Accepted {
						t.Errorf("%s: %+v", id, o)
					}
				}
			})
		})
	}
}

// The log's limits are the server's: where they are smaller than ours, what one command leads to is turned down without its data.
func TestACommandWhoseEventTheLogDoesNotTakeIsRejectedAndTheRestGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 64 << 10
		r := newRig(t, memlog.Faults{Append: func(_ context.Context, batch events.Batch, store func() (uint64, error)) (uint64, error) {
			for _, w := range batch {
				for _, e := range w.Events {
					if _, data, err := cloudevent.EncodeEvent(e); err != nil || len(data) > most {
						return 0, fmt.Errorf("%d bytes, at most %d: %w", len(data), most, events.ErrTooLarge)
					}
				}
			}
			return store()
		}})
		bad := events.Command{ID: "large", Subject: events.WorkloadCommand("default", "web"), Data: workload.AppliedV1{
			Workload: spec.Workload{Metadata: spec.Metadata{Name: strings.Repeat("m", most)}},
		}}
		loop, end := r.run(r.config, scaler)
		r.send(3)
		r.commands.Put(bad)
		r.send(3)
		time.Sleep(time.Minute)
		end()
		outcome, decided := loop.View().Outcome("large")
		if !decided || outcome.Accepted || !strings.Contains(outcome.Message, "at most 65536") || outcome.Command.Omitted == nil || outcome.Command.Omitted.Bytes < most {
			t.Errorf("outcome %+v", outcome)
		}
		r.expectOnce()
	})
}

func TestAnIdempotencyKeyThatIsAnEventsIDStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memlog.Faults{})
		loop, end := r.run(r.config, scaler)
		r.send(2)
		synctest.Wait()
		var keys []string
		for _, e := range r.history() {
			keys = append(keys, e.ID)
		}
		for n, key := range keys {
			if err := r.commands.Send(t.Context(), events.Command{
				ID: key, Subject: events.WorkloadCommand("default", "web"), Actor: "user:ada", Data: workload.ScaledV1{Replicas: 3 + n},
			}); err != nil {
				t.Fatal(err)
			}
			r.sent++
		}
		r.send(1)
		time.Sleep(time.Minute)
		end()
		r.expectOnce()
		if _, ok := loop.View().Outcome(keys[0]); !ok {
			t.Error("no outcome")
		}
	})
}

func TestTheStandbyFollowsAndTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memlog.Faults{})
		r.config.Leases = memlog.NewLeases(0, memlog.Faults{})
		first, endFirst := r.run(r.config, scaler)
		synctest.Wait()
		standby := r.config
		standby.Holder = "b"
		second, endSecond := r.run(standby, func(turn decider.Turn) decider.Plan {
			if holder, _ := r.config.Leases.Holder(t.Context(), events.ServiceReconciler); holder != "b" {
				t.Errorf("decides while %q leads", holder)
			}
			return scaler(turn)
		})
		r.send(3)
		synctest.Wait()
		if !first.Leading() || second.Leading() || second.Ready() != nil {
			t.Errorf("first leads: %v, second: %v, second's readiness: %v", first.Leading(), second.Leading(), second.Ready())
		}
		a, hashA := first.State()
		b, hashB := second.State()
		if a != 6 || a != b || hashA != hashB {
			t.Errorf("leader at %d %s, standby at %d %s", a, hashA, b, hashB)
		}
		endFirst()
		r.send(2)
		time.Sleep(events.LeaseTTL)
		r.expectOnce()
		if !second.Leading() {
			t.Error("nobody took over")
		}
		endSecond()
	})
}

func TestThePlanSaysWhenToPlanAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memlog.Faults{})
		start := time.Now()
		var at []time.Duration
		var mu sync.Mutex
		l, end := r.run(r.config, func(turn decider.Turn) (p decider.Plan) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, turn.Now.Sub(start))
			if len(at) == 1 {
				p.Wake(turn.Now.Add(9 * time.Second))
				p.Wake(turn.Now.Add(7 * time.Second))
				p.Wake(turn.Now.Add(8 * time.Second))
			}
			return p
		})
		time.Sleep(40 * time.Second)
		l.Wake()
		synctest.Wait()
		end()
		want := []time.Duration{0, 7 * time.Second, 37 * time.Second, 40 * time.Second}
		if fmt.Sprint(at) != fmt.Sprint(want) {
			t.Errorf("planned at %v, want %v: now, when asked for, at the full pass, when woken", at, want)
		}
	})
}

func TestServicesShareARegistry(t *testing.T) {
	registry := prometheus.NewRegistry()
	for _, service := range []string{events.ServiceReconciler, events.ServiceScheduler} {
		if _, err := decider.NewLoop(decider.Config{Service: service, Metrics: registry}, scaler); err != nil {
			t.Error(err)
		}
	}
	if _, err := decider.NewLoop(decider.Config{Service: events.ServiceScheduler, Metrics: registry}, scaler); err == nil {
		t.Error("the same service twice in a process is no fault")
	}
	families, err := registry.Gather()
	if err != nil || len(families) < 5 {
		t.Errorf("%d families, %v", len(families), err)
	}
}
