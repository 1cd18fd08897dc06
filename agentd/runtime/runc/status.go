package runc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	gorunc "github.com/containerd/go-runc"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/shim"
	"golang.org/x/sys/unix"
)

// Status implements runtime.Containers.
func (r *Runtime) Status(ctx context.Context, id string) (runtime.Status, error) {
	status, _, err := r.inspect(ctx, id)
	return status, err
}

// List implements runtime.Containers.
func (r *Runtime) List(ctx context.Context) ([]runtime.Status, error) {
	dirs, err := os.ReadDir(r.path("containers"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	all := make([]runtime.Status, 0, len(dirs))
	var unseen []error
	for _, d := range dirs {
		status, _, err := r.inspect(ctx, d.Name())
		if errors.Is(err, runtime.ErrNotFound) {
			continue
		}
		if err != nil {
			unseen = append(unseen, err) // it must not hide the others
			continue
		}
		all = append(all, status)
	}
	if len(unseen) > 0 {
		return all, fmt.Errorf("list containers: %w: %w", runtime.ErrUnseen, errors.Join(unseen...))
	}
	return all, nil
}

// configs is what was asked for of every container, whatever has become of it. It fails where it cannot say: absence is not to be
// concluded from what could not be read.
func (r *Runtime) configs(ctx context.Context) ([]runtime.ContainerConfig, error) {
	dirs, err := os.ReadDir(r.path("containers"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var all []runtime.ContainerConfig
	for _, d := range dirs {
		rec, err := r.record(d.Name())
		if errors.Is(err, errDamaged) {
			_, _, err = r.inspect(ctx, d.Name()) // which takes it away
		}
		switch {
		case errors.Is(err, runtime.ErrNotFound):
		case err != nil:
			return nil, fmt.Errorf("list containers: %w: %w", runtime.ErrUnseen, err)
		case rec != nil:
			all = append(all, rec.Config)
		}
	}
	return all, nil
}

// Wait implements runtime.Containers.
func (r *Runtime) Wait(ctx context.Context, id string) (runtime.Status, error) {
	status, err := r.wait(ctx, id)
	if err != nil {
		return status, fmt.Errorf("wait for %s: %w", id, err)
	}
	return status, nil
}

func (r *Runtime) wait(ctx context.Context, id string) (runtime.Status, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		changed := r.entry(id).next()
		status, state, err := r.inspect(ctx, id)
		if err != nil || status.State == runtime.StateExited {
			return status, err
		}
		if state.Alive {
			_, err := shim.Client{Dir: r.dir(id)}.Wait(ctx)
			if ctx.Err() != nil {
				return status, ctx.Err()
			}
			if err == nil {
				pause = time.Millisecond
				continue
			}
			if !errors.Is(err, shim.ErrGone) {
				return status, err
			}
			// It dies, or begins: a moment that no event marks.
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return status, ctx.Err()
			}
			continue
		}
		// Never started and without a shim: it ends when it was started again.
		select {
		case <-changed:
		case <-ctx.Done():
			return status, ctx.Err()
		}
	}
}

// inspect says where a container stands. One whose shim was killed is ended and recorded first: there is no half state.
func (r *Runtime) inspect(ctx context.Context, id string) (runtime.Status, shim.State, error) {
	rec, err := r.record(id)
	if errors.Is(err, errDamaged) {
		if err = r.salvage(ctx, id); err == nil {
			err = fmt.Errorf("container %s, whose record was damaged: %w", id, runtime.ErrNotFound)
		}
	}
	if err != nil {
		return runtime.Status{}, shim.State{}, err
	}
	status := runtime.Status{ID: id, Instance: rec.Config.Instance, State: runtime.StateCreated, Labels: rec.Config.Labels}
	state, err := shim.Inspect(r.dir(id))
	if err == nil && state.Phase == shim.Orphaned {
		if err = r.adopt(ctx, id); err == nil {
			state, err = shim.Inspect(r.dir(id))
		}
	}
	if err != nil {
		return status, state, fmt.Errorf("container %s: %w", id, err)
	}
	switch state.Phase {
	case shim.Running:
		status.State, status.PID, status.StartedAt = runtime.StateRunning, state.Start.PID, state.Start.At
	case shim.Ended:
		x := state.Exit
		status.State, status.StartedAt, status.ExitedAt = runtime.StateExited, x.StartedAt, x.At
		status.ExitCode, status.Signal, status.OOMKilled = x.Code, x.Signal, x.OOMKilled
	}
	return status, state, nil
}

// lostCode is the exit code of a container whose end nobody saw.
const lostCode = shim.LostCode

// adopt ends a container whose shim was killed: nobody reads its output or would learn how it ends.
func (r *Runtime) adopt(ctx context.Context, id string) error {
	return shim.Adopt(r.dir(id), func(start shim.Start) (shim.Exit, error) {
		alive, err := r.purge(ctx, id)
		if err != nil {
			return shim.Exit{}, err
		}
		exit := shim.Exit{StartedAt: start.At, At: time.Now(), Code: lostCode, Reason: "its shim was killed, or the machine was restarted"}
		if alive {
			exit.Code, exit.Signal = 128+int(unix.SIGKILL), int(unix.SIGKILL)
			exit.Reason = "its shim was killed, so it was killed as well"
		}
		r.log.WithField("container", id).WithField("exitCode", exit.Code).Warn(exit.Reason)
		return exit, nil
	})
}

// purge ends what remains of a container and takes away what the OCI runtime keeps; alive says that something still ran.
func (r *Runtime) purge(ctx context.Context, id string) (alive bool, err error) {
	cgroup := r.cgroupOf(id)
	alive = len(processes(cgroup)) > 0
	if _, err := os.Lstat(r.path("oci", id)); err == nil {
		if err := r.oci().Delete(ctx, id, &deleteForce); err != nil {
			r.log.WithField("container", id).WithError(err).Warn("the OCI runtime did not delete it")
			if err := os.RemoveAll(r.path("oci", id)); err != nil {
				return alive, err
			}
		}
	}
	// The OCI runtime knows only of what it finished to make.
	return alive, clearCgroup(ctx, cgroup)
}

var deleteForce = gorunc.DeleteOpts{Force: true}
