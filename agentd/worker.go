package agentd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rutter-run/rutter/agentd/instance"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/store"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/sirupsen/logrus"
)

// worker brings one instance from what it finds to what is wished, one step at a time.
type worker struct {
	agent    *Agent
	key      string
	log      *logrus.Entry
	found    []runtime.Status // what the runtime had of it when the agent started
	doubtful bool             // it may have ended before the agent's store was lost
	wake     chan struct{}
	exits    chan runtime.Status

	mu         sync.Mutex
	assignment instance.Assignment
	runs       map[string]int  // newest run by container, for those who ask from outside
	halting    map[string]bool // container ids whose pre-stop hook was begun
	giveUp     func()          // ends what takes long and is for nothing once the instance is not wished any more; nil: nothing does

	// Only the worker's own goroutine touches what follows.
	record   store.Record
	state    instance.State
	images   map[string]runtime.Image // by reference
	pending  []store.Report           // made, and not yet on disk
	watching map[string]bool          // container ids whose exit is waited for
	probing  map[string]context.CancelFunc
	news     chan probeNews // of the probes
}

func newWorker(a *Agent, assignment instance.Assignment, record store.Record, found []runtime.Status) *worker {
	w := &worker{
		agent: a, key: assignment.Key.String(), assignment: assignment, record: record, found: found,
		log:    a.log.WithField("instance", assignment.Key.String()),
		wake:   make(chan struct{}, 1),
		exits:  make(chan runtime.Status, len(assignment.Spec.Containers)+1),
		images: map[string]runtime.Image{}, watching: map[string]bool{}, runs: map[string]int{},
		probing: map[string]context.CancelFunc{}, news: make(chan probeNews), halting: map[string]bool{},
	}
	w.state = instance.State{
		Spec: assignment.Spec, Sandbox: record.Created, Ended: record.Ended,
		Containers: make([]instance.Container, len(assignment.Spec.Containers)),
	}
	for i, c := range assignment.Spec.Containers {
		w.state.Containers[i].Name = c.Name
		for _, known := range record.Containers {
			if known.Name == c.Name {
				w.state.Containers[i] = known
				w.runs[c.Name] = known.Run
			}
		}
	}
	return w
}

// nudge makes the worker look again.
func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) revoked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.assignment.Revoked != nil
}

func (w *worker) revoke(r instance.Revocation) {
	w.mu.Lock()
	w.assignment.Revoked = &r
	if w.giveUp != nil {
		w.giveUp()
	}
	w.mu.Unlock()
	w.nudge()
}

// whileWished is ctx, ended as soon as the instance is revoked, or its node cut off for longer than it may run then.
func (w *worker) whileWished(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.giveUp = cancel
	if w.assignment.Revoked != nil || w.cutOff() {
		cancel()
	}
	return ctx, cancel
}

// cutOff reports whether the instance is not to run because its node is cut off. The caller holds the lock.
func (w *worker) cutOff() bool {
	return w.agent.cutOff.Load() && w.assignment.Spec.OnPartition == spec.PartitionStop
}

// contact tells the worker that the node was cut off, or is no more.
func (w *worker) contact() {
	w.mu.Lock()
	if w.giveUp != nil && w.cutOff() {
		w.giveUp()
	}
	w.mu.Unlock()
	w.nudge()
}

// stepPatience is how long one step of the runtime may take: a plugin or a container runtime that hangs is tried again, and lets others
// have their turn meanwhile.
const stepPatience = 2 * time.Minute

// step is ctx for one step of the runtime.
func (w *worker) step(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, w.agent.patience)
}

// removeContainer removes a container with patience for one step.
func (w *worker) removeContainer(ctx context.Context, id string) error {
	ctx, done := w.step(ctx)
	defer done()
	return w.agent.runtime.Remove(ctx, id)
}

// removeSandbox removes the instance's sandbox with patience for one step.
func (w *worker) removeSandbox(ctx context.Context) error {
	ctx, done := w.step(ctx)
	defer done()
	return w.agent.runtime.RemoveSandbox(ctx, sandboxName(w.assignment.Key))
}

// wish takes the present wish into the state.
func (w *worker) wish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state.Grace = time.Duration(w.assignment.Spec.GracePeriod)
	if r := w.assignment.Revoked; r != nil {
		w.state.Revoked = true
		w.state.Grace = time.Duration(r.Grace)
	}
	// An instance that was stopped for a partition stays stopped.
	if w.cutOff() {
		w.state.CutOff = true
	}
}

// run works until nothing is left to do or ctx is done. It does nothing further while what it did is not on disk.
func (w *worker) run(ctx context.Context) error {
	if w.doubtful && w.endedBefore(ctx) {
		return w.agent.forget(w)
	}
	w.catchUp(ctx)
	var before instance.Verb
	for ctx.Err() == nil {
		w.wish()
		action := instance.Step(w.state, time.Now())
		// A sandbox goes to disk with the start that follows at once: an agent that dies between the two finds it all the same.
		if before != instance.CreateSandbox || action.Verb != instance.Start {
			if err := w.agent.untilDone(ctx, "write reports to disk", w.flush); err != nil {
				return nil
			}
		}
		if action.Verb == instance.Done {
			return w.agent.forget(w)
		}
		w.do(ctx, action)
		before = action.Verb
	}
	if err := w.flush(); err != nil {
		w.log.WithError(err).Warn("the last reports are not on disk; the next agent makes them anew")
	}
	return nil
}

// endedBefore asks the log whether the end of the instance was reported once, by an agent whose store is lost.
func (w *worker) endedBefore(ctx context.Context) bool {
	last, err := w.agent.conns.Log.LastOf(ctx, events.ReportSubject(w.agent.config.Node, w.assignment.Key))
	if err != nil {
		return false
	}
	switch last.Data.(type) {
	case report.StoppedV1, report.RejectedV1:
		return true
	}
	return false
}

// catchUp compares what was reported with what the runtime has: runs that started or ended while no agent looked.
func (w *worker) catchUp(ctx context.Context) {
	for i := range w.state.Containers {
		c := &w.state.Containers[i]
		status, run, ok := newestRun(w.found, c.Name)
		if c.Phase == instance.RunRunning && run < c.Run {
			status, ok = w.look(ctx, containerID(w.assignment.Key, c.Name, c.Run))
			run = c.Run
			if ctx.Err() != nil {
				return
			}
		}
		switch {
		case ok && run > c.Run && status.State == runtime.StateCreated:
			// Made but not started: Start finds it and starts it.
		case ok && run > c.Run:
			w.started(ctx, c, run, status)
			if status.State == runtime.StateExited {
				w.exited(status)
			}
		case c.Phase == instance.RunRunning && ok && run == c.Run && status.State == runtime.StateRunning:
			w.watch(ctx, status.ID)
			w.probe(ctx, c, status.ID)
		case c.Phase == instance.RunRunning && ok && run == c.Run && status.State == runtime.StateExited:
			w.exited(status)
		case c.Phase == instance.RunRunning:
			// It ran, and the runtime knows nothing of it: the machine was restarted. How it ended is not known.
			w.exited(runtime.Status{
				ID: containerID(w.assignment.Key, c.Name, c.Run), State: runtime.StateExited, ExitCode: unknownExit,
				StartedAt: c.StartedAt, ExitedAt: time.Now(),
			})
		}
	}
	if err := w.flush(); err != nil {
		w.log.WithError(err).Error("reports of what happened meanwhile are not on disk yet")
	}
}

// look asks for a container that was not listed until the runtime can say; ok is false where there is none.
func (w *worker) look(ctx context.Context, id string) (status runtime.Status, ok bool) {
	for pause := time.Second; ; pause = min(2*pause, 30*time.Second) {
		status, err := w.agent.runtime.Status(ctx, id)
		if err == nil || errors.Is(err, runtime.ErrNotFound) {
			return status, err == nil
		}
		w.log.WithError(err).WithField("container", id).Warn("nobody can say whether it runs; looking again")
		if !sleep(ctx, pause) {
			return status, false
		}
	}
}

// unknownExit is the exit code of a run whose end nobody saw, as Docker's for a container lost to a reboot.
const unknownExit = 255

// do carries one action out and takes what came of it into the state.
func (w *worker) do(ctx context.Context, action instance.Action) {
	switch action.Verb {
	case instance.Wait:
		w.wait(ctx, action.Until)
	case instance.Pull:
		w.pull(ctx)
	case instance.CreateSandbox:
		w.createSandbox(ctx)
	case instance.Start:
		w.start(ctx, action)
	case instance.Announce:
		c := w.container(action.Container)
		c.Announced = true
		w.note(report.RestartingV1{Container: c.Name, Run: action.Run, NotBefore: action.Until, Failures: c.Failures, Message: c.Killed})
	case instance.Stop:
		w.stop(ctx)
	case instance.Remove:
		w.remove(ctx)
	case instance.Finish:
		w.state.Ended, w.record.Ended = true, true
		if w.state.Rejected != nil {
			w.note(*w.state.Rejected)
			return
		}
		w.note(report.StoppedV1{Outcome: action.Outcome, Message: action.Message})
	}
}

// wait returns at until, after an exit, or when something else may have changed.
func (w *worker) wait(ctx context.Context, until time.Time) {
	var due <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case s := <-w.exits:
		w.exited(s)
	case n := <-w.news:
		w.heard(ctx, n)
	case <-w.wake:
	case <-due:
	case <-ctx.Done():
	}
}

func (w *worker) pull(ctx context.Context) {
	ctx, done := w.whileWished(ctx)
	defer done()
	said := false
	var images []spec.ImageRef
	for _, c := range w.assignment.Spec.Containers {
		images = append(images, c.Image)
	}
	for _, c := range w.assignment.Spec.Containers {
		image, err := w.agent.runtime.PullImage(ctx, c.Image, func(runtime.PullProgress) {
			if !said {
				said = true
				w.note(report.PullingV1{Images: images})
				if err := w.flush(); err != nil {
					w.log.WithError(err).Warn("the pull is not reported yet")
				}
			}
		})
		if err != nil {
			w.hindered(ctx, "ImagePullBackOff", fmt.Errorf("pull %s: %w", c.Image, err))
			return
		}
		w.images[c.Image.String()] = image
	}
	w.state.Pulled, w.state.Hindrances = true, 0
}

// turn waits until the instance may use the machine for a start. It is false where that is not wished any more.
func (w *worker) turn(ctx context.Context) bool {
	ctx, done := w.whileWished(ctx)
	defer done()
	return w.agent.starts.Acquire(ctx, 1) == nil
}

func (w *worker) createSandbox(ctx context.Context) {
	if !w.turn(ctx) {
		return
	}
	defer w.agent.starts.Release(1)
	once, done := w.step(ctx)
	defer done()
	sandbox, err := w.agent.runtime.CreateSandbox(once, runtime.SandboxConfig{
		Instance: sandboxName(w.assignment.Key), Hostname: w.assignment.Key.Name,
		Ports:  w.ports(),
		Labels: map[string]string{"namespace": w.assignment.Key.Namespace, "workload": w.assignment.Key.Workload},
	})
	if err != nil {
		w.hindered(ctx, "SandboxBackOff", fmt.Errorf("create the network of the instance: %w", err))
		return
	}
	w.state.Sandbox, w.record.Created, w.record.Addresses = true, true, nil
	for _, a := range sandbox.Addresses {
		w.record.Addresses = append(w.record.Addresses, a.String())
	}
	w.note(report.CreatedV1{Addresses: w.record.Addresses})
}

func (w *worker) ports() (all []spec.Port) {
	for _, c := range w.assignment.Spec.Containers {
		all = append(all, c.Ports...)
	}
	return all
}

func (w *worker) start(ctx context.Context, action instance.Action) {
	if !w.turn(ctx) {
		return
	}
	defer w.agent.starts.Release(1)
	c := w.container(action.Container)
	if c.Phase == instance.RunExited {
		if err := w.removeContainer(ctx, containerID(w.assignment.Key, c.Name, c.Run)); err != nil {
			w.hindered(ctx, "RemoveBackOff", fmt.Errorf("remove run %d of %s: %w", c.Run, c.Name, err))
			return
		}
		c.Phase = instance.RunRemoved
	}
	id := containerID(w.assignment.Key, c.Name, action.Run)
	status, err := w.launch(ctx, id, w.specOf(c.Name))
	if err != nil {
		if ctx.Err() == nil {
			// What was made of it goes, so that the next try begins afresh.
			if removeErr := w.removeContainer(ctx, id); removeErr != nil && !errors.Is(removeErr, runtime.ErrNotFound) {
				err = errors.Join(err, removeErr)
			}
		}
		w.hindered(ctx, "StartBackOff", fmt.Errorf("start %s: %w", c.Name, err))
		return
	}
	w.state.Hindrances = 0
	w.started(ctx, c, action.Run, status)
}

func (w *worker) launch(ctx context.Context, id string, container spec.Container) (runtime.Status, error) {
	key := w.assignment.Key
	once, done := w.step(ctx)
	defer done()
	err := w.agent.runtime.Create(once, runtime.ContainerConfig{
		ID: id, Instance: sandboxName(key), Spec: container, Image: w.images[container.Image.String()],
		Env: []spec.EnvVar{
			{Name: "RUTTER_NAMESPACE", Value: key.Namespace}, {Name: "RUTTER_WORKLOAD", Value: key.Workload},
			{Name: "RUTTER_INSTANCE", Value: key.Name}, {Name: "RUTTER_NODE", Value: w.agent.config.Node},
		},
		Labels: map[string]string{
			"namespace": key.Namespace, "workload": key.Workload, "instance": key.Name, "container": container.Name,
		},
	})
	if err != nil {
		return runtime.Status{}, err
	}
	again, done := w.step(ctx)
	defer done()
	return w.agent.runtime.Start(again, id)
}

func (w *worker) specOf(container string) spec.Container {
	for _, c := range w.assignment.Spec.Containers {
		if c.Name == container {
			return c
		}
	}
	return spec.Container{}
}

// hindered decides whether to try again later or to give the instance up.
func (w *worker) hindered(ctx context.Context, reason string, err error) {
	if ctx.Err() != nil {
		return
	}
	w.log.WithError(err).Warn(reason)
	for _, final := range []struct {
		is     error
		reason string
	}{
		{runtime.ErrImageNotFound, "ImageNotFound"}, {runtime.ErrBadImage, "BadImage"}, {runtime.ErrDigest, "DigestMismatch"},
		{runtime.ErrBadConfig, "BadConfig"},
	} {
		if errors.Is(err, final.is) {
			w.state.Rejected = &report.RejectedV1{Reason: final.reason, Message: err.Error()}
			return
		}
	}
	switch {
	case errors.Is(err, runtime.ErrImageMissing):
		w.state.Pulled = false
	case errors.Is(err, runtime.ErrSandboxBroken):
		w.state.Broken = true
	case errors.Is(err, runtime.ErrDiskFull):
		w.agent.collectSoon()
	}
	w.state.Hindrances++
	w.state.RetryAt = time.Now().Add(instance.Backoff(w.state.Hindrances + 1))
	if w.state.Hindrances == 1 {
		w.note(report.DelayedV1{Reason: reason, Message: err.Error()})
	}
}

// stop stops every running container side by side and notes how each ended.
func (w *worker) stop(ctx context.Context) {
	var all sync.WaitGroup
	ended := make(chan runtime.Status, len(w.state.Containers))
	for _, c := range w.state.Containers {
		if c.Phase != instance.RunRunning {
			continue
		}
		w.quiet(containerID(w.assignment.Key, c.Name, c.Run))
		all.Go(func() {
			id := containerID(w.assignment.Key, c.Name, c.Run)
			if err := w.halt(ctx, id, w.specOf(c.Name), w.state.Grace); err != nil && !errors.Is(err, runtime.ErrNotFound) {
				if ctx.Err() == nil {
					w.log.WithError(err).WithField("container", id).Warn("not stopped; trying again")
				}
				return
			}
			status, err := w.agent.runtime.Status(ctx, id)
			if errors.Is(err, runtime.ErrNotFound) {
				status, err = runtime.Status{
					ID: id, State: runtime.StateExited, ExitCode: unknownExit, StartedAt: c.StartedAt, ExitedAt: time.Now(),
				}, nil
			}
			if err == nil && status.State == runtime.StateExited {
				ended <- status
			}
		})
	}
	all.Wait()
	close(ended)
	progress := false
	for s := range ended {
		w.exited(s)
		progress = true
	}
	if !progress && ctx.Err() == nil {
		w.wait(ctx, time.Now().Add(time.Second))
	}
}

// remove takes away the containers that ended, then the sandbox.
func (w *worker) remove(ctx context.Context) {
	fail := func(what string, err error) {
		if ctx.Err() == nil {
			w.log.WithError(err).Warnf("%s not removed; trying again", what)
			w.wait(ctx, time.Now().Add(time.Second))
		}
	}
	for i := range w.state.Containers {
		c := &w.state.Containers[i]
		if c.Phase != instance.RunExited {
			continue
		}
		if err := w.removeContainer(ctx, containerID(w.assignment.Key, c.Name, c.Run)); err != nil && !errors.Is(err, runtime.ErrNotFound) {
			fail("container", err)
			return
		}
		c.Phase = instance.RunRemoved
	}
	if err := w.removeSandbox(ctx); err != nil && !errors.Is(err, runtime.ErrNotFound) {
		// Perhaps for a container that an agent made and did not live to start.
		fail("sandbox", errors.Join(err, w.removeStrays(ctx)))
		return
	}
	w.state.Sandbox, w.state.Broken, w.record.Created = false, false, false
}

// removeStrays removes the containers of the instance that it knows nothing of. None of them runs, or it would have been taken up.
func (w *worker) removeStrays(ctx context.Context) error {
	all, err := w.agent.runtime.List(ctx)
	for _, s := range all {
		if s.Instance == sandboxName(w.assignment.Key) && s.State != runtime.StateRunning {
			err = errors.Join(err, w.removeContainer(ctx, s.ID))
		}
	}
	return err
}

// newestRun is the newest run of a container, 0 where there is none yet.
func (w *worker) newestRun(container string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runs[container]
}

func (w *worker) container(name string) *instance.Container {
	for i := range w.state.Containers {
		if w.state.Containers[i].Name == name {
			return &w.state.Containers[i]
		}
	}
	return &instance.Container{Name: name}
}
