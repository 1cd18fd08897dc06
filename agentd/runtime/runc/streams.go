package runc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/shim"
	"github.com/rutter-run/rutter/agentd/shim/logfile"
)

// logPath is where the log of a container run is: by the instance, so that it goes with the sandbox.
func (r *Runtime) logPath(instance, id string) string {
	return r.path("logs", instance, strings.TrimPrefix(id, instance+".")+".log")
}

// findLog finds the log of a container that may have been removed: one of the prefixes of its id is its instance.
func (r *Runtime) findLog(id string) (path string, ok bool) {
	if !fileName(id) {
		return "", false
	}
	if rec, err := r.record(id); err == nil {
		return r.logPath(rec.Config.Instance, id), true
	}
	for i, c := range id {
		if c != '.' || i == 0 {
			continue
		}
		path := r.logPath(id[:i], id)
		if _, err := os.Stat(path); err == nil {
			return path, true
		}
	}
	return "", false
}

// Logs implements runtime.Streams.
func (r *Runtime) Logs(ctx context.Context, id string, options runtime.LogOptions, emit func(runtime.LogLine) error) error {
	path, ok := r.findLog(id)
	if !ok {
		return fmt.Errorf("logs of %s: %w", id, runtime.ErrNotFound)
	}
	read := logfile.Options{Tail: options.Tail, Since: options.Since}
	if options.Follow {
		ended := make(chan struct{})
		read.Ended = ended
		waiting, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			// Whatever ends the wait, a failure too, nothing more is to be waited for; removed is ended.
			if _, err := r.wait(waiting, id); err != nil && !errors.Is(err, runtime.ErrNotFound) && waiting.Err() == nil {
				r.log.WithField("container", id).WithError(err).Warn("following its log ends early")
			}
			close(ended)
		}()
	}
	err := logfile.Read(ctx, path, read, func(l logfile.Line) error {
		return emit(runtime.LogLine{Time: l.Time, Stream: l.Stream, Partial: l.Partial, Text: l.Text})
	})
	if err != nil {
		return fmt.Errorf("logs of %s: %w", id, err)
	}
	return nil
}

// Exec implements runtime.Streams. The process is the container's own but for its command: user, directory and capabilities.
func (r *Runtime) Exec(ctx context.Context, id string, options runtime.ExecOptions) (int, error) {
	code, err := r.exec(ctx, id, options)
	if err != nil {
		return 0, fmt.Errorf("exec in %s: %w", id, err)
	}
	return code, nil
}

func (r *Runtime) exec(ctx context.Context, id string, options runtime.ExecOptions) (int, error) {
	if len(options.Command) == 0 {
		return 0, fmt.Errorf("%w: no command", runtime.ErrBadConfig)
	}
	status, _, err := r.inspect(ctx, id)
	if err != nil {
		return 0, err
	}
	if status.State != runtime.StateRunning {
		return 0, runtime.ErrNotRunning
	}
	var bundle struct{ Process *specs.Process }
	if ok, err := shim.ReadRecord(r.dir(id)+"/config.json", &bundle); err != nil || !ok || bundle.Process == nil {
		return 0, cmp.Or(err, runtime.ErrNotFound)
	}
	process := bundle.Process
	process.Args, process.Terminal = options.Command, options.TTY
	env := process.Env
	if options.TTY {
		env = append(env, "TERM=xterm")
	}
	for _, e := range options.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	process.Env = merge(env)
	streams := shim.Streams{Stdin: options.Stdin, Stdout: options.Stdout, Stderr: options.Stderr}
	if options.Resize != nil {
		sizes := make(chan [2]uint16)
		streams.Resize = sizes
		over, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			for {
				select {
				case s, ok := <-options.Resize:
					if !ok {
						return
					}
					select {
					case sizes <- [2]uint16{s.Width, s.Height}:
					case <-over.Done():
						return
					}
				case <-over.Done():
					return
				}
			}
		}()
	}
	exit, err := shim.Client{Dir: r.dir(id)}.Exec(ctx, process, streams)
	if over(err) {
		return 0, runtime.ErrNotRunning
	}
	if err != nil {
		return 0, refusal(err)
	}
	return exit.Code, nil
}
