package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
)

func TestRolloutTellsAndAsks(t *testing.T) {
	m := newTerminal(t)
	web := gatewaytest.Document("web", 3)
	m.Apply(web)
	web.Spec.Containers[0].Image.Tag = "v9"
	m.Apply(web)
	subject := events.WorkloadSubject("default", "web")
	require.Contains(t, m.run("rollout", "status", "web").out, "no roll-out yet")
	m.Say(subject, "", "", workload.RolloutStartedV1{Revision: 2, From: 1, Good: 1, Strategy: spec.Canary})
	m.Say(subject, "", "", workload.RolloutAdvancedV1{Revision: 2, Ready: 1, Wished: 3, Waits: true})
	require.Contains(t, m.run("rollout", "status", "workload/web").out, "roll-out of revision 2 after 1: waiting, promote or abort it")
	for _, c := range []struct{ line, out, err string }{
		{"rollout pause web", "workload/web changed (revision 2)\n", ""},
		{"rollout promote web --wait=false", "workload/web changed (revision 2)\n", ""},
		{"rollout undo web --to-revision 1 --wait=false", "workload/web changed (revision 1)\n", ""},
		{"restart web --wait=false", "workload/web changed (revision 3)\n", ""},
		{"rollout undo web --to-revision 9 --wait=false", "", "remembers no revision 9"},
		{"rollout restart workload/none", "", "there is no workload none"},
		{"rollout twist web", "", "want rollout status"},
		{"rollout pause instance/web-0-1", "", "no kind"},
		{"rollout pause web api", "", "want"},
	} {
		got := m.run(strings.Fields(c.line)...)
		require.Equal(t, c.out, got.out, c.line+": "+got.err)
		require.Contains(t, got.err, c.err, c.line)
	}
	got := m.run("rollout", "history", "web")
	require.Equal(t, 4, strings.Count(got.out, "\n"), got.out)
	require.Contains(t, got.out, "v9")
	require.Equal(t, "revision/1\nrevision/2\nrevision/3\n", m.run("rollout", "history", "web", "-o", "name").out)
	require.Equal(t, exitUsage, m.run("rollout", "history", "web", "-o", "art").code)
}
