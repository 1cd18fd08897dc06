package runc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/shim"
	"golang.org/x/sys/unix"
)

// Start implements runtime.Containers. A container that was started before is left alone, ended or not.
func (r *Runtime) Start(ctx context.Context, id string) (runtime.Status, error) {
	e := r.entry(id)
	e.verb.Lock()
	defer e.verb.Unlock()
	status, err := r.start(ctx, id)
	if err != nil {
		return runtime.Status{}, fmt.Errorf("start %s: %w", id, err)
	}
	e.change()
	return status, nil
}

func (r *Runtime) start(ctx context.Context, id string) (runtime.Status, error) {
	const attempts = 3
	for attempt := 1; ; attempt++ {
		status, state, err := r.inspect(ctx, id)
		if err != nil || status.State != runtime.StateCreated {
			return status, err
		}
		if !state.Alive {
			// Created before the machine was restarted, or its shim was killed before anything ran: made again.
			rec, err := r.record(id)
			if err == nil {
				err = r.prepare(rec)
			}
			if err != nil {
				return status, diskFull(err)
			}
		}
		start, err := shim.Client{Dir: r.dir(id)}.StartContainer(ctx)
		switch {
		case err == nil:
			status.State, status.PID, status.StartedAt = runtime.StateRunning, start.PID, start.At
			return status, nil
		case !errors.Is(err, shim.ErrGone) || attempt == attempts:
			return status, r.naming(id, refusal(err))
		}
		// It was killed this very moment. Once it is dead, what it left says whether it had started anything.
		if err := shim.AwaitGone(ctx, r.dir(id)); err != nil {
			return status, err
		}
	}
}

// naming adds the command to an error that is about it, for not every OCI runtime does.
func (r *Runtime) naming(id string, err error) error {
	rec, recErr := r.record(id)
	if recErr != nil || !errors.Is(err, runtime.ErrBadConfig) || len(rec.Config.Spec.Command) == 0 {
		return err
	}
	if command := rec.Config.Spec.Command[0]; !strings.Contains(err.Error(), command) {
		return fmt.Errorf("command %q: %w", command, err)
	}
	return err
}

// Stop implements runtime.Containers. An empty signal is the container's own.
func (r *Runtime) Stop(ctx context.Context, id string, signal string, grace time.Duration) error {
	status, _, err := r.inspect(ctx, id)
	if errors.Is(err, runtime.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	if status.State != runtime.StateRunning {
		return nil
	}
	if err := r.stop(ctx, id, r.stopSignal(id, signal), grace); err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	return nil
}

func (r *Runtime) stop(ctx context.Context, id string, signal unix.Signal, grace time.Duration) error {
	if signal != unix.SIGKILL && grace > 0 {
		// Where no shim answers, waiting finds out what there is.
		if err := (shim.Client{Dir: r.dir(id)}).Kill(ctx, signal); err != nil && !over(err) {
			return err
		}
		patience, cancel := context.WithTimeout(ctx, grace)
		_, err := r.wait(patience, id)
		cancel()
		if err == nil || errors.Is(err, runtime.ErrNotFound) {
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	if err := (shim.Client{Dir: r.dir(id)}).Kill(ctx, unix.SIGKILL); err != nil && !over(err) {
		return err
	}
	if _, err := r.wait(ctx, id); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		return err
	}
	return nil
}

// over reports that there is nothing to signal any more.
func over(err error) bool { return errors.Is(err, shim.ErrGone) || errors.Is(err, shim.ErrNotRunning) }

// stopSignal is the signal asked for, the container's own or SIGTERM.
func (r *Runtime) stopSignal(id, asked string) unix.Signal {
	names := []string{asked}
	if rec, err := r.record(id); err == nil {
		names = append(names, rec.StopSignal)
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		s, err := parseSignal(name)
		if err == nil {
			return s
		}
		r.log.WithField("container", id).WithError(err).Warn("stopping with another signal")
	}
	return unix.SIGTERM
}

// Remove implements runtime.Containers. What still runs is killed.
func (r *Runtime) Remove(ctx context.Context, id string) error {
	if !fileName(id) {
		return nil
	}
	e := r.entry(id)
	e.verb.Lock()
	defer e.verb.Unlock()
	if err := r.dispose(ctx, id); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	e.change()
	r.mu.Lock()
	delete(r.entries, id)
	r.mu.Unlock()
	return nil
}

// dispose takes away whatever there is of a container.
func (r *Runtime) dispose(ctx context.Context, id string) error {
	dir := r.dir(id)
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	state, err := shim.Inspect(dir)
	if err != nil {
		return err
	}
	client := shim.Client{Dir: dir}
	switch state.Phase {
	case shim.Unstarted:
		if state.Alive {
			err = client.Quit(ctx)
		}
	case shim.Starting, shim.Running:
		if err = client.Kill(ctx, unix.SIGKILL); err == nil {
			_, err = client.Wait(ctx)
		}
	}
	if err != nil && !over(err) {
		return err
	}
	// The shim has its own clearing up to do; after it whatever is left goes, such as where it was killed.
	if err := shim.AwaitGone(ctx, dir); err != nil {
		return err
	}
	if _, err := r.purge(ctx, id); err != nil {
		return err
	}
	if err := r.config.Images.Unmount(r.dir(id) + "/rootfs"); err != nil {
		return err
	}
	// In one step it is no container any more; then it may take its time.
	if err := os.MkdirAll(r.path("trash"), 0o700); err != nil {
		return err
	}
	gone := r.path("trash", id)
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	if err := os.Rename(dir, gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}
