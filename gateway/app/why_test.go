package app_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
)

// text is a tree of causes, indented, without what differs from run to run.
func text(causes []api.Cause, indent string) string {
	var b strings.Builder
	for _, c := range causes {
		b.WriteString(indent + c.Line)
		if c.Reason != "" {
			b.WriteString(" because " + c.Reason)
		}
		if c.Shown {
			b.WriteString(" (above)")
		}
		b.WriteString("\n" + text(c.Because, indent+"  "))
	}
	return b.String()
}

// replaced plays a workload whose only instance is lost with its node and replaced on another.
func replaced(t *testing.T) *gatewaytest.Rig {
	r := gatewaytest.New(t)
	r.Join("n1")
	r.Join("n2")
	r.Apply(gatewaytest.Document("web", 1))
	w, _ := r.View.View().Workload("default", "web")
	first, second := gatewaytest.Key("web", 0, 1), gatewaytest.Key("web", 0, 2)
	r.Start(first, "n1", r.Request(first, 0, 1, instance.CauseApplied, "", w.Applied.ID))
	lost := r.Lose("n1")
	r.Start(second, "n2", r.Request(second, 0, 2, instance.CauseNodeLost, first.Name, lost))
	r.Retire(first, spec.PhaseLost, lost)
	return r
}

func TestWhyLeadsFromAReplacementToTheLossAndToWhoApplied(t *testing.T) {
	r := replaced(t)
	why, err := r.App.Now().Why(t.Context(), app.Thing{Kind: events.AggregateInstance, Namespace: "default", Name: "web-0-2"})
	require.NoError(t, err)
	require.Contains(t, why.Answer, "instance/default/web-0-2 is Ready on node n2 since 2026-03-01")
	require.Equal(t, `report/n2/default/web/web-0-2 started main, run 1, process 4242
  ledger/n2 assigned default/web-0-2, generation 1, 1 of 1 nodes fitted, score 50
    instance/default/web/web-0-2 requested: slot 0, attempt 2, revision 1 (NodeLost), replaces web-0-1
      node/n1 lost after 15s of silence
      workload/default/web applied: revision 1, 1 × docker.io/library/nginx:1.27
        command/reconciler accepted run.rutter.workload.apply.v1 of cmd.workload.default.web by token:ada because because of the test
`, text(why.Because, ""))
}

func TestWhyWorksForWhatIsGone(t *testing.T) {
	r := replaced(t)
	thing := app.Thing{Kind: events.AggregateInstance, Namespace: "default", Name: "web-0-1"}
	why, err := r.App.Now().Why(t.Context(), thing)
	require.NoError(t, err)
	require.Contains(t, why.Answer, "web-0-1 is Lost on node n1")
	require.Equal(t, `instance/default/web/web-0-1 retired: Lost
  node/n1 lost after 15s of silence
report/n1/default/web/web-0-1 started main, run 1, process 4242
  ledger/n1 assigned default/web-0-1, generation 1, 1 of 1 nodes fitted, score 50
    instance/default/web/web-0-1 requested: slot 0, attempt 1, revision 1 (Applied)
      workload/default/web applied: revision 1, 1 × docker.io/library/nginx:1.27
        command/reconciler accepted run.rutter.workload.apply.v1 of cmd.workload.default.web by token:ada because because of the test
`, text(why.Because, ""))

	// Four attempts later the state has forgotten it; the log has not.
	for attempt := 3; attempt <= 6; attempt++ {
		key := gatewaytest.Key("web", 0, attempt)
		r.Request(key, 0, attempt, instance.CauseFailed, "", "")
	}
	_, err = r.App.Now().Instance("default", "web-0-1")
	require.ErrorIs(t, err, events.ErrNotFound)
	why, err = r.App.Now().Why(t.Context(), thing)
	require.NoError(t, err)
	require.Contains(t, why.Answer, "instance/default/web-0-1 is gone since 2026-03-01")
	require.Contains(t, text(why.Because, ""), "node/n1 lost")
}

func TestWhyOfAWorkloadGoesIntoItsTroubles(t *testing.T) {
	r := gatewaytest.New(t)
	r.Apply(gatewaytest.Document("web", 1))
	w, _ := r.View.View().Workload("default", "web")
	key := gatewaytest.Key("web", 0, 1)
	requested := r.Request(key, 0, 1, instance.CauseApplied, "", w.Applied.ID)
	r.Say(events.UnplacedSubject(key), requested, "", unplaced.UnplaceableV2{Nodes: 3, Reasons: []unplaced.Reason{{Filter: "resources", Detail: "memory", Nodes: 3}}})
	why, err := r.App.Now().Why(t.Context(), app.Thing{Kind: events.AggregateWorkload, Namespace: "default", Name: "web"})
	require.NoError(t, err)
	require.Contains(t, why.Answer, "workload/default/web is Degraded: 0 of 1 instances are ready")
	require.Contains(t, text(why.Because, ""), "unplaceable: 0 of 3 nodes fit: 3 memory\n  instance/default/web/web-0-1 requested")
}

func TestWhyOfANode(t *testing.T) {
	r := replaced(t)
	why, err := r.App.Now().Why(t.Context(), app.Thing{Kind: events.AggregateNode, Name: "n1"})
	require.NoError(t, err)
	require.Contains(t, why.Answer, "node/n1 is Lost")
	require.Equal(t, "node/n1 lost after 15s of silence\n", text(why.Because, ""))
}

func TestWhyOfWhatNeverWasIsNotFound(t *testing.T) {
	r := replaced(t)
	_, err := r.App.Now().Why(t.Context(), app.Thing{Kind: events.AggregateInstance, Namespace: "default", Name: "db-0-1"})
	require.ErrorIs(t, err, events.ErrNotFound)
	_, err = r.App.Now().Why(t.Context(), app.Thing{Kind: events.AggregateInstance, Namespace: "default", Name: "db"})
	require.ErrorContains(t, err, "<workload>-<slot>-<attempt>")
}

func TestHistoryTellsEverythingInOrderAndInPages(t *testing.T) {
	r := replaced(t)
	lines := func(thing app.Thing, limit int) (all []string) {
		for from := uint64(0); ; {
			page, next, err := r.App.Now().History(t.Context(), thing, from, limit)
			require.NoError(t, err)
			for _, e := range page {
				all = append(all, string(e.Subject.Aggregate())+" "+e.Data.WireType())
			}
			if from = next; next == 0 {
				return all
			}
		}
	}
	web := app.Thing{Kind: events.AggregateWorkload, Namespace: "default", Name: "web"}
	whole := lines(web, 0)
	require.Equal(t, []string{
		"workload run.rutter.workload.applied.v1", "command run.rutter.command.accepted.v1",
		"instance run.rutter.instance.requested.v1", "ledger run.rutter.ledger.assigned.v2", "report run.rutter.report.created.v1", "report run.rutter.report.started.v1",
		"instance run.rutter.instance.requested.v1", "ledger run.rutter.ledger.assigned.v2", "report run.rutter.report.created.v1", "report run.rutter.report.started.v1",
		"instance run.rutter.instance.retired.v1",
	}, whole)
	require.Equal(t, whole, lines(web, 2), "pages are the whole, cut")
	require.Equal(t, []string{
		"node run.rutter.node.joined.v1", "node run.rutter.node.ready.v1", "ledger run.rutter.ledger.assigned.v2",
		"report run.rutter.report.created.v1", "report run.rutter.report.started.v1", "node run.rutter.node.lost.v1",
	}, lines(app.Thing{Kind: events.AggregateNode, Name: "n1"}, 0))
	_, _, err := r.App.Now().History(t.Context(), app.Thing{Kind: events.AggregateNode, Name: "n9"}, 0, 0)
	require.ErrorIs(t, err, events.ErrNotFound)
}

func TestEventsArePagedAndFiltered(t *testing.T) {
	r := replaced(t)
	last, err := r.Log.Last(t.Context())
	require.NoError(t, err)
	var sequences []uint64
	for from := uint64(1); ; {
		page, next, err := r.App.Now().Events(t.Context(), from, app.Filter{}, 3)
		require.NoError(t, err)
		for _, e := range page {
			sequences = append(sequences, e.Sequence)
		}
		if from = next; next == 0 {
			break
		}
	}
	for i, sequence := range sequences {
		require.EqualValues(t, i+1, sequence)
	}
	require.Len(t, sequences, int(last))

	page, next, err := r.App.Now().Events(t.Context(), 0, app.Filter{Aggregates: []events.Aggregate{events.AggregateNode}, Node: "n1"}, 0)
	require.NoError(t, err)
	require.Zero(t, next)
	require.Len(t, page, 3)
	require.IsType(t, node.LostV1{}, page[2].Data)
	_, _, err = r.App.Now().Events(t.Context(), 0, app.Filter{Aggregates: []events.Aggregate{"pod"}}, 0)
	require.ErrorContains(t, err, "aggregate")
	page, _, err = r.App.Now().Events(t.Context(), last+1, app.Filter{}, 0)
	require.NoError(t, err)
	require.Empty(t, page)
}
