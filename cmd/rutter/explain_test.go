package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/unplaced"
)

func TestExplainTellsTheNewestDecision(t *testing.T) {
	x := explained{Instance: "web-0-1"}
	text := func() string {
		var out bytes.Buffer
		require.NoError(t, x.print(&out))
		return out.String()
	}
	require.Equal(t, "the scheduler has said nothing of web-0-1 yet\n", text())
	key := events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}
	require.NoError(t, x.hear(events.Event{Sequence: 7, Subject: events.UnplacedSubject(key), Data: unplaced.UnplaceableV2{
		Nodes: 3, Reasons: []unplaced.Reason{{Filter: "resources", Detail: "short of cpu", Nodes: 3}}, Awaits: "n1",
	}}))
	require.Equal(t, `web-0-1 fits on none of 3 nodes, as of sequence 7
FILTER      NODES   WHY
resources   3       short of cpu
it awaits room on n1
`, text())
	require.NoError(t, x.hear(events.Event{Sequence: 9, Subject: events.LedgerSubject("n1"), Data: ledger.AssignedV2{
		Instance: key, Policy: "spread", Considered: 3, Fitted: 2, Devices: []ledger.DeviceShare{{Container: "main", Device: 1, Milli: 500}},
		Scores: []ledger.Score{{Node: "n1", Total: 30, Parts: map[string]int64{"spread": 20, "load": 10}}, {Node: "n2", Total: 25, Parts: map[string]int64{"spread": 20, "load": 5}}},
	}}))
	require.Equal(t, `web-0-1 was given to node n1 at sequence 9: 2 of 3 nodes fitted, by profile spread
container main gets 500 thousandths of GPU 1
NODE   TOTAL   LOAD   SPREAD
n1     30      10     20
n2     25      5      20
`, text())
}
