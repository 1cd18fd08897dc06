package app_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
)

func TestApplyCreatesThenChangesThenChangesNothing(t *testing.T) {
	r := gatewaytest.New(t)
	w := gatewaytest.Document("web", 3)
	result, err := r.App.Apply(t.Context(), gatewaytest.By, w, nil)
	require.NoError(t, err)
	require.Equal(t, api.VerdictCreated, result.Verdict)
	require.Equal(t, api.OperationAccepted, result.Operation.State)
	require.Equal(t, "token:ada", result.Operation.Actor)
	require.Equal(t, "because of the test", result.Operation.Reason)
	require.Equal(t, gatewaytest.Digest, result.Workload.Spec.Containers[0].Image.Digest, "the tag is pinned at apply")
	require.Equal(t, 1, result.Workload.Status.Revision)
	require.Equal(t, api.WorkloadProgressing, result.Workload.Status.State)

	result, err = r.App.Apply(t.Context(), gatewaytest.By, w, nil)
	require.NoError(t, err)
	require.Equal(t, api.VerdictUnchanged, result.Verdict)

	w.Spec.Containers[0].Env = []spec.EnvVar{{Name: "COLOUR", Value: "blue"}}
	result, err = r.App.Apply(t.Context(), gatewaytest.By, w, nil)
	require.NoError(t, err)
	require.Equal(t, api.VerdictChanged, result.Verdict)
	require.Equal(t, []api.Change{
		{Field: "spec.containers[0].env[0].name", To: "COLOUR"}, {Field: "spec.containers[0].env[0].value", To: "blue"},
	}, result.Changes)
	require.Equal(t, 2, result.Workload.Status.Revision)
}

func TestApplyNamesTheImageThatCannotBeResolved(t *testing.T) {
	r := gatewaytest.New(t)
	w := gatewaytest.Document("web", 1)
	missing, err := spec.ParseImage("example.com/missing:1")
	require.NoError(t, err)
	down, err := spec.ParseImage("down.example/app:1")
	require.NoError(t, err)
	w.Spec.Containers = append(w.Spec.Containers, spec.Container{Name: "two", Image: missing}, spec.Container{Name: "three", Image: down})
	_, err = r.App.Apply(t.Context(), gatewaytest.By, w, nil)
	require.ErrorIs(t, err, events.ErrNoImage)
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "spec.containers[1].image: ")
	require.ErrorContains(t, err, "spec.containers[2].image: ")
	last, err := r.Log.Last(t.Context())
	require.NoError(t, err)
	require.Zero(t, last, "nothing was sent")
}

func TestDryRunSendsNoCommandAndSaysWhatWouldChange(t *testing.T) {
	r := gatewaytest.New(t)
	w := gatewaytest.Document("web", 1)
	result, err := r.App.DryRun(t.Context(), gatewaytest.By, w, nil)
	require.NoError(t, err)
	require.True(t, result.DryRun)
	require.Equal(t, api.VerdictCreated, result.Verdict)
	r.Apply(w)
	before, err := r.Log.Last(t.Context())
	require.NoError(t, err)

	five := 5
	w.Spec.Replicas = &five
	result, err = r.App.DryRun(t.Context(), gatewaytest.By, w, nil)
	require.NoError(t, err)
	require.Equal(t, api.VerdictChanged, result.Verdict)
	require.Equal(t, []api.Change{{Field: "spec.replicas", From: "1", To: "5"}}, result.Changes)
	after, err := r.Log.Last(t.Context())
	require.NoError(t, err)
	require.Equal(t, before+1, after, "the dry run itself is on the record")
	said, err := r.Log.LastOf(t.Context(), events.CommandSubject(events.ServiceGateway))
	require.NoError(t, err)
	require.Equal(t, "dry run of run.rutter.workload.apply.v1 of cmd.workload.default.web by token:ada: changed", said.Data.Line())
	now, err := r.App.Now().Workload("default", "web")
	require.NoError(t, err)
	require.Equal(t, 1, now.Status.Wished)

	wrong := 9
	_, err = r.App.DryRun(t.Context(), gatewaytest.By, w, &app.Condition{IfRevision: &wrong})
	require.ErrorIs(t, err, events.ErrConflict)
}

func TestAnIdempotencyKeyIsDecidedOnce(t *testing.T) {
	r := gatewaytest.New(t)
	by := gatewaytest.By
	by.IdempotencyKey = "ci-42"
	first, err := r.App.Apply(t.Context(), by, gatewaytest.Document("web", 1), nil)
	require.NoError(t, err)
	require.Equal(t, "ci-42", first.Operation.ID)
	again, err := r.App.Apply(t.Context(), by, gatewaytest.Document("web", 1), nil)
	require.NoError(t, err)
	require.Equal(t, first.Operation, again.Operation)
	require.Equal(t, api.VerdictCreated, again.Verdict, "the answer of the first time")

	_, err = r.App.Apply(t.Context(), by, gatewaytest.Document("web", 2), nil)
	require.ErrorIs(t, err, events.ErrConflict, "the key was used for something else")
	_, err = r.App.Delete(t.Context(), by, "default", "web", nil)
	require.ErrorIs(t, err, events.ErrConflict)

	by.IdempotencyKey = "not a key\n"
	_, err = r.App.Apply(t.Context(), by, gatewaytest.Document("web", 1), nil)
	var faults spec.Errors
	require.ErrorAs(t, err, &faults)
	require.Equal(t, "Idempotency-Key", faults[0].Field)
}

func TestRejectionsAreErrorsOfTheirKind(t *testing.T) {
	r := gatewaytest.New(t)
	_, err := r.App.Scale(t.Context(), gatewaytest.By, "default", "nobody", 3, nil)
	require.ErrorIs(t, err, events.ErrRejected)
	require.ErrorIs(t, err, events.ErrNotFound)
	var rejection *app.Rejection
	require.ErrorAs(t, err, &rejection)
	operation, err := r.App.Now().Operation(rejection.Operation)
	require.NoError(t, err)
	require.Equal(t, api.OperationRejected, operation.State)
	require.Equal(t, "NotFound", operation.Code)

	r.Apply(gatewaytest.Document("web", 1))
	three := 3
	_, err = r.App.Apply(t.Context(), gatewaytest.By, gatewaytest.Document("web", 1), &app.Condition{IfRevision: &three})
	require.ErrorIs(t, err, events.ErrConflict)
	_, err = r.App.Scale(t.Context(), gatewaytest.By, "default", "web", -1, nil)
	require.ErrorContains(t, err, "replicas")
}

func TestACommandThatNobodyDecidesIsPending(t *testing.T) {
	r := gatewaytest.New(t, func(r *gatewaytest.Rig, c *app.Config) { r.Undecided, c.DecisionWait = true, time.Millisecond })
	result, err := r.App.Apply(t.Context(), gatewaytest.By, gatewaytest.Document("web", 1), nil)
	require.NoError(t, err)
	require.Equal(t, api.VerdictPending, result.Verdict)
	operation, err := r.App.Now().Operation(result.Operation.ID)
	require.NoError(t, err)
	require.Equal(t, api.OperationPending, operation.State)
	list, err := r.App.Now().Operations(app.Page{})
	require.NoError(t, err)
	require.Len(t, list.Items, 1)
	_, err = r.App.Now().Operation("never-asked")
	require.ErrorIs(t, err, events.ErrNotFound)
}

func TestACallerThatGoesAwayStopsWaiting(t *testing.T) {
	r := gatewaytest.New(t, func(r *gatewaytest.Rig, c *app.Config) { r.Undecided, c.DecisionWait = true, time.Hour })
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("gone"))
	defer cancel()
	_, err := r.App.Apply(ctx, gatewaytest.By, gatewaytest.Document("web", 1), nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestStatusFollowsTheInstances(t *testing.T) {
	r := gatewaytest.New(t, func(r *gatewaytest.Rig, _ *app.Config) { r.AutoRun = true })
	status := func() api.WorkloadStatus {
		w, err := r.App.Now().Workload("default", "web")
		require.NoError(t, err)
		return w.Status
	}
	r.Apply(gatewaytest.Document("web", 3))
	require.Eventually(t, func() bool { return status().State == api.WorkloadReady }, 10*time.Second, time.Millisecond)
	require.Equal(t, 3, status().Ready)
	require.Empty(t, status().Message)

	r.Lose("n1")
	require.Equal(t, api.WorkloadDegraded, status().State)
	require.Contains(t, status().Message, "web-0-1 is Lost: node n1 is lost")

	_, err := r.App.Delete(t.Context(), gatewaytest.By, "default", "web", nil)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := r.App.Now().Workload("default", "web")
		return errors.Is(err, events.ErrNotFound)
	}, 10*time.Second, time.Millisecond)
	_, err = r.App.Now().Workload("default", "web")
	require.ErrorContains(t, err, "was deleted at 2026-03-01T")
}

func TestListsSelectAndPage(t *testing.T) {
	r := gatewaytest.New(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		r.Apply(gatewaytest.Document(name, 0))
	}
	other := gatewaytest.Document("a", 0)
	other.Metadata.Namespace = "other"
	r.Apply(other)

	var names []string
	for page := (app.Page{Limit: 2}); ; {
		list, err := r.App.Now().Workloads(app.Selection{Page: page})
		require.NoError(t, err)
		for _, w := range list.Items {
			names = append(names, w.Metadata.Namespace+"/"+w.Metadata.Name)
		}
		require.LessOrEqual(t, len(list.Items), 2)
		if page.Continue = list.Continue; page.Continue == "" {
			break
		}
	}
	require.Equal(t, []string{"default/a", "default/b", "default/c", "default/d", "default/e", "other/a"}, names)

	list, err := r.App.Now().Workloads(app.Selection{Namespace: "default", Selector: "app in (b, d)"})
	require.NoError(t, err)
	require.Len(t, list.Items, 2)
	_, err = r.App.Now().Workloads(app.Selection{Selector: "=="})
	require.ErrorContains(t, err, "selector")
	_, err = r.App.Now().Workloads(app.Selection{Page: app.Page{Limit: -1}})
	require.ErrorContains(t, err, "limit")
	_, err = r.App.Now().Workloads(app.Selection{Page: app.Page{Continue: "%"}})
	require.ErrorContains(t, err, "continue")
	operations, err := r.App.Now().Operations(app.Page{Limit: 4})
	require.NoError(t, err)
	require.Len(t, operations.Items, 4)
	require.Greater(t, operations.Items[0].Sequence, operations.Items[3].Sequence, "newest first")
	more, err := r.App.Now().Operations(app.Page{Limit: 4, Continue: operations.Continue})
	require.NoError(t, err)
	require.Len(t, more.Items, 2)
	require.Empty(t, more.Continue)
}

func TestStateIsTheProjectionsOwn(t *testing.T) {
	r := gatewaytest.New(t)
	r.Apply(gatewaytest.Document("web", 2))
	state := r.App.Now().State()
	require.Equal(t, r.View.View().Hash(), state.Hash)
	require.Equal(t, r.View.View().Sequence(), state.Sequence)
	require.NoError(t, r.App.CatchUp(t.Context(), state.Sequence))
	require.ErrorContains(t, r.App.CatchUp(t.Context(), state.Sequence+1), "sequence", "nobody can wait for what was never written")
	require.NoError(t, r.App.Ready(t.Context()))
}
