package agentd

import (
	"context"
	"time"

	"github.com/rutter-run/rutter/agentd/probe"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

// leastGrace is what a container has between its stop signal and its end at least, however long its pre-stop hook took, unless its grace period is
// shorter.
const leastGrace = 2 * time.Second

// halt does a run's pre-stop hook and stops it, both within the grace period.
func (w *worker) halt(ctx context.Context, id string, c spec.Container, grace time.Duration) error {
	began := time.Now()
	if c.Lifecycle != nil && c.Lifecycle.PreStop != nil && grace > 0 && w.first(id) {
		w.preStop(ctx, id, c, grace)
	}
	return w.agent.runtime.Stop(ctx, id, c.StopSignal, max(grace-time.Since(began), min(grace, leastGrace)))
}

// first reports whether a run is stopped for the first time: a stop that is tried again does not repeat the hook.
func (w *worker) first(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.halting[id] {
		return false
	}
	w.halting[id] = true
	return true
}

// preStop does the hook; it ends with the hook, with the container or after the grace period, whatever comes first.
func (w *worker) preStop(ctx context.Context, id string, c spec.Container, grace time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	w.agent.group.Go(func() error {
		if _, err := w.agent.runtime.Wait(ctx, id); err == nil {
			cancel()
		}
		return nil
	})
	hook := c.Lifecycle.PreStop
	_, simulated := w.agent.runtime.(runtime.Prober)
	switch {
	case hook.Sleep != nil:
		sleep(ctx, time.Duration(hook.Sleep.Seconds)*time.Second)
	case hook.HTTPGet != nil && simulated:
		// Nobody can reach it.
	default:
		if a := probe.Ask(ctx, hook.Question(grace), w.real(id, c)); !a.Good {
			w.log.WithField("container", id).Warn("the pre-stop hook failed: " + a.Message)
		}
	}
}
