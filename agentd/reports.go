package agentd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rutter-run/rutter/agentd/instance"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/store"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
)

// started notes a run that has started and waits for its end.
func (w *worker) started(ctx context.Context, c *instance.Container, run int, s runtime.Status) {
	c.Run, c.Phase, c.StartedAt, c.ExitedAt, c.Code, c.Announced = run, instance.RunRunning, s.StartedAt, time.Time{}, 0, false
	c.Up, c.Ready, c.Killed = false, false, ""
	w.mu.Lock()
	w.runs[c.Name] = run
	w.mu.Unlock()
	w.note(report.StartedV1{
		Container: c.Name, Run: run, ContainerID: s.ID, PID: s.PID, At: s.StartedAt, Addresses: w.record.Addresses,
	})
	w.watch(ctx, s.ID)
	w.probe(ctx, c, s.ID)
}

// exited notes the end of a run, once.
func (w *worker) exited(s runtime.Status) {
	delete(w.watching, s.ID)
	w.quiet(s.ID)
	name, run, ok := runOf(s.ID)
	if !ok {
		return
	}
	c := w.container(name)
	if c.Run != run || c.Phase != instance.RunRunning {
		return
	}
	started := s.StartedAt
	if started.IsZero() {
		started = c.StartedAt
	}
	ran := max(0, s.ExitedAt.Sub(started))
	c.Phase, c.Code, c.ExitedAt = instance.RunExited, s.ExitCode, s.ExitedAt
	c.Failures = instance.Failures(c.Failures, ran)
	exit := report.ExitedV1{
		Container: name, Run: run, Code: s.ExitCode, Signal: s.Signal, OOM: s.OOMKilled, At: s.ExitedAt, Ran: spec.Duration(ran),
	}
	if c.Killed != "" {
		exit.Reason, exit.Message = report.ReasonProbeFailed, c.Killed
		c.Code = cmp.Or(c.Code, unknownExit) // it did not succeed, however well it ended
	}
	w.note(exit)
}

// watch tells the worker when the container has ended.
func (w *worker) watch(ctx context.Context, id string) {
	if w.watching[id] {
		return
	}
	w.watching[id] = true
	w.agent.group.Go(func() error {
		for ctx.Err() == nil {
			s, err := w.agent.runtime.Wait(ctx, id)
			if err != nil {
				if ctx.Err() == nil {
					w.log.WithError(err).WithField("container", id).Warn("its end cannot be waited for; trying again")
				}
				if !sleep(ctx, time.Second) {
					return nil
				}
				if _, statusErr := w.agent.runtime.Status(ctx, id); errors.Is(statusErr, runtime.ErrNotFound) {
					return nil // removed meanwhile
				}
				continue
			}
			select {
			case w.exits <- s:
			case <-ctx.Done():
			}
			return nil
		}
		return nil
	})
}

// note makes a report. It is on disk, with all that it says, after the next flush.
func (w *worker) note(p events.Payload) {
	w.mu.Lock()
	a := w.assignment
	w.mu.Unlock()
	subject := events.ReportSubject(w.agent.config.Node, a.Key)
	cause := w.record.Last
	if cause == "" {
		cause = a.EventID
	}
	chain := a.Chain
	if a.Revoked != nil && w.state.Revoked {
		cause = a.Revoked.EventID
	}
	r := store.Report{
		Subject: subject, ID: events.NodeID(w.agent.config.Node, events.DeriveID(a.EventID, subject, w.record.Reports)), Type: p.WireType(), Time: time.Now(),
		Causation: cause, Correlation: chain.Correlation, Actor: events.NodeActor(w.agent.config.Node), TraceParent: chain.TraceParent,
		Data: encode(p),
	}
	w.record.Reports++
	w.record.Last = r.ID
	w.pending = append(w.pending, r)
	w.log.Info(p.Line())
}

// flush writes what was noted to disk and sends it on its way.
func (w *worker) flush() error {
	if len(w.pending) == 0 {
		return nil
	}
	w.mu.Lock()
	w.record.Assignment = w.assignment
	w.mu.Unlock()
	w.record.Containers = slices.Clone(w.state.Containers)
	if err := w.agent.store.Note(w.key, w.record, w.pending...); err != nil {
		return err
	}
	w.pending = w.pending[:0]
	w.agent.outbox.nudge()
	return nil
}
