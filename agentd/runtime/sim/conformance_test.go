package sim_test

import (
	"testing"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/runtime/runtimetest"
	"github.com/rutter-run/rutter/agentd/runtime/sim"
	"github.com/rutter-run/rutter/events/spec"
)

func TestConformance(t *testing.T) {
	machine := sim.New(sim.Config{})
	runtimetest.Run(t, func(*testing.T) runtime.Runtime { return machine }, runtimetest.Options{
		Image: spec.ImageRef{Registry: "docker.io", Repository: "library/busybox", Tag: "latest"},
	})
}
