package agentd

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/rutter-run/rutter/agentd/instance"
	"github.com/rutter-run/rutter/agentd/probe"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
)

// parallelProbes is how many questions a node asks at once, so that thousands of probes do not become its main work.
const parallelProbes = 16

// probeNews is what an answer has changed of one run.
type probeNews struct {
	container string
	run       int
	change    probe.Change
	message   string
}

// probe starts to ask a run that runs; it ends with the run.
func (w *worker) probe(ctx context.Context, c *instance.Container, id string) {
	container := w.specOf(c.Name)
	health := probe.Begin(container, c.StartedAt, c.Up, c.Ready)
	if _, _, any := health.Next(container); !any || w.probing[id] != nil {
		return
	}
	ctx, stop := context.WithCancel(ctx)
	w.probing[id] = stop
	target, run := w.target(id, container), c.Run
	w.agent.group.Go(func() error {
		defer stop()
		for {
			kind, at, ok := health.Next(container)
			if !ok || !sleep(ctx, time.Until(at)) || w.agent.probes.Acquire(ctx, 1) != nil {
				return nil
			}
			asked := time.Now()
			answer := target(ctx, kind)
			w.agent.probes.Release(1)
			if ctx.Err() != nil {
				return nil
			}
			var news probeNews
			health, news.change, news.message = health.Take(container, kind, answer, asked)
			if news.change == probe.None {
				continue
			}
			news.container, news.run = container.Name, run
			select {
			case w.news <- news:
			case <-ctx.Done():
			}
			if news.change == probe.Finished {
				return nil
			}
		}
	})
}

// target is how a run is asked: by the runtime where that plays its containers, else for real.
func (w *worker) target(id string, c spec.Container) func(context.Context, probe.Kind) probe.Answer {
	if player, ok := w.agent.runtime.(runtime.Prober); ok {
		return func(ctx context.Context, k probe.Kind) probe.Answer {
			good, message := player.Probe(ctx, id, string(k))
			return probe.Answer{Good: good, Message: message}
		}
	}
	target := w.real(id, c)
	probes := map[probe.Kind]*spec.Probe{probe.Startup: c.StartupProbe, probe.Liveness: c.LivenessProbe, probe.Readiness: c.ReadinessProbe}
	return func(ctx context.Context, k probe.Kind) probe.Answer { return probe.Ask(ctx, probes[k], target) }
}

// real is a run of a container as it is reached for real.
func (w *worker) real(id string, c spec.Container) probe.Target {
	target := probe.Target{Address: "127.0.0.1", Ports: c.Ports, Exec: func(ctx context.Context, command []string, output io.Writer) (int, error) {
		return w.agent.runtime.Exec(ctx, id, runtime.ExecOptions{Command: command, Stdout: output, Stderr: output})
	}}
	if len(w.record.Addresses) > 0 {
		target.Address = w.record.Addresses[0]
	}
	return target
}

// quiet ends the questions to a run.
func (w *worker) quiet(id string) {
	if stop := w.probing[id]; stop != nil {
		stop()
		delete(w.probing, id)
	}
}

// heard takes what the probes found out.
func (w *worker) heard(ctx context.Context, n probeNews) {
	c := w.container(n.container)
	if c.Run != n.run || c.Phase != instance.RunRunning {
		return
	}
	switch n.change {
	case probe.NowReady:
		c.Up, c.Ready = true, true
		w.note(report.HealthyV1{Container: c.Name, Run: c.Run})
	case probe.NotReady:
		c.Up, c.Ready = true, false
		w.note(report.UnhealthyV1{Container: c.Name, Run: c.Run, Message: n.message})
	case probe.Finished:
		c.Killed = n.message
		w.log.WithField("container", c.Name).Warn("to be run again: " + n.message)
		w.end(ctx, c)
	}
}

// end stops a run whose probe failed, beside whatever else the worker does; its exit comes the way every exit comes.
func (w *worker) end(ctx context.Context, c *instance.Container) {
	id, container, grace := containerID(w.assignment.Key, c.Name, c.Run), w.specOf(c.Name), w.state.Grace
	w.agent.group.Go(func() error {
		for ctx.Err() == nil {
			err := w.halt(ctx, id, container, grace)
			if err == nil || errors.Is(err, runtime.ErrNotFound) {
				return nil
			}
			w.log.WithError(err).WithField("container", id).Warn("not stopped; trying again")
			if !sleep(ctx, time.Second) {
				return nil
			}
		}
		return nil
	})
}
