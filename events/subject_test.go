package events_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
)

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern string
		want    bool
	}{
		{"evt.workload.default.web", true}, {"evt.workload.*.web", true}, {"evt.workload.default.*", true}, {"evt.>", true}, {">", true},
		{"evt.workload.default.>", true}, {"evt.*.*.*", true}, {"*.*.*.*", true},
		{"evt.workload.default.we", false}, {"evt.workload.default.web.>", false}, {"evt.workload.default.web.*", false}, {"evt.workload.default", false},
		{"evt.workload.other.*", false}, {"evt.*.*", false}, {"evt.*.*.*.*", false}, {"", false},
	} {
		require.Equal(t, c.want, events.WorkloadSubject("default", "web").Matches(c.pattern), c.pattern)
	}
	require.False(t, events.Subject("").Matches(">"))
	require.False(t, events.Subject("evt.").Matches("evt.>"))
	require.False(t, events.Subject("evt..x").Matches("evt.*.x"))
}
