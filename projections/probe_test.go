package projections_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections/projectionstest"
)

// A container with a probe that says so is ready when that has said so, and an end that a probe brought about says which.
func TestProbesSayWhatIsReady(t *testing.T) {
	s := projectionstest.New()
	s.Node("n1", spec.Resources{CPU: 1000, Memory: 1 << 30}, nil)
	key := projectionstest.Key("web", 0, 1)
	document := projectionstest.Document("web", 1, func(w *spec.Workload) {
		w.Spec.Containers[0].ReadinessProbe = &spec.Probe{TCPSocket: &spec.TCPProbe{Port: "80"}}
	})
	s.Say(events.InstanceSubject(key), instance.RequestedV1{Attempt: 1, Revision: 1, Spec: document.Instance(), Cause: instance.CauseApplied})
	s.Place(key, "n1")
	phase := func() (spec.Phase, string) {
		i, ok := s.View().Instance(key)
		require.True(t, ok)
		return i.Phase, i.Reason
	}
	for _, step := range []struct {
		say    events.Payload
		phase  spec.Phase
		reason string
	}{
		{report.StartedV1{Container: "main", Run: 1, At: s.Now}, spec.PhaseRunning, "0 of 1 containers are ready"},
		{report.HealthyV1{Container: "main", Run: 1}, spec.PhaseReady, "all containers are ready"},
		{report.UnhealthyV1{Container: "main", Run: 1, Message: "readiness probe failed 3 times: 503"}, spec.PhaseUnhealthy, "main: readiness probe failed 3 times: 503"},
		{report.HealthyV1{Container: "main", Run: 1}, spec.PhaseReady, "all containers are ready"},
		{report.ExitedV1{Container: "main", Run: 1, Code: 143, Signal: 15, At: s.Now, Reason: report.ReasonProbeFailed, Message: "liveness probe failed 3 times: 500"},
			spec.PhaseStarting, "main was ended because a probe failed: liveness probe failed 3 times: 500"},
		{report.StartedV1{Container: "main", Run: 2, At: s.Now}, spec.PhaseRunning, "0 of 1 containers are ready"},
	} {
		s.Report(key, step.say)
		got, reason := phase()
		require.Equal(t, step.phase, got)
		require.Equal(t, step.reason, reason)
	}
}
