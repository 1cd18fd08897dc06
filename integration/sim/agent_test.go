package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
)

// agent is a model of a node's agent: it follows its ledger and reports what a runtime would do, at random times.
type agent struct {
	world    *world
	name     string
	capacity spec.Resources
	rng      *rand.Rand // its own: one agent more moves no other's choices

	mu   sync.Mutex
	head uint64          // of the ledger
	seen uint64          // newest generation
	runs map[string]*run // by instance; survives the agent, not the disk
	disk int             // counts the disks that the machine had
}

// run is one assignment on the node.
type run struct {
	assigned   events.Event
	data       ledger.AssignedV2
	revoked    bool
	up         bool // containers run
	over       bool // its end is reported
	reports    int
	startAt    time.Time
	failAt     time.Time // zero: it never fails
	stopAt     time.Time // zero: not revoked
	rejects    bool
	fate       []events.Payload // what is reported once it ran for a moment, in place of its running for ever
	last       string           // id of the last report
	incomplete events.Event     // a report whose outcome is not known
}

func newAgent(w *world, name string, capacity spec.Resources, seed uint64) *agent {
	return &agent{world: w, name: name, capacity: capacity, rng: rand.New(rand.NewPCG(seed, 77)), runs: map[string]*run{}}
}

// live runs one life of the agent: it registers, beats and works until ctx is done.
func (a *agent) live(ctx context.Context, incarnation string) {
	command := events.Command{
		ID: a.name + "-" + incarnation, Subject: events.NodeCommand(a.name), Actor: "node:" + a.name, Time: time.Now(),
		Data: node.RegisterV1{Incarnation: incarnation, Key: "key-" + a.name, Capacity: a.capacity, Labels: map[string]string{"node": a.name}},
	}
	for a.world.commands.Send(ctx, command) != nil {
		if !sleep(ctx, 100*time.Millisecond) {
			return
		}
	}
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() {
		for {
			_ = a.world.heartbeats.Beat(ctx, events.Heartbeat{Node: a.name, Incarnation: incarnation, Ready: true, Time: time.Now()})
			if !sleep(ctx, 500*time.Millisecond) {
				return
			}
		}
	})
	woken := make(chan struct{}, 1)
	wake := func() {
		select {
		case woken <- struct{}{}:
		default:
		}
	}
	background.Go(func() {
		_ = a.world.log.Subscribe(ctx, events.LedgerSubject(a.name), wake, func(events.Event, uint64) { wake() })
	})
	for ctx.Err() == nil {
		next := a.work(ctx)
		timer := time.NewTimer(time.Until(next))
		select {
		case <-woken:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// work does all that is due and says when there is more.
func (a *agent) work(ctx context.Context) (next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.world.log.Read(ctx, events.LedgerSubject(a.name), a.head+1, func(e events.Event) error {
		a.apply(e)
		return nil
	})
	now := time.Now()
	next = now.Add(5 * time.Second)
	for _, name := range slices.Sorted(maps.Keys(a.runs)) {
		r := a.runs[name]
		if r.over {
			continue
		}
		if at, waits := a.step(ctx, r, now); waits && at.Before(next) {
			next = at
		}
	}
	return next
}

func (a *agent) apply(e events.Event) {
	a.head = e.Sequence
	now := time.Now()
	switch data := e.Data.(type) {
	case ledger.AssignedV2:
		if data.Generation <= a.seen {
			a.world.fault("agent %s: assignment of generation %d after %d", a.name, data.Generation, a.seen)
		}
		a.seen = data.Generation
		r := &run{assigned: e, data: data, reports: a.disk * 1000, startAt: now.Add(a.jitter(400 * time.Millisecond))}
		if r.fate = a.world.fates[data.Instance.Name]; r.fate != nil {
			if _, r.rejects = r.fate[0].(report.RejectedV1); !r.rejects {
				r.failAt = r.startAt.Add(a.jitter(2 * time.Second))
			}
		}
		if a.world.troubled.Load() {
			r.rejects = a.rng.IntN(40) == 0
			if a.rng.IntN(6) == 0 {
				r.failAt = r.startAt.Add(a.jitter(20 * time.Second))
			}
		}
		a.runs[data.Instance.String()] = r
	case ledger.RevokedV2:
		if r, ok := a.runs[data.Instance.String()]; ok && r.data.Generation == data.Generation && !r.revoked {
			r.revoked, r.stopAt = true, now.Add(a.jitter(800*time.Millisecond))
		}
	}
}

// step does what is due for one assignment, or says when something will be.
func (a *agent) step(ctx context.Context, r *run, now time.Time) (at time.Time, waits bool) {
	switch {
	case r.incomplete.ID != "":
		return now.Add(50 * time.Millisecond), !a.send(ctx, r, r.incomplete)
	case r.revoked && now.Before(r.stopAt):
		return r.stopAt, true
	case r.revoked:
		a.world.stops(a.name, r.data.Instance)
		r.up = false
		a.report(ctx, r, report.StoppedV1{Outcome: report.OutcomeRevoked})
	case !r.up && now.Before(r.startAt):
		return r.startAt, true
	case !r.up && a.ended(ctx, r):
		r.over = true // before the disk was lost
	case !r.up && r.rejects && r.fate != nil:
		a.report(ctx, r, r.fate[0])
	case !r.up && r.rejects:
		a.report(ctx, r, report.RejectedV1{Reason: "BadImage", Message: "simulated"})
	case !r.up:
		a.world.starts(a.name, a.capacity, r.data)
		r.up = true
		for _, c := range r.data.Spec.Containers {
			a.report(ctx, r, report.StartedV1{Container: c.Name, Run: 1, ContainerID: c.Name, At: now})
		}
	case !r.failAt.IsZero() && !now.Before(r.failAt):
		a.world.stops(a.name, r.data.Instance)
		r.up = false
		for _, data := range r.fate {
			a.report(ctx, r, data)
		}
		if r.fate == nil {
			a.report(ctx, r, report.StoppedV1{Outcome: report.OutcomeFailed, Message: "simulated"})
		}
	case !r.failAt.IsZero():
		return r.failAt, true
	default:
		return at, false
	}
	return now, !r.over
}

// ended reports whether the log knows the end of an assignment that the agent has no memory of.
func (a *agent) ended(ctx context.Context, r *run) bool {
	last, err := a.world.log.LastOf(ctx, events.ReportSubject(a.name, r.data.Instance))
	if err != nil {
		return false
	}
	switch last.Data.(type) {
	case report.StoppedV1, report.RejectedV1:
		return true
	}
	return false
}

// report writes the next report of an assignment.
func (a *agent) report(ctx context.Context, r *run, data events.Payload) {
	r.reports++
	subject := events.ReportSubject(a.name, r.data.Instance)
	// Each report follows from the one before, as a real agent has it.
	cause := cmp.Or(r.last, r.assigned.ID)
	r.last = events.DeriveID(r.assigned.ID, subject, r.reports)
	a.send(ctx, r, events.Event{
		ID: r.last, Type: data.WireType(), Source: "/rutter/agent/" + a.name, Subject: subject,
		Time: time.Now(), Correlation: r.assigned.Correlation, Causation: cause, Actor: r.assigned.Actor, Data: data,
	})
}

// send appends a report, again until it is known to be stored: no report is lost.
func (a *agent) send(ctx context.Context, r *run, e events.Event) bool {
	for {
		expect := uint64(0)
		if last, err := a.world.log.LastOf(ctx, e.Subject); err == nil && last.ID != e.ID {
			expect = last.Sequence
		}
		_, err := a.world.log.Append(ctx, events.Batch{{Subject: e.Subject, Expect: expect, Events: []events.Event{e}}})
		if err == nil {
			r.incomplete = events.Event{}
			switch e.Data.(type) {
			case report.StoppedV1, report.RejectedV1:
				r.over = true
			}
			return true
		}
		if errors.Is(err, events.ErrInvalid) {
			panic(fmt.Sprintf("agent %s: %v", a.name, err))
		}
		if !sleep(ctx, 20*time.Millisecond) {
			r.incomplete = e
			return false
		}
	}
}

// die ends what runs on the machine. What its agent knew is lost where the disk is.
func (a *agent) die(diskToo bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.runs {
		if r.up {
			a.world.stops(a.name, r.data.Instance)
			r.up, r.startAt = false, time.Now()
		}
	}
	if diskToo {
		a.head, a.seen, a.runs, a.disk = 0, 0, map[string]*run{}, a.disk+1
	}
}

func (a *agent) jitter(most time.Duration) time.Duration {
	return time.Duration(a.rng.Int64N(int64(most)))
}

// sleep waits and reports whether ctx is still going on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
