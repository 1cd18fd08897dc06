package agentd

import (
	"context"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/internal/rpc"
)

// Handlers serves the bytes of this node's containers to the gateway.
func (a *Agent) Handlers() rpc.Handlers {
	return rpc.Handlers{Logs: a.logs, Exec: a.exec, Stats: a.stats}
}

// newest is the id of the newest run of a container, or of the one before. An empty name is the only container of the instance.
func (a *Agent) newest(ctx context.Context, k events.InstanceKey, container string, previous bool) (string, error) {
	a.mu.Lock()
	w, ok := a.workers[k.String()]
	a.mu.Unlock()
	if !ok {
		return "", fmt.Errorf("instance %s is not on node %s: %w", k, a.config.Node, events.ErrNotFound)
	}
	containers := w.assignment.Spec.Containers
	if container == "" && len(containers) > 1 {
		return "", fmt.Errorf("instance %s has %d containers: say which: %w", k, len(containers), events.ErrInvalid)
	}
	for _, c := range containers {
		if container != "" && c.Name != container {
			continue
		}
		run := w.newestRun(c.Name)
		if previous {
			run--
		}
		if run < 1 {
			return "", fmt.Errorf("container %s of %s has no such run yet: %w", c.Name, k, events.ErrNotFound)
		}
		return containerID(k, c.Name, run), nil
	}
	return "", fmt.Errorf("instance %s has no container %q: %w", k, container, events.ErrNotFound)
}

func (a *Agent) logs(ctx context.Context, request rpc.LogsRequest, emit func(rpc.LogLine) error) error {
	id, err := a.newest(ctx, request.Instance, request.Container, request.Previous)
	if err != nil {
		return err
	}
	options := runtime.LogOptions{Follow: request.Follow, Tail: request.Tail, Since: request.Since}
	return a.runtime.Logs(ctx, id, options, func(l runtime.LogLine) error {
		return emit(rpc.LogLine{Time: l.Time, Stream: l.Stream, Partial: l.Partial, Text: l.Text})
	})
}

func (a *Agent) exec(ctx context.Context, request rpc.ExecRequest, streams rpc.ExecStreams) (int, error) {
	id, err := a.newest(ctx, request.Instance, request.Container, false)
	if err != nil {
		return 0, err
	}
	options := runtime.ExecOptions{
		Command: request.Command, Env: request.Env, TTY: request.TTY, Stdin: streams.Stdin, Stdout: streams.Stdout, Stderr: streams.Stderr,
	}
	if streams.Resize != nil {
		sizes := make(chan runtime.TerminalSize)
		options.Resize = sizes
		go func() {
			defer close(sizes)
			for {
				select {
				case s, ok := <-streams.Resize:
					if !ok {
						return
					}
					select {
					case sizes <- runtime.TerminalSize{Width: s.Width, Height: s.Height}:
					case <-ctx.Done():
						return
					}
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	return a.runtime.Exec(ctx, id, options)
}

// statsPatience is how long measuring one container may take.
const statsPatience = 5 * time.Second

func (a *Agent) stats(ctx context.Context, request rpc.StatsRequest) ([]rpc.ContainerStats, error) {
	a.mu.Lock()
	w, ok := a.workers[request.Instance.String()]
	a.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("instance %s is not on node %s: %w", request.Instance, a.config.Node, events.ErrNotFound)
	}
	ctx, cancel := context.WithTimeout(ctx, statsPatience)
	defer cancel()
	var all []rpc.ContainerStats
	for _, c := range w.assignment.Spec.Containers {
		run := w.newestRun(c.Name)
		if run < 1 {
			continue
		}
		s, err := a.runtime.Stats(ctx, containerID(request.Instance, c.Name, run))
		if err != nil {
			continue // it ends just now
		}
		all = append(all, rpc.ContainerStats{Name: c.Name, CPU: s.CPU, Memory: s.Memory, PIDs: s.PIDs})
	}
	return all, nil
}
