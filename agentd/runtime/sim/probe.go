package sim

import (
	"context"
	"time"

	rt "github.com/rutter-run/rutter/agentd/runtime"
)

var _ rt.Prober = (*Runtime)(nil)

// Probe implements runtime.Prober. SIM_READY_AFTER (duration) is how long after its start a container answers well to its startup and readiness
// probes, SIM_HANG_AFTER (duration) how long until it answers badly to all of them.
func (r *Runtime) Probe(_ context.Context, id, kind string) (good bool, message string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.containers[id]
	if !ok || c.status.State != rt.StateRunning {
		return false, "it does not run"
	}
	ran := time.Since(c.status.StartedAt)
	switch {
	case c.env("SIM_HANG_AFTER") != "" && ran >= c.duration("SIM_HANG_AFTER"):
		return false, "it hangs, as scripted"
	case kind != "liveness" && ran < c.duration("SIM_READY_AFTER"):
		return false, "it is not ready yet, as scripted"
	}
	return true, ""
}
