package runtimetest

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

// restart is the end of the agent and the start of the next: nothing is carried over but what is on disk and what runs.
func (h *harness) restart() {
	h.Helper()
	h.must(h.rt.Close())
	h.rt = h.open(h.T)
}

func testRestartRunning(h *harness) {
	id := h.ready(script("trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 1000 & wait; done"))
	before := h.one(id)
	h.restart()
	if after := h.one(id); after.State != runtime.StateRunning || after.PID != before.PID || !after.StartedAt.Equal(before.StartedAt) || after.Labels["of"] != "test" {
		h.Fatalf("before %+v, after %+v", before, after)
	}
	h.must(h.rt.Create(h.ctx, runtime.ContainerConfig{ID: id, Instance: h.instance, Image: h.image})) // the agent repeats itself
	if again, err := h.rt.Start(h.ctx, id); err != nil || again.PID != before.PID {
		h.Fatalf("started again: %+v, %v", again, err)
	}
	code, err := h.rt.Exec(h.ctx, id, runtime.ExecOptions{Command: []string{"true"}})
	if err != nil || code != 0 {
		h.Fatalf("exec after a restart: %d, %v", code, err)
	}
	h.must(h.rt.Stop(h.ctx, id, "", patience))
	if s := h.wait(id); s.ExitCode != 9 {
		h.Fatalf("it ended as %+v", s)
	}
	if lines := h.lines(id, everything); !slices.Equal(lines, []string{"stdout ready", "stdout bye"}) {
		h.Fatalf("%q", lines)
	}
}

func testRestartEnded(h *harness) {
	id := h.start(script("sleep 0.2; echo while nobody looked; exit 6"))
	h.must(h.rt.Close())
	// The old runtime is gone for those who use it; as a test's eye it still serves.
	ended := h.wait(id)
	h.rt = h.open(h.T)
	s := h.one(id)
	if s.State != runtime.StateExited || s.ExitCode != 6 || !s.ExitedAt.Equal(ended.ExitedAt) || s.StartedAt.IsZero() {
		h.Fatalf("it ended as %+v, it says %+v", ended, s)
	}
	if waited := h.wait(id); waited.ExitCode != 6 {
		h.Fatalf("waited for it is %+v", waited)
	}
	if lines := h.lines(id, everything); !slices.Equal(lines, []string{"stdout while nobody looked"}) {
		h.Fatalf("%q", lines)
	}
}

func testRestartCreated(h *harness) {
	config := h.config(exits(2, time.Millisecond))
	h.must(h.rt.Create(h.ctx, config))
	h.restart()
	if s := h.one(config.ID); s.State != runtime.StateCreated {
		h.Fatalf("it is %+v", s)
	}
	_, err := h.rt.Start(h.ctx, config.ID)
	h.must(err)
	if s := h.wait(config.ID); s.ExitCode != 2 {
		h.Fatalf("it ended as %+v", s)
	}
}

// testShimKilled: without its shim nobody would see how the container ends, so it ends.
func testShimKilled(h *harness) {
	id := h.ready(runs)
	pid := h.one(id).PID
	h.KillShim(h.T, id)
	s := h.wait(id)
	if s.ExitCode != 137 && s.ExitCode != 255 {
		h.Fatalf("it ended as %+v", s)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) && !zombie(pid) {
		h.Fatalf("the process goes on: %v", err)
	}
	h.restart()
	if again := h.one(id); again.ExitCode != s.ExitCode || !again.ExitedAt.Equal(s.ExitedAt) {
		h.Fatalf("first it ended as %+v, then as %+v", s, again)
	}
	if lines := h.lines(id, everything); !slices.Equal(lines, []string{"stdout ready"}) {
		h.Fatalf("%q", lines)
	}
}

func testShimKilledBeforeStart(h *harness) {
	config := h.config(exits(4, time.Millisecond))
	h.must(h.rt.Create(h.ctx, config))
	h.KillShim(h.T, config.ID)
	if s := h.one(config.ID); s.State != runtime.StateCreated {
		h.Fatalf("it is %+v", s)
	}
	_, err := h.rt.Start(h.ctx, config.ID)
	h.must(err)
	if s := h.wait(config.ID); s.ExitCode != 4 {
		h.Fatalf("it ended as %+v", s)
	}
}

// testKilled kills the main process from outside.
func testKilled(h *harness) {
	id := h.ready(program{script: runs.script, spec: spec.Container{Resources: spec.Requirements{Limits: spec.Resources{Memory: 64 << 20}}}})
	h.must(syscall.Kill(h.one(id).PID, syscall.SIGKILL))
	if s := h.wait(id); s.ExitCode != 137 || s.Signal != 9 || s.OOMKilled {
		h.Fatalf("killed it is %+v", s)
	}
}

// testRefusals: what can never run says so, in words that help.
func testRefusals(h *harness) {
	for _, tt := range []struct {
		spec spec.Container
		says string
	}{
		{spec.Container{Command: []string{"no-such-program"}}, "no-such-program"},
		{spec.Container{Command: []string{"/etc/passwd"}}, "permission denied"},
		{spec.Container{Command: []string{"/bin"}}, "/bin"},
		{spec.Container{Command: []string{"sh"}, SecurityContext: spec.SecurityContext{User: "nosuchuser"}}, "nosuchuser"},
		{spec.Container{Command: []string{"sh"}, WorkingDir: "/etc/passwd"}, "/etc/passwd"},
	} {
		config := h.config(program{spec: tt.spec})
		err := h.rt.Create(h.ctx, config)
		if err == nil {
			_, err = h.rt.Start(h.ctx, config.ID)
		}
		h.mustBe(err, runtime.ErrBadConfig)
		if !strings.Contains(strings.ToLower(err.Error()), tt.says) {
			h.Errorf("%v does not say %q", err, tt.says)
		}
		h.must(h.rt.Remove(h.ctx, config.ID))
	}
}
