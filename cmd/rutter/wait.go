package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

// defaultTimeout is how long a command waits for the cluster.
const defaultTimeout = 5 * time.Minute

// awaitReady returns once the workload of a result is ready, and tells how far it is until then.
func (c *cli) awaitReady(ctx context.Context, gateway *client.Client, result api.Result, timeout time.Duration) error {
	w := result.Workload
	if w == nil {
		return nil
	}
	show := c.newProgress()
	defer show.end()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	name, revision := w.Metadata.Name, w.Status.Revision
	status := w.Status
	check := func(ctx context.Context, sequence uint64) (bool, error) {
		now, err := gateway.Workload(ctx, w.Metadata.Namespace, name, max(sequence, result.Operation.Sequence))
		if err != nil {
			return false, err
		}
		status = now.Status
		if r := status.Rollout; r != nil && r.From == revision && r.Revision == status.Revision && status.Revision < revision {
			return false, fmt.Errorf("workload %s was rolled back to revision %d (by %s): `rutter why workload/%s%s` tells what was in the way",
				name, status.Revision, status.Changed.Actor, name, inNamespace(w.Metadata.Namespace))
		}
		if status.Revision != revision {
			return false, fmt.Errorf("workload %s has moved on to revision %d (by %s) while this waited for revision %d", name, status.Revision, status.Changed.Actor, revision)
		}
		if status.State == api.WorkloadDeleting {
			return false, fmt.Errorf("workload %s is being deleted (by %s)", name, status.Changed.Actor)
		}
		show.tell(readyLine(name, status))
		switch status.State {
		case api.WorkloadCompleted:
			return true, nil
		case api.WorkloadFailed:
			return false, fmt.Errorf("job %s has %s; see `rutter get instances%s`", name, status.Message, inNamespace(w.Metadata.Namespace))
		}
		if r := status.Rollout; r != nil && r.Revision == revision && (r.State == api.RolloutWaiting || r.State == api.RolloutPaused) {
			return true, nil // it is somebody's turn to say how it goes on
		}
		return status.State == api.WorkloadReady, nil
	}
	err := gateway.Await(ctx, client.Filter{Namespace: w.Metadata.Namespace, Workload: name}, check)
	show.end()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("workload %s is not ready after %s: %s\nit goes on trying; see `rutter describe workload/%s%s`",
			name, timeout, readyLine(name, status), name, inNamespace(w.Metadata.Namespace))
	}
	if err == nil && status.State == api.WorkloadCompleted {
		fmt.Fprintf(c.out, "workload/%s %s\n", name, status.Message)
		return nil
	}
	if r := status.Rollout; err == nil && status.State != api.WorkloadReady && r != nil && r.State == api.RolloutWaiting {
		fmt.Fprintf(c.out, "workload/%s: the canary of revision %d is ready: %d of %d instances; `rutter rollout promote` or `abort` workload/%s%s\n",
			name, revision, status.Ready, status.Wished, name, inNamespace(w.Metadata.Namespace))
		return nil
	} else if err == nil && status.State != api.WorkloadReady && r != nil && r.State == api.RolloutPaused {
		return fmt.Errorf("the roll-out of workload %s is paused: %s", name, r.Message)
	}
	if err == nil {
		fmt.Fprintf(c.out, "workload/%s is ready: %d of %d instances\n", name, status.Ready, status.Wished)
	}
	return err
}

func readyLine(name string, s api.WorkloadStatus) string {
	if s.State == api.WorkloadCompleted || s.State == api.WorkloadFailed || s.Succeeded > 0 {
		return name + ": " + s.Message
	}
	line := fmt.Sprintf("%s: %d of %d ready", name, s.Ready, s.Wished)
	if s.Message != "" {
		line += ", " + s.Message
	}
	return line
}

func inNamespace(namespace string) string {
	if namespace == "" || namespace == "default" {
		return ""
	}
	return " -n " + namespace
}

// awaitGone returns once the workload is deleted.
func (c *cli) awaitGone(ctx context.Context, gateway *client.Client, namespace, name string, sequence uint64, timeout time.Duration) error {
	show := c.newProgress()
	defer show.end()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	line := ""
	check := func(ctx context.Context, newest uint64) (bool, error) {
		now, err := gateway.Workload(ctx, namespace, name, max(newest, sequence))
		switch {
		case client.IsNotFound(err):
			return true, nil
		case err != nil:
			return false, err
		case now.Status.State != api.WorkloadDeleting:
			return true, nil // deleted and applied again in between
		}
		line = name + ": " + now.Status.Message
		show.tell(line)
		return false, nil
	}
	err := gateway.Await(ctx, client.Filter{Namespace: namespace, Workload: name}, check)
	show.end()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("workload %s is not gone after %s: %s\nit goes on trying; see `rutter get instances%s`", name, timeout, line, inNamespace(namespace))
	}
	return err
}
