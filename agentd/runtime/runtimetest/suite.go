// Package runtimetest is the suite that every container runtime passes.
//
// Programs are given in two tongues at once: a command for runtimes that run it and an environment for the simulated one.
package runtimetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

// Options says what the runtime under test can be asked.
type Options struct {
	Image spec.ImageRef // one with busybox's applets
	// Real says that commands really run; the rest of the suite is about what every runtime promises.
	Real bool
	// Restarts says that a second Runtime finds what the first one left, as after a restart of the agent.
	Restarts bool
	// KillShim kills what stands over a container, with SIGKILL; nil: nothing does.
	KillShim func(t *testing.T, id string)
	// Leftovers lists what containers and sandboxes left on the machine; nil: nothing can be left.
	Leftovers func(t *testing.T) []string
}

// Run runs the suite. Each call of open makes a Runtime, all of them on one machine.
func Run(t *testing.T, open func(t *testing.T) runtime.Runtime, options Options) {
	tests := []struct {
		name string
		when bool
		test func(*harness)
	}{
		{"Info", true, testInfo},
		{"Images", true, testImages},
		{"Sandboxes", true, testSandboxes},
		{"Lifecycle", true, testLifecycle},
		{"Repeating", true, testRepeating},
		{"Unknown", true, testUnknown},
		{"BadCommand", true, testBadCommand},
		{"ExitCodes", true, testExitCodes},
		{"Waiting", true, testWaiting},
		{"StopHeeded", true, testStopHeeded},
		{"StopIgnored", true, testStopIgnored},
		{"OutOfMemory", true, testOutOfMemory},
		{"RemoveRunning", true, testRemoveRunning},
		{"Stats", true, testStats},
		{"LogsFollow", true, testLogsFollow},
		{"ManyAtOnce", true, testManyAtOnce},
		{"KilledIsNotOutOfMemory", options.Real, testKilled},
		{"Refusals", options.Real, testRefusals},
		{"LogStreams", options.Real, testLogStreams},
		{"LogTailAndSince", options.Real, testLogTailAndSince},
		{"LogLongLines", options.Real, testLogLongLines},
		{"LogRotation", options.Real, testLogRotation},
		{"LogOutlivesContainer", options.Real, testLogOutlivesContainer},
		{"Exec", options.Real, testExec},
		{"ExecTerminal", options.Real, testExecTerminal},
		{"ExecGivenUp", options.Real, testExecGivenUp},
		{"SharedNetwork", options.Real, testSharedNetwork},
		{"RestartRunning", options.Restarts, testRestartRunning},
		{"RestartEnded", options.Restarts, testRestartEnded},
		{"RestartCreated", options.Restarts, testRestartCreated},
		{"ShimKilled", options.KillShim != nil, testShimKilled},
		{"ShimKilledBeforeStart", options.KillShim != nil, testShimKilledBeforeStart},
	}
	for _, tt := range tests {
		if tt.when {
			t.Run(tt.name, func(t *testing.T) { tt.test(newHarness(t, open, options)) })
		}
	}
}

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

var instances atomic.Int64

// harness is one test's instance on the machine.
type harness struct {
	*testing.T
	Options
	ctx      context.Context
	open     func(t *testing.T) runtime.Runtime
	rt       runtime.Runtime
	image    runtime.Image
	instance string
	sandbox  runtime.Sandbox
	runs     int
}

func newHarness(t *testing.T, open func(t *testing.T) runtime.Runtime, options Options) *harness {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	h := &harness{T: t, Options: options, ctx: ctx, open: open, rt: open(t), instance: fmt.Sprintf("default.i%d", instances.Add(1))}
	var err error
	if h.image, err = h.rt.PullImage(ctx, options.Image, nil); err != nil {
		t.Fatal(err)
	}
	h.sandbox, err = h.rt.CreateSandbox(ctx, runtime.SandboxConfig{Instance: h.instance, Hostname: "host-" + h.instance[8:], Labels: map[string]string{"of": "test"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		h.clear()
	})
	return h
}
