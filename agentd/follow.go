package agentd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rutter-run/rutter/agentd/instance"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/store"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/report"
)

// rereadEvery is how often the ledger is read again although nothing was missed: events wake, state decides.
const rereadEvery = time.Minute

// follow keeps the ledger up to date: live events one by one, and the log itself at the start, after a gap, after a reconnection and now and then.
func (a *Agent) follow(ctx context.Context) error {
	subject := events.LedgerSubject(a.config.Node)
	type live struct {
		event    events.Event
		previous uint64
	}
	heard := make(chan live, 256)
	reread := make(chan struct{}, 1)
	again := func() {
		select {
		case reread <- struct{}{}:
		default:
		}
	}
	a.group.Go(func() error {
		return a.conns.Log.Subscribe(ctx, subject, again, func(e events.Event, previous uint64) {
			select {
			case heard <- live{e, previous}:
			default:
				again() // too many at once: what is dropped here is read from the log
			}
		})
	})
	again()
	ticker := time.NewTicker(rereadEvery)
	defer ticker.Stop()
	synced := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			again()
		case l := <-heard:
			if !a.hear(ctx, l.event, l.previous) {
				again()
			}
		case <-reread:
			if err := a.untilDone(ctx, "read the ledger", func() error { return a.read(ctx, subject) }); err != nil {
				return err
			}
			if !synced {
				synced = true
				a.removeOrphans(ctx)
			}
			a.say(true, "")
		}
	}
}

// hear folds a live event in, unless one before it is missing.
func (a *Agent) hear(ctx context.Context, e events.Event, previous uint64) (complete bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if previous > a.ledger.Head {
		return false
	}
	if e.Sequence > a.ledger.Head {
		a.ledger.Apply(e)
		a.dirty = true
		a.settle(ctx)
	}
	return true
}

// read folds in what the log has beyond the ledger's head.
func (a *Agent) read(ctx context.Context, subject events.Subject) error {
	a.mu.Lock()
	from := a.ledger.Head + 1
	a.mu.Unlock()
	var batch []events.Event
	if err := a.conns.Log.Read(ctx, subject, from, func(e events.Event) error {
		batch = append(batch, e)
		return nil
	}); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range batch {
		a.ledger.Apply(e)
		a.dirty = true
	}
	// What was in the log before this agent looked may have been run, and have ended, under a store that is lost.
	a.fresh = max(a.fresh, a.ledger.Head)
	a.settle(ctx)
	return nil
}

// settle gives every assignment a worker and tells those whose wish changed. The caller holds the lock.
func (a *Agent) settle(ctx context.Context) {
	for _, stale := range a.ledger.Stale {
		a.refuse(stale)
	}
	a.ledger.Stale = nil
	for _, key := range a.ledger.Keys() {
		assignment := a.ledger.Assignments[key]
		w, ok := a.workers[key]
		if !ok {
			w = newWorker(a, assignment, store.Record{Assignment: assignment}, nil)
			w.doubtful = a.ledger.Head <= a.fresh
			a.startWorker(ctx, w)
			continue
		}
		if assignment.Revoked != nil && !w.revoked() {
			w.revoke(*assignment.Revoked)
		}
	}
}

func (a *Agent) startWorker(ctx context.Context, w *worker) {
	a.workers[w.key] = w
	a.group.Go(func() error { return w.run(ctx) })
}

// refuse answers an assignment whose generation is older than one that was seen: somebody writes from an old view.
func (a *Agent) refuse(stale instance.Assignment) {
	w := newWorker(a, stale, store.Record{Assignment: stale}, nil)
	w.note(report.RejectedV1{
		Reason:  "StaleGeneration",
		Message: fmt.Sprintf("generation %d is not newer than %d, which the node has seen", stale.Generation, a.ledger.Generation),
	})
	if err := a.store.Post(w.pending...); err != nil {
		a.log.WithError(err).Error("a refused assignment is not answered")
	}
	a.outbox.nudge()
}

// adopt takes up what the agent before this one ran.
func (a *Agent) adopt(ctx context.Context, records map[string]store.Record) error {
	running, err := a.runtime.List(ctx)
	if errors.Is(err, runtime.ErrUnseen) {
		// One that is stuck must not hold the node. Its worker looks for it by its name until it sees.
		a.log.WithError(err).Error("not all that runs could be looked at")
	} else if err != nil {
		return err
	}
	sandboxes, err := a.runtime.ListSandboxes(ctx)
	if err != nil {
		return err
	}
	whole := map[string]bool{}
	for _, s := range sandboxes {
		whole[s.Instance] = !s.Broken
	}
	byInstance := map[string][]runtime.Status{}
	for _, s := range running {
		byInstance[s.Instance] = append(byInstance[s.Instance], s)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for key, record := range records {
		if _, ok := a.workers[key]; ok {
			continue
		}
		assignment, ok := a.ledger.Assignments[key]
		if !ok {
			// The ledger was saved before the instance was assigned; the record has the assignment.
			assignment = record.Assignment
			a.ledger.Assignments[key] = assignment
		}
		name := sandboxName(assignment.Key)
		w := newWorker(a, assignment, record, byInstance[name])
		w.state.Broken = record.Created && !whole[name]
		a.startWorker(ctx, w)
	}
	// Assigned, perhaps begun, but nothing was reported yet.
	for _, key := range a.ledger.Keys() {
		if _, ok := a.workers[key]; !ok {
			assignment := a.ledger.Assignments[key]
			name := sandboxName(assignment.Key)
			found := byInstance[name]
			w := newWorker(a, assignment, store.Record{Assignment: assignment}, found)
			w.state.Broken = len(found) > 0 && !whole[name] // without containers it is made anew in any case
			w.doubtful = len(found) == 0 && a.ledger.Head <= a.fresh
			a.startWorker(ctx, w)
		}
	}
	return nil
}

// removeOrphans takes away what runs without an assignment, such as after the agent's store was lost.
func (a *Agent) removeOrphans(ctx context.Context) {
	wanted := func(name string) bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, w := range a.workers {
			if sandboxName(w.assignment.Key) == name {
				return true
			}
		}
		return false
	}
	containers, err := a.runtime.List(ctx)
	if err != nil && !errors.Is(err, runtime.ErrUnseen) {
		a.log.WithError(err).Warn("orphans were not looked for")
		return
	}
	for _, c := range containers {
		if wanted(c.Instance) {
			continue
		}
		a.log.WithField("container", c.ID).Warn("removing a container without an assignment")
		if err := a.runtime.Stop(ctx, c.ID, "SIGTERM", 10*time.Second); err != nil {
			a.log.WithError(err).WithField("container", c.ID).Warn("orphan not stopped")
			continue
		}
		once, done := context.WithTimeout(ctx, a.patience)
		err := a.runtime.Remove(once, c.ID)
		done()
		if err != nil {
			a.log.WithError(err).WithField("container", c.ID).Warn("orphan not removed")
		}
	}
	sandboxes, err := a.runtime.ListSandboxes(ctx)
	if err != nil {
		a.log.WithError(err).Warn("orphaned sandboxes were not looked for")
		return
	}
	for _, s := range sandboxes {
		if wanted(s.Instance) {
			continue
		}
		a.log.WithField("sandbox", s.Instance).Warn("removing a sandbox without an assignment")
		once, done := context.WithTimeout(ctx, a.patience)
		err := a.runtime.RemoveSandbox(once, s.Instance)
		done()
		if err != nil {
			a.log.WithError(err).WithField("sandbox", s.Instance).Warn("orphan not removed")
		}
	}
}

// forget drops an instance whose end is reported. The ledger goes first: a record that outlives it only asks to be forgotten again.
func (a *Agent) forget(w *worker) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ledger.Forget(w.assignment.Key, w.assignment.Generation)
	delete(a.workers, w.key)
	if err := a.store.SaveLedger(a.ledger); err != nil {
		return err
	}
	a.dirty = false
	return a.store.Forget(w.key)
}

// sandboxName is the name of an instance on the node: its namespace and its own, neither of which has a dot.
func sandboxName(k events.InstanceKey) string { return k.Namespace + "." + k.Name }

// containerID names one run of one container, for ever.
func containerID(k events.InstanceKey, container string, run int) string {
	return fmt.Sprintf("%s.%s.%d", sandboxName(k), container, run)
}

// runOf takes container and run out of a container id.
func runOf(id string) (container string, run int, ok bool) {
	parts := strings.Split(id, ".")
	if len(parts) != 4 {
		return "", 0, false
	}
	_, err := fmt.Sscan(parts[3], &run)
	return parts[2], run, err == nil
}

// newestRun finds the highest run of a container among statuses.
func newestRun(statuses []runtime.Status, container string) (runtime.Status, int, bool) {
	var newest runtime.Status
	highest := 0
	for _, s := range statuses {
		if name, run, ok := runOf(s.ID); ok && name == container && run > highest {
			newest, highest = s, run
		}
	}
	return newest, highest, highest > 0
}
