package app_test

import (
	"fmt"
	"math/bits"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
	"github.com/rutter-run/rutter/projections/past"
)

func sequenceNow(r *gatewaytest.Rig) string { return fmt.Sprint(r.View.View().Sequence()) }

func TestAReadingIsOfItsMomentAlone(t *testing.T) {
	r := gatewaytest.New(t)
	r.Join("n1")
	beforeWeb := sequenceNow(r)
	r.Apply(gatewaytest.Document("web", 1))
	withOne := sequenceNow(r)
	_, err := r.App.Scale(t.Context(), gatewaytest.By, "default", "web", 4, nil)
	require.NoError(t, err)
	r.Lose("n1")

	then, err := r.App.At(t.Context(), withOne)
	require.NoError(t, err)
	w, err := then.Workload("default", "web")
	require.NoError(t, err)
	require.Equal(t, 1, w.Status.Wished)
	n, err := then.Node("n1")
	require.NoError(t, err)
	require.Equal(t, "Ready", n.State)
	operations, err := then.Operations(app.Page{})
	require.NoError(t, err)
	require.Len(t, operations.Items, 1, "the scaling had not been asked for")

	earlier, err := r.App.At(t.Context(), beforeWeb)
	require.NoError(t, err)
	_, err = earlier.Workload("default", "web")
	require.ErrorIs(t, err, events.ErrNotFound)
	_, err = earlier.Why(t.Context(), app.Thing{Kind: events.AggregateWorkload, Namespace: "default", Name: "web"})
	require.ErrorIs(t, err, events.ErrNotFound)
	require.ErrorContains(t, err, "up to sequence "+beforeWeb)

	history, _, err := then.History(t.Context(), app.Thing{Kind: events.AggregateWorkload, Namespace: "default", Name: "web"}, 0, 0)
	require.NoError(t, err)
	for _, e := range history {
		require.LessOrEqual(t, e.Sequence, then.Sequence())
	}
	page, next, err := then.Events(t.Context(), 1, app.Filter{}, 0)
	require.NoError(t, err)
	require.Zero(t, next)
	require.Equal(t, then.Sequence(), page[len(page)-1].Sequence)
}

func TestAMomentOutsideTheLogIsRefusedWithTheLogsBounds(t *testing.T) {
	r := gatewaytest.New(t)
	r.Join("n1")
	last := sequenceNow(r)
	for _, c := range []struct {
		moment string
		is     error
		says   string
	}{
		{"0", events.ErrInvalid, "moment"},
		{"99999", past.ErrPastEnd, "events 1 to " + last},
		{"1999-12-31T23:59:59Z", past.ErrBeforeFirst, "events 1 to " + last},
		{"2999-12-31T23:59:59Z", past.ErrPastEnd, "events 1 to " + last},
		{"-10000h", past.ErrBeforeFirst, "events 1 to " + last},
		{"yesterday", events.ErrInvalid, "-15m"},
		{"", events.ErrInvalid, "-15m"},
	} {
		_, err := r.App.At(t.Context(), c.moment)
		require.ErrorIs(t, err, c.is, c.moment)
		require.ErrorIs(t, err, events.ErrInvalid, c.moment)
		require.ErrorContains(t, err, c.says, c.moment)
	}
}

func TestDiffTellsInWordsWhatChanged(t *testing.T) {
	r := gatewaytest.New(t)
	r.Join("n1")
	r.Apply(gatewaytest.Document("old", 1))
	r.Apply(gatewaytest.Document("web", 2))
	from := sequenceNow(r)
	_, err := r.App.Scale(t.Context(), gatewaytest.By, "default", "web", 3, nil)
	require.NoError(t, err)
	changed := gatewaytest.Document("web", 3)
	changed.Spec.Containers[0].Env = []spec.EnvVar{{Name: "COLOUR", Value: "blue"}}
	r.Apply(changed)
	_, err = r.App.Delete(t.Context(), gatewaytest.By, "default", "old", nil)
	require.NoError(t, err)
	other := gatewaytest.Document("new", 1)
	other.Metadata.Namespace = "team"
	r.Apply(other)
	r.Say(events.NodeSubject("n1"), "", "service:node-health", node.SuspectedV1{Silent: spec.Duration(time.Second)})

	diff, err := r.App.Diff(t.Context(), from, "", "")
	require.NoError(t, err)
	var lines []string
	for _, d := range diff.Differences {
		lines = append(lines, fmt.Sprintf("%s %s/%s: %s", d.Turn, d.Kind, d.Name, d.Words))
	}
	require.Equal(t, []string{
		"changed workload/old: is being deleted",
		"changed workload/web: scaled from 2 to 3; revision 1 became 2",
		"added workload/new: applied with 1 replica at revision 1",
		"changed node/n1: Ready became Suspected",
	}, lines)

	within, err := r.App.Diff(t.Context(), from, "", "team")
	require.NoError(t, err)
	require.Len(t, within.Differences, 1)
	same, err := r.App.Diff(t.Context(), from, from, "")
	require.NoError(t, err)
	require.Empty(t, same.Differences)
}

func TestQueriesAreAskedOfAnyMoment(t *testing.T) {
	r := gatewaytest.New(t)
	r.Join("n1")
	r.Apply(gatewaytest.Document("web", 2))
	then := sequenceNow(r)
	r.Apply(gatewaytest.Document("db", 1))
	for _, c := range []struct {
		query api.Query
		want  any
	}{
		{api.Query{Expression: "workloads.size()"}, 2.0},
		{api.Query{Expression: "workloads.size()", At: then}, 1.0},
		{api.Query{Expression: `workloads.map(w, w.metadata.name)`}, []any{"db", "web"}},
		{api.Query{Expression: `workloads.filter(w, w.spec.replicas > 1)[0].metadata.labels.app == "web"`}, true},
		{api.Query{Expression: `nodes.exists(n, n.state == "Ready") && instances.size() == 0`}, true},
		{api.Query{Expression: `{"at": sequence}`, At: "1"}, map[string]any{"at": 1.0}},
		{api.Query{Expression: `time > timestamp("2026-01-01T00:00:00Z")`}, true},
	} {
		got, err := r.App.Query(t.Context(), c.query)
		require.NoError(t, err, c.query.Expression)
		require.Equal(t, c.want, got.Value, c.query.Expression)
	}
	for expression, says := range map[string]string{
		"workloads.":                          "CEL expression",
		"pods.size()":                         "undeclared reference to 'pods'",
		"workloads[7]":                        "index out of bounds",
		"workloads.all(w, w.nothing == 1)":    "no such key",
		"[1,2].map(x, workloads.map(w, w.x))": "no such key",
	} {
		_, err := r.App.Query(t.Context(), api.Query{Expression: expression})
		requireFault(t, err)
		require.ErrorContains(t, err, says, expression)
	}
}

// requireFault wants an error that names the field that is wrong.
func requireFault(t *testing.T, err error) {
	t.Helper()
	var faults spec.Errors
	require.ErrorAs(t, err, &faults)
	require.NotEmpty(t, faults[0].Field)
}

func TestBisectFindsTheEventInLogarithmicallyManySteps(t *testing.T) {
	r := gatewaytest.New(t)
	r.Join("n1")
	r.Join("n2")
	for i := range 40 {
		r.Apply(gatewaytest.Document(fmt.Sprintf("w%d", i), 1))
	}
	lost := r.Lose("n2")
	culprit := r.View.View().Sequence()
	for i := range 20 {
		r.Apply(gatewaytest.Document(fmt.Sprintf("x%d", i), 1))
	}
	result, event, err := r.App.Bisect(t.Context(), api.Bisect{Good: "5", Bad: sequenceNow(r), Predicate: `!nodes.exists(n, n.state == "Lost")`})
	require.NoError(t, err)
	require.Equal(t, culprit, result.Sequence)
	require.Equal(t, lost, event.ID)
	require.Contains(t, result.Line, "node/n2 lost")
	between := r.View.View().Sequence() - 5
	require.LessOrEqual(t, len(result.Steps), bits.Len64(between-1), "⌈log2 n⌉")

	for _, c := range []struct {
		b    api.Bisect
		says string
	}{
		{api.Bisect{Good: sequenceNow(r), Bad: sequenceNow(r), Predicate: `!nodes.exists(n, n.state == "Lost")`}, "good"},
		{api.Bisect{Good: "5", Bad: "6", Predicate: `!nodes.exists(n, n.state == "Lost")`}, "bad"},
		{api.Bisect{Good: "5", Bad: "6", Predicate: `nodes.size()`}, "true or false"},
	} {
		_, _, err := r.App.Bisect(t.Context(), c.b)
		requireFault(t, err)
		require.ErrorContains(t, err, c.says)
	}
}

func TestRestoreBringsADeletedNamespaceBackAndTheLogOnlyGrows(t *testing.T) {
	r := gatewaytest.New(t, func(r *gatewaytest.Rig, _ *app.Config) { r.AutoRun = true })
	for _, name := range []string{"api", "web"} {
		w := gatewaytest.Document(name, 2)
		w.Metadata.Namespace = "shop"
		r.Apply(w)
	}
	then := sequenceNow(r)
	for _, name := range []string{"api", "web"} {
		_, err := r.App.Delete(t.Context(), gatewaytest.By, "shop", name, nil)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool {
		list, err := r.App.Now().Workloads(app.Selection{Namespace: "shop"})
		return err == nil && len(list.Items) == 0
	}, 30*time.Second, time.Millisecond)
	grown, err := r.Log.Last(t.Context())
	require.NoError(t, err)

	planned, err := r.App.Restore(t.Context(), gatewaytest.By, api.Restore{At: then, Namespace: "shop", DryRun: true})
	require.NoError(t, err)
	require.Len(t, planned.Steps, 2)
	require.NotEmpty(t, planned.NotRestored)
	still, err := r.Log.Last(t.Context())
	require.NoError(t, err)
	require.Equal(t, grown+2, still, "a dry run leaves nothing but the record of it, one for each step")

	done, err := r.App.Restore(t.Context(), gatewaytest.By, api.Restore{At: then, Namespace: "shop"})
	require.NoError(t, err)
	for _, step := range done.Steps {
		require.Empty(t, step.Error)
		require.NotNil(t, step.Operation)
		require.Contains(t, step.Operation.Reason, "restore of sequence "+then)
		require.Contains(t, step.Operation.Reason, gatewaytest.By.Reason)
		require.Greater(t, step.Operation.Sequence, grown)
	}
	was, err := r.App.At(t.Context(), then)
	require.NoError(t, err)
	requireSameWishes(t, was, r.App.Now(), "shop")
	again, err := r.App.Restore(t.Context(), gatewaytest.By, api.Restore{At: then, Namespace: "shop"})
	require.NoError(t, err)
	require.Empty(t, again.Steps, "there is nothing left to restore")
}

func requireSameWishes(t require.TestingT, a, b app.Reading, namespace string) {
	wishes := func(r app.Reading) map[string]spec.WorkloadSpec {
		list, err := r.Workloads(app.Selection{Namespace: namespace})
		require.NoError(t, err)
		all := map[string]spec.WorkloadSpec{}
		for _, w := range list.Items {
			all[w.Metadata.Namespace+"/"+w.Metadata.Name] = w.Spec
		}
		return all
	}
	require.Equal(t, wishes(a), wishes(b))
}

func TestRestoreWithPruneReachesAnyPastWish(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := gatewaytest.New(t, func(r *gatewaytest.Rig, _ *app.Config) { r.AutoRun = true })
		var moments []string
		for range rapid.IntRange(2, 10).Draw(rt, "steps") {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "name")
			replicas := rapid.IntRange(0, 3).Draw(rt, "replicas")
			switch rapid.IntRange(0, 3).Draw(rt, "verb") {
			case 0:
				_, _ = r.App.Delete(t.Context(), gatewaytest.By, "default", name, nil) // where it is there
			case 1:
				_, _ = r.App.Scale(t.Context(), gatewaytest.By, "default", name, replicas, nil)
			default:
				_, _ = r.App.Apply(t.Context(), gatewaytest.By, gatewaytest.Document(name, replicas), nil)
			}
			settle(t, r)
			if r.View.View().Sequence() > 0 {
				moments = append(moments, sequenceNow(r))
			}
		}
		if len(moments) == 0 {
			return
		}
		then := rapid.SampledFrom(moments).Draw(rt, "then")
		_, err := r.App.Restore(t.Context(), gatewaytest.By, api.Restore{At: then, Namespace: "default", Prune: true})
		require.NoError(rt, err)
		settle(t, r)
		was, err := r.App.At(t.Context(), then)
		require.NoError(rt, err)
		requireSameWishes(rt, was, r.App.Now(), "default")
	})
}

// settle waits until nothing is being deleted.
func settle(t *testing.T, r *gatewaytest.Rig) {
	require.Eventually(t, func() bool {
		for w := range r.View.View().Workloads() {
			if w.Deleting && !w.Deleted {
				return false
			}
		}
		return true
	}, 30*time.Second, time.Millisecond)
}

func TestUndoChangesBackWhatOneOperationChanged(t *testing.T) {
	r := gatewaytest.New(t)
	created, err := r.App.Apply(t.Context(), gatewaytest.By, gatewaytest.Document("web", 2), nil)
	require.NoError(t, err)
	scaled, err := r.App.Scale(t.Context(), gatewaytest.By, "default", "web", 7, nil)
	require.NoError(t, err)

	_, err = r.App.Undo(t.Context(), gatewaytest.By, created.Operation.ID, api.Undo{})
	require.ErrorIs(t, err, events.ErrConflict, "the workload was scaled since")
	planned, err := r.App.Undo(t.Context(), gatewaytest.By, scaled.Operation.ID, api.Undo{DryRun: true})
	require.NoError(t, err)
	require.Equal(t, "scale from 7 to 2", planned.Steps[0].Words)
	undone, err := r.App.Undo(t.Context(), gatewaytest.By, scaled.Operation.ID, api.Undo{})
	require.NoError(t, err)
	require.Empty(t, undone.Steps[0].Error)
	w, err := r.App.Now().Workload("default", "web")
	require.NoError(t, err)
	require.Equal(t, 2, w.Status.Wished)

	// What created it is undone by deleting it, once that is forced past what came after.
	gone, err := r.App.Undo(t.Context(), gatewaytest.By, created.Operation.ID, api.Undo{Force: true})
	require.NoError(t, err)
	require.Equal(t, api.RestoreDelete, gone.Steps[0].Action)
	require.Empty(t, gone.Steps[0].Error)

	_, err = r.App.Undo(t.Context(), gatewaytest.By, "never-asked", api.Undo{})
	require.ErrorIs(t, err, events.ErrNotFound)
	unchanged, err := r.App.Apply(t.Context(), gatewaytest.By, gatewaytest.Document("db", 1), nil)
	require.NoError(t, err)
	same, err := r.App.Apply(t.Context(), gatewaytest.By, gatewaytest.Document("db", 1), nil)
	require.NoError(t, err)
	require.NotEqual(t, unchanged.Operation.ID, same.Operation.ID)
	_, err = r.App.Undo(t.Context(), gatewaytest.By, same.Operation.ID, api.Undo{})
	require.ErrorContains(t, err, "changed nothing")
}
