package runtimetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

func testInfo(h *harness) {
	h.must(h.rt.Init(h.ctx)) // once more
	info, err := h.rt.Info(h.ctx)
	h.must(err)
	if info.Capacity.CPU < 1 || info.Capacity.Memory < 1 || info.Capacity.Disk < 1 || info.Architecture == "" || info.OS == "" || info.Kernel == "" || info.Runtime == "" {
		h.Fatalf("incomplete: %+v", info)
	}
}

func testImages(h *harness) {
	all, err := h.rt.ListImages(h.ctx)
	h.must(err)
	if !slices.ContainsFunc(all, func(i runtime.Image) bool { return i.Digest == h.image.Digest }) {
		h.Fatalf("the pulled image is not among %v", all)
	}
	if h.image.Digest == "" || h.image.Size == 0 {
		h.Fatalf("image without digest or size: %+v", h.image)
	}
}

func testSandboxes(h *harness) {
	if len(h.sandbox.Addresses) == 0 {
		h.Fatal("a sandbox without an address")
	}
	again, err := h.rt.CreateSandbox(h.ctx, runtime.SandboxConfig{Instance: h.instance})
	h.must(err)
	if !slices.Equal(again.Addresses, h.sandbox.Addresses) {
		h.Fatalf("made twice it has %v instead of %v", again.Addresses, h.sandbox.Addresses)
	}
	all, err := h.rt.ListSandboxes(h.ctx)
	h.must(err)
	at := slices.IndexFunc(all, func(s runtime.Sandbox) bool { return s.Instance == h.instance })
	if at < 0 || !maps.Equal(all[at].Labels, h.sandbox.Labels) {
		h.Fatalf("%+v is not among %+v", h.sandbox, all)
	}
	h.must(h.rt.RemoveSandbox(h.ctx, h.instance))
	h.must(h.rt.RemoveSandbox(h.ctx, h.instance))
	all, err = h.rt.ListSandboxes(h.ctx)
	h.must(err)
	if slices.ContainsFunc(all, func(s runtime.Sandbox) bool { return s.Instance == h.instance }) {
		h.Fatal("a removed sandbox is listed")
	}
	h.mustBe(h.rt.Create(h.ctx, h.config(runs)), runtime.ErrNotFound)
}

func testLifecycle(h *harness) {
	config := h.config(runs)
	h.must(h.rt.Create(h.ctx, config))
	s, err := h.rt.Status(h.ctx, config.ID)
	h.must(err)
	if s.State != runtime.StateCreated || s.PID != 0 || s.Instance != h.instance || s.Labels["of"] != "test" {
		h.Fatalf("created it is %+v", s)
	}
	s, err = h.rt.Start(h.ctx, config.ID)
	h.must(err)
	if s.State != runtime.StateRunning || s.PID <= 0 || s.StartedAt.IsZero() {
		h.Fatalf("started it is %+v", s)
	}
	if l := h.one(config.ID); l.State != runtime.StateRunning || l.PID != s.PID || !l.StartedAt.Equal(s.StartedAt) {
		h.Fatalf("%+v is listed as %+v", s, l)
	}
	h.minds(config.ID)
	h.must(h.rt.Stop(h.ctx, config.ID, "SIGTERM", patience))
	ended := h.wait(config.ID)
	if !ended.StartedAt.Equal(s.StartedAt) || ended.OOMKilled {
		h.Fatalf("stopped it is %+v", ended)
	}
	h.must(h.rt.Remove(h.ctx, config.ID))
	_, err = h.rt.Status(h.ctx, config.ID)
	h.mustBe(err, runtime.ErrNotFound)
}

func testRepeating(h *harness) {
	config := h.config(runs)
	h.must(h.rt.Create(h.ctx, config))
	h.must(h.rt.Create(h.ctx, config))
	first, err := h.rt.Start(h.ctx, config.ID)
	h.must(err)
	second, err := h.rt.Start(h.ctx, config.ID)
	h.must(err)
	if second.PID != first.PID || !second.StartedAt.Equal(first.StartedAt) {
		h.Fatalf("started twice: %+v, then %+v", first, second)
	}
	h.must(h.rt.Create(h.ctx, config))
	h.minds(config.ID)
	h.must(h.rt.Stop(h.ctx, config.ID, "SIGTERM", patience))
	h.must(h.rt.Stop(h.ctx, config.ID, "SIGTERM", patience))
	ended := h.wait(config.ID)
	// A run that ended never runs again.
	h.must(h.rt.Create(h.ctx, config))
	again, err := h.rt.Start(h.ctx, config.ID)
	h.must(err)
	if again.State != runtime.StateExited || !again.ExitedAt.Equal(ended.ExitedAt) {
		h.Fatalf("started after its end it is %+v", again)
	}
	h.must(h.rt.Remove(h.ctx, config.ID))
	h.must(h.rt.Remove(h.ctx, config.ID))
	h.must(h.rt.Stop(h.ctx, config.ID, "SIGTERM", patience))
}

func testUnknown(h *harness) {
	const id = "default.nobody.main.1"
	_, err := h.rt.Status(h.ctx, id)
	h.mustBe(err, runtime.ErrNotFound)
	_, err = h.rt.Start(h.ctx, id)
	h.mustBe(err, runtime.ErrNotFound)
	_, err = h.rt.Wait(h.ctx, id)
	h.mustBe(err, runtime.ErrNotFound)
	_, err = h.rt.Stats(h.ctx, id)
	h.mustBe(err, runtime.ErrNotFound)
	_, err = h.rt.Exec(h.ctx, id, runtime.ExecOptions{Command: []string{"true"}})
	h.mustBe(err, runtime.ErrNotFound)
	h.mustBe(h.rt.Logs(h.ctx, id, everything, func(runtime.LogLine) error { return nil }), runtime.ErrNotFound)
	h.must(h.rt.Stop(h.ctx, id, "SIGTERM", time.Second))
	h.must(h.rt.Remove(h.ctx, id))
	h.must(h.rt.RemoveSandbox(h.ctx, "default.nobody"))
}

// testBadCommand lets the runtime find out at either step.
func testBadCommand(h *harness) {
	config := h.config(program{spec: spec.Container{Command: []string{"/nonexistent/program"}}})
	err := h.rt.Create(h.ctx, config)
	if err == nil {
		_, err = h.rt.Start(h.ctx, config.ID)
	}
	h.mustBe(err, runtime.ErrBadConfig)
	h.must(h.rt.Remove(h.ctx, config.ID))
}

func testExitCodes(h *harness) {
	for _, code := range []int{0, 1, 42, 255} {
		s := h.wait(h.start(exits(code, 10*time.Millisecond)))
		if s.ExitCode != code || s.Signal != 0 || s.OOMKilled {
			h.Errorf("exit %d is recorded as %+v", code, s)
		}
	}
}

func testWaiting(h *harness) {
	config := h.config(runs)
	h.must(h.rt.Create(h.ctx, config))
	brief, cancel := context.WithTimeout(h.ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := h.rt.Wait(brief, config.ID); !errors.Is(err, context.DeadlineExceeded) {
		h.Fatalf("waiting for what does not end: %v", err)
	}
	var all sync.WaitGroup
	ended := make(chan runtime.Status, 3)
	for range cap(ended) {
		all.Go(func() {
			s, err := h.rt.Wait(h.ctx, config.ID) // perhaps before the start
			if err != nil {
				h.Error(err)
			}
			ended <- s
		})
	}
	_, err := h.rt.Start(h.ctx, config.ID)
	h.must(err)
	h.must(h.rt.Stop(h.ctx, config.ID, "SIGKILL", 0))
	all.Wait()
	for range cap(ended) {
		if s := <-ended; s.State != runtime.StateExited {
			h.Fatalf("waited for, it is %+v", s)
		}
	}
}

func testStopHeeded(h *harness) {
	id := h.ready(runs)
	h.must(h.rt.Stop(h.ctx, id, "", patience)) // the container's own signal
	if s := h.wait(id); s.Signal == 9 {
		h.Fatalf("it heeds the signal and yet was killed: %+v", s)
	}
}

func testStopIgnored(h *harness) {
	id := h.ready(ignores)
	h.must(h.rt.Stop(h.ctx, id, "SIGTERM", 50*time.Millisecond))
	if s := h.wait(id); s.ExitCode != 137 || s.Signal != 9 || s.OOMKilled {
		h.Fatalf("killed after the grace period it is %+v", s)
	}
}

func testOutOfMemory(h *harness) {
	s := h.wait(h.start(program{
		script: "exec dd if=/dev/zero of=/dev/shm/much bs=1M count=60",
		sim:    []spec.EnvVar{{Name: "SIM_OOM", Value: "1"}},
		spec:   spec.Container{Resources: spec.Requirements{Limits: spec.Resources{Memory: 16 << 20}}},
	}))
	if !s.OOMKilled || s.ExitCode != 137 || s.Signal != 9 {
		h.Fatalf("out of memory it is %+v", s)
	}
}

func testRemoveRunning(h *harness) {
	id := h.ready(ignores)
	h.must(h.rt.Remove(h.ctx, id))
	_, err := h.rt.Status(h.ctx, id)
	h.mustBe(err, runtime.ErrNotFound)
}

func testStats(h *harness) {
	id := h.ready(runs)
	s, err := h.rt.Stats(h.ctx, id)
	h.must(err)
	if s.PIDs < 1 || s.Memory < 1 || s.CPU < 1 {
		h.Fatalf("a running container uses %+v", s)
	}
	h.must(h.rt.Stop(h.ctx, id, "SIGKILL", 0))
	_, err = h.rt.Stats(h.ctx, id)
	h.mustBe(err, runtime.ErrNotRunning)
	_, err = h.rt.Exec(h.ctx, id, runtime.ExecOptions{Command: []string{"true"}})
	h.mustBe(err, runtime.ErrNotRunning)
}

func testManyAtOnce(h *harness) {
	var all sync.WaitGroup
	for range 8 {
		config := h.config(exits(7, 10*time.Millisecond))
		all.Go(func() {
			if err := h.rt.Create(h.ctx, config); err != nil {
				h.Error(err)
				return
			}
			if _, err := h.rt.Start(h.ctx, config.ID); err != nil {
				h.Error(err)
				return
			}
			if s, err := h.rt.Wait(h.ctx, config.ID); err != nil || s.ExitCode != 7 {
				h.Errorf("%s ended as %+v: %v", config.ID, s, err)
			}
			if err := h.rt.Remove(h.ctx, config.ID); err != nil {
				h.Error(err)
			}
		})
	}
	all.Wait()
}
