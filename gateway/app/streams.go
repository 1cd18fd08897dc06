package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/internal/rpc"
	"github.com/rutter-run/rutter/projections"
)

// Logs calls emit for each line of a container's log, from the node where the instance is or was.
func (a *App) Logs(ctx context.Context, namespace, instance string, request rpc.LogsRequest, emit func(rpc.LogLine) error) error {
	i, err := a.streamed(namespace, instance, &request.Container)
	if err != nil {
		return err
	}
	request.Instance = i.Key
	if err := a.Agents.Logs(ctx, i.Node, request, emit); err != nil {
		return fmt.Errorf("logs of %s: %w", i.Key, err)
	}
	return nil
}

// Exec runs a process in a container and returns its exit code.
func (a *App) Exec(ctx context.Context, namespace, instance string, request rpc.ExecRequest, streams rpc.ExecStreams) (int, error) {
	i, err := a.CheckExec(namespace, instance, &request)
	if err != nil {
		return 0, err
	}
	code, err := a.Agents.Exec(ctx, i.Node, request, streams)
	if err != nil {
		return 0, fmt.Errorf("exec in %s: %w", i.Key, err)
	}
	return code, nil
}

// CheckExec reports whether an exec can be tried, before any stream is opened for it, and completes the request.
func (a *App) CheckExec(namespace, instance string, request *rpc.ExecRequest) (*projections.Instance, error) {
	if len(request.Command) == 0 || request.Command[0] == "" {
		return nil, spec.Errors{{Field: "command", Want: "a program to run, and its arguments"}}
	}
	i, err := a.streamed(namespace, instance, &request.Container)
	if err != nil {
		return nil, err
	}
	request.Instance = i.Key
	for _, c := range i.Containers {
		if c.Name == request.Container && !c.Running {
			return nil, refuse(events.ErrConflict, "container %s of %s does not run now (%s: %s)", c.Name, i.Key, i.Phase, i.Reason)
		}
	}
	return i, nil
}

// Stats is what the containers of an instance use now.
func (a *App) Stats(ctx context.Context, namespace, instance string) (api.Stats, error) {
	i, err := a.placed(namespace, instance)
	if err != nil {
		return api.Stats{}, err
	}
	all, err := a.Agents.Stats(ctx, i.Node, rpc.StatsRequest{Instance: i.Key})
	if err != nil {
		return api.Stats{}, fmt.Errorf("stats of %s: %w", i.Key, err)
	}
	stats := api.Stats{Containers: []api.ContainerStats{}}
	for _, c := range all {
		stats.Containers = append(stats.Containers, api.ContainerStats{Name: c.Name, CPU: spec.Duration(c.CPU), Memory: c.Memory, PIDs: c.PIDs})
	}
	return stats, nil
}

// streamed finds a placed instance and the container that is meant, which may be left out where there is only one.
func (a *App) streamed(namespace, name string, container *string) (*projections.Instance, error) {
	i, err := a.placed(namespace, name)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range i.Containers {
		names = append(names, c.Name)
		if c.Name == *container {
			return i, nil
		}
	}
	if *container == "" && len(names) == 1 {
		*container = names[0]
		return i, nil
	}
	return nil, spec.Errors{{Field: "container", Value: *container, Want: "one of " + strings.Join(names, ", ")}}
}

func (a *App) placed(namespace, name string) (*projections.Instance, error) {
	i, err := a.Now().instance(namespace, name)
	if err != nil {
		return nil, err
	}
	if !i.Placed() {
		return nil, refuse(events.ErrConflict, "instance %s has no node yet (%s: %s)", i.Key, i.Phase, i.Reason)
	}
	return i, nil
}
