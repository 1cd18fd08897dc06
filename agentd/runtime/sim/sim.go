// Package sim is a runtime without containers: it keeps book of what would run. It serves to try Rutter without root, to run thousands of agents in
// one process, and to make things go wrong on command.
//
// A container's environment scripts it: SIM_START_DELAY (duration) before it runs, SIM_EXIT_AFTER (duration) and SIM_EXIT_CODE,
// SIM_OOM=1 to end out of memory, SIM_STOP_DELAY (duration) before it heeds the stop signal. An image whose repository ends in
// /missing is unknown to its registry, one that ends in /unreachable has none, and the one of /stalled never answers.
//
// Timers are the standard library's, so all of it runs in virtual time under testing/synctest; a container that only runs costs no goroutine.
package sim

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	rt "github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

// Config describes the machine to play.
type Config struct {
	Capacity spec.Resources // 4 cores, 8 GiB of memory and 100 GiB of disk where zero
	Subnet   netip.Prefix   // of the instances; 10.87.0.0/16 where zero
}

// Runtime is a simulated machine. What runs on it ends with it.
type Runtime struct {
	config Config

	mu         sync.Mutex
	next       netip.Addr
	images     map[string]rt.Image
	sandboxes  map[string]rt.Sandbox
	containers map[string]*container
	pid        int
}

type container struct {
	config rt.ContainerConfig
	status rt.Status
	ended  chan struct{} // closed at its end
	exit   *time.Timer
	log    []rt.LogLine
	more   chan struct{} // closed when there is more of the log
}

var _ rt.Runtime = (*Runtime)(nil)

// New makes a machine with nothing on it.
func New(config Config) *Runtime {
	if config.Capacity.CPU == 0 && config.Capacity.Memory == 0 {
		config.Capacity = spec.Resources{CPU: 4000, Memory: 8 << 30, Disk: 100 << 30}
	}
	if !config.Subnet.IsValid() {
		config.Subnet = netip.MustParsePrefix("10.87.0.0/16")
	}
	return &Runtime{
		config: config, next: config.Subnet.Addr(), images: map[string]rt.Image{}, sandboxes: map[string]rt.Sandbox{},
		containers: map[string]*container{}, pid: 1,
	}
}

// Init implements runtime.Runtime.
func (r *Runtime) Init(context.Context) error { return nil }

// Close implements runtime.Runtime.
func (r *Runtime) Close() error { return nil }

// Info implements runtime.Runtime.
func (r *Runtime) Info(context.Context) (rt.Info, error) {
	return rt.Info{Capacity: r.config.Capacity, Architecture: runtime.GOARCH, OS: "linux", Kernel: "simulated", Runtime: "sim"}, nil
}

// PullImage implements runtime.Images.
func (r *Runtime) PullImage(ctx context.Context, ref spec.ImageRef, progress func(rt.PullProgress)) (rt.Image, error) {
	switch path.Base(ref.Repository) {
	case "missing":
		return rt.Image{}, fmt.Errorf("pull %s: %w", ref, rt.ErrImageNotFound)
	case "unreachable":
		return rt.Image{}, fmt.Errorf("pull %s: %w", ref, rt.ErrRegistry)
	case "stalled": // its registry never answers
		if progress != nil {
			progress(rt.PullProgress{})
		}
		<-ctx.Done()
		return rt.Image{}, fmt.Errorf("pull %s: %w", ref, ctx.Err())
	}
	r.mu.Lock()
	image, ok := r.images[ref.String()]
	if !ok {
		image = rt.Image{Ref: ref, Digest: cmp.Or(ref.Digest, "sha256:"+strings.Repeat("0", 64)), Size: 1 << 20}
		r.images[ref.String()] = image
	}
	r.mu.Unlock()
	if !ok && progress != nil {
		progress(rt.PullProgress{Layers: 1, LayersDone: 1, Bytes: image.Size, BytesDone: image.Size})
	}
	return image, nil
}

// ListImages implements runtime.Images.
func (r *Runtime) ListImages(context.Context) ([]rt.Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]rt.Image, 0, len(r.images))
	for _, image := range r.images {
		all = append(all, image)
	}
	slices.SortFunc(all, func(a, b rt.Image) int { return strings.Compare(a.Ref.String(), b.Ref.String()) })
	return all, nil
}

// CollectImages implements runtime.Images: images that are only names fill no disk.
func (r *Runtime) CollectImages(context.Context, []spec.ImageRef) ([]rt.Image, error) {
	return nil, nil
}

// CreateSandbox implements runtime.Sandboxes.
func (r *Runtime) CreateSandbox(_ context.Context, config rt.SandboxConfig) (rt.Sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.sandboxes[config.Instance]; ok {
		return s, nil
	}
	r.next = r.next.Next()
	s := rt.Sandbox{Instance: config.Instance, Addresses: []netip.Addr{r.next}, Labels: config.Labels}
	r.sandboxes[config.Instance] = s
	return s, nil
}

// RemoveSandbox implements runtime.Sandboxes.
func (r *Runtime) RemoveSandbox(_ context.Context, instance string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sandboxes, instance)
	return nil
}

// ListSandboxes implements runtime.Sandboxes.
func (r *Runtime) ListSandboxes(context.Context) ([]rt.Sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]rt.Sandbox, 0, len(r.sandboxes))
	for _, s := range r.sandboxes {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b rt.Sandbox) int { return strings.Compare(a.Instance, b.Instance) })
	return all, nil
}

// Create implements runtime.Containers.
func (r *Runtime) Create(_ context.Context, config rt.ContainerConfig) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.sandboxes[config.Instance]; !ok {
		return fmt.Errorf("create %s: sandbox %s: %w", config.ID, config.Instance, rt.ErrNotFound)
	}
	if _, ok := r.containers[config.ID]; ok {
		return nil
	}
	if len(config.Spec.Command) > 0 && strings.HasPrefix(config.Spec.Command[0], "/nonexistent") {
		return fmt.Errorf("create %s: %w: %s: no such file or directory", config.ID, rt.ErrBadConfig, config.Spec.Command[0])
	}
	r.containers[config.ID] = &container{
		config: config, ended: make(chan struct{}), more: make(chan struct{}),
		status: rt.Status{ID: config.ID, Instance: config.Instance, State: rt.StateCreated, Labels: config.Labels},
	}
	return nil
}

// Start implements runtime.Containers.
func (r *Runtime) Start(ctx context.Context, id string) (rt.Status, error) {
	r.mu.Lock()
	c, ok := r.containers[id]
	if !ok {
		r.mu.Unlock()
		return rt.Status{}, fmt.Errorf("start %s: %w", id, rt.ErrNotFound)
	}
	created := c.status.State == rt.StateCreated
	r.mu.Unlock()
	if delay := c.duration("SIM_START_DELAY"); created && delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return rt.Status{}, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.status.State != rt.StateCreated {
		return c.status, nil
	}
	r.pid++
	c.status.State, c.status.PID, c.status.StartedAt = rt.StateRunning, r.pid, time.Now()
	c.write("started")
	if c.env("SIM_OOM") == "1" {
		r.endLater(c, c.duration("SIM_EXIT_AFTER"), 137, 9, true)
	} else if c.env("SIM_EXIT_AFTER") != "" {
		code, _ := strconv.Atoi(c.env("SIM_EXIT_CODE")) // none is 0
		r.endLater(c, c.duration("SIM_EXIT_AFTER"), code, 0, false)
	}
	return c.status, nil
}

func (r *Runtime) endLater(c *container, after time.Duration, code, signal int, oom bool) {
	c.exit = time.AfterFunc(after, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		c.end(code, signal, oom)
	})
}

// end notes the end of a container. The caller holds the lock.
func (c *container) end(code, signal int, oom bool) {
	if c.status.State != rt.StateRunning {
		return
	}
	if c.exit != nil {
		c.exit.Stop()
	}
	c.status.State, c.status.PID, c.status.ExitedAt = rt.StateExited, 0, time.Now()
	c.status.ExitCode, c.status.Signal, c.status.OOMKilled = code, signal, oom
	c.write("ended")
	close(c.ended)
}

// Stop implements runtime.Containers. A container heeds the signal at once, or after SIM_STOP_DELAY.
func (r *Runtime) Stop(ctx context.Context, id, _ string, grace time.Duration) error {
	r.mu.Lock()
	c, ok := r.containers[id]
	if !ok || c.status.State != rt.StateRunning {
		r.mu.Unlock()
		return nil
	}
	delay, code, signal := c.duration("SIM_STOP_DELAY"), 143, 15
	if delay > grace {
		delay, code, signal = grace, 137, 9
	}
	if delay == 0 {
		c.end(code, signal, false)
		r.mu.Unlock()
		return nil
	}
	r.mu.Unlock()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c.end(code, signal, false)
	return nil
}

// Kill ends a container as a signal from outside does; a test's way to make one crash.
func (r *Runtime) Kill(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.containers[id]; ok {
		c.end(137, 9, false)
	}
}

// Remove implements runtime.Containers.
func (r *Runtime) Remove(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.containers[id]; ok {
		c.end(137, 9, false)
		delete(r.containers, id)
	}
	return nil
}

// Status implements runtime.Containers.
func (r *Runtime) Status(_ context.Context, id string) (rt.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	if !ok {
		return rt.Status{}, fmt.Errorf("status of %s: %w", id, rt.ErrNotFound)
	}
	return c.status, nil
}

// List implements runtime.Containers.
func (r *Runtime) List(context.Context) ([]rt.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]rt.Status, 0, len(r.containers))
	for _, c := range r.containers {
		all = append(all, c.status)
	}
	slices.SortFunc(all, func(a, b rt.Status) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// Wait implements runtime.Containers.
func (r *Runtime) Wait(ctx context.Context, id string) (rt.Status, error) {
	r.mu.Lock()
	c, ok := r.containers[id]
	r.mu.Unlock()
	if !ok {
		return rt.Status{}, fmt.Errorf("wait for %s: %w", id, rt.ErrNotFound)
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
		return rt.Status{}, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.status, nil
}

// Stats implements runtime.Containers.
func (r *Runtime) Stats(_ context.Context, id string) (rt.Stats, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	switch {
	case !ok:
		return rt.Stats{}, fmt.Errorf("stats of %s: %w", id, rt.ErrNotFound)
	case c.status.State != rt.StateRunning:
		return rt.Stats{}, fmt.Errorf("stats of %s: %w", id, rt.ErrNotRunning)
	}
	return rt.Stats{CPU: time.Since(c.status.StartedAt) / 100, Memory: 1 << 20, PIDs: 1}, nil
}

// Logs implements runtime.Streams: a line at the start and one at the end.
func (r *Runtime) Logs(ctx context.Context, id string, options rt.LogOptions, emit func(rt.LogLine) error) error {
	for at := 0; ; {
		r.mu.Lock()
		c, ok := r.containers[id]
		if !ok {
			r.mu.Unlock()
			return fmt.Errorf("logs of %s: %w", id, rt.ErrNotFound)
		}
		if at == 0 && options.Tail >= 0 {
			at = max(0, len(c.log)-options.Tail)
		}
		lines, more, over := slices.Clone(c.log[at:]), c.more, c.status.State == rt.StateExited
		at = len(c.log)
		r.mu.Unlock()
		for _, line := range lines {
			if line.Time.Before(options.Since) {
				continue
			}
			if err := emit(line); err != nil {
				return err
			}
		}
		if !options.Follow || over {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// Exec implements runtime.Streams: it says what it would run.
func (r *Runtime) Exec(ctx context.Context, id string, options rt.ExecOptions) (int, error) {
	s, err := r.Status(ctx, id)
	if err != nil {
		return 0, err
	}
	if s.State != rt.StateRunning {
		return 0, fmt.Errorf("exec in %s: %w", id, rt.ErrNotRunning)
	}
	if options.Stdout != nil {
		var line bytes.Buffer
		fmt.Fprintf(&line, "sim: %s\n", strings.Join(options.Command, " "))
		if _, err := options.Stdout.Write(line.Bytes()); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// write adds a line to the log. The caller holds the lock.
func (c *container) write(what string) {
	c.log = append(c.log, rt.LogLine{Time: time.Now(), Stream: "stdout", Text: []byte("sim: " + c.config.ID + " " + what)})
	close(c.more)
	c.more = make(chan struct{})
}

func (c *container) env(name string) string {
	for _, e := range slices.Concat(c.config.Env, c.config.Spec.Env) {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// duration reads a variable; what is no duration is none.
func (c *container) duration(name string) time.Duration {
	d, _ := time.ParseDuration(c.env(name))
	return d
}
