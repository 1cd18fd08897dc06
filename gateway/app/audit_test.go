package app_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
)

func TestAnExportIsVouchedForAsFarAsItIsSigned(t *testing.T) {
	r := gatewaytest.New(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		r.Apply(gatewaytest.Document(name, 2))
	}
	key, err := audit.ParseVerifier(r.Sign())
	require.NoError(t, err)
	last, err := r.Log.Last(t.Context())
	require.NoError(t, err)
	verify := func(from, to uint64) (archive.Report, error) {
		t.Helper()
		export, err := r.App.Export(t.Context(), from, to)
		require.NoError(t, err)
		var file bytes.Buffer
		require.NoError(t, export.Write(t.Context(), &file))
		return archive.Verify(&file, archive.Options{Key: key})
	}
	for _, part := range [][2]uint64{{0, 0}, {1, last}, {1, 1}, {2, last - 1}, {last, last}, {3, 0}} {
		report, err := verify(part[0], part[1])
		require.NoError(t, err, part)
		require.Equal(t, report.Header.Last, report.Proven, part)
		require.Equal(t, max(part[0], 1), report.Header.First)
	}
	for _, part := range [][2]uint64{{5, 3}, {1, last + 1}, {last + 2, 0}} {
		_, err := r.App.Export(t.Context(), part[0], part[1])
		require.ErrorAs(t, err, new(spec.Errors), part)
	}
}

func TestALogThatNobodySignsIsExportedAllTheSame(t *testing.T) {
	r := gatewaytest.New(t, func(_ *gatewaytest.Rig, c *app.Config) { c.Vault = nil })
	r.Apply(gatewaytest.Document("a", 1))
	export, err := r.App.Export(t.Context(), 0, 0)
	require.NoError(t, err)
	var file bytes.Buffer
	require.NoError(t, export.Write(t.Context(), &file))
	report, err := archive.Verify(&file, archive.Options{})
	require.NoError(t, err)
	require.Zero(t, report.Proven)
	_, err = r.App.Export(t.Context(), 2, 0)
	require.ErrorIs(t, err, events.ErrConflict, "nothing says what came before")
	_, err = r.App.Checkpoint(t.Context())
	require.ErrorIs(t, err, events.ErrNotFound)
}

func TestTheAuditLogTellsWhoWantedWhat(t *testing.T) {
	r := gatewaytest.New(t)
	apply := func(actor, namespace, name string) {
		by := gatewaytest.By
		by.Actor = actor
		w := gatewaytest.Document(name, 1)
		w.Metadata.Namespace = namespace
		_, err := r.App.Apply(t.Context(), by, w, nil)
		require.NoError(t, err)
	}
	apply("token:ada", "default", "web")
	apply("token:ci", "shop", "cart")
	bob := gatewaytest.By
	bob.Actor = "token:bob"
	_, err := r.App.Scale(t.Context(), bob, "default", "nobody", 3, nil)
	require.ErrorIs(t, err, events.ErrRejected)
	_, err = r.App.DryRun(t.Context(), bob, gatewaytest.Document("web", 9), nil)
	require.NoError(t, err)
	_, err = r.App.Delete(t.Context(), bob, "default", "web", nil)
	require.NoError(t, err)

	list := func(f app.AuditFilter) (lines []string) {
		t.Helper()
		page, err := r.App.AuditLog(t.Context(), f)
		require.NoError(t, err)
		for _, e := range page.Items {
			lines = append(lines, e.Actor+" "+e.Verb+" "+e.Target+" "+e.Outcome)
		}
		return lines
	}
	everything := []string{
		"token:ada apply workload/default/web accepted", "token:ci apply workload/shop/cart accepted", "token:bob scale workload/default/nobody rejected",
		"token:bob apply workload/default/web dry-run", "token:bob delete workload/default/web accepted",
	}
	require.Equal(t, everything, list(app.AuditFilter{}))
	require.Equal(t, everything[2:], list(app.AuditFilter{Actor: "token:bob"}))
	require.Equal(t, everything, list(app.AuditFilter{Actor: "token:*"}))
	require.Equal(t, everything[1:2], list(app.AuditFilter{Namespace: "shop"}))
	require.Equal(t, everything[4:], list(app.AuditFilter{Verb: "delete"}))
	require.Equal(t, everything[2:3], list(app.AuditFilter{Outcome: "rejected"}))
	require.Equal(t, []string{everything[0], everything[3], everything[4]}, list(app.AuditFilter{Target: "web"}))
	require.Equal(t, everything[1:2], list(app.AuditFilter{Target: "workload/shop/*"}))

	page, err := r.App.AuditLog(t.Context(), app.AuditFilter{Page: app.Page{Limit: 2}})
	require.NoError(t, err)
	require.Len(t, page.Items, 2)
	rest, err := r.App.AuditLog(t.Context(), app.AuditFilter{Page: app.Page{Continue: page.Continue}})
	require.NoError(t, err)
	require.Len(t, rest.Items, 3)
	third := rest.Items[0]
	require.Equal(t, api.AuditEntry{
		Sequence: third.Sequence, Time: third.Time, Asked: third.Asked, Actor: "token:bob", Verb: "scale", Target: "workload/default/nobody",
		Outcome: "rejected", Code: "NotFound", Message: third.Message, Reason: "because of the test", Service: "reconciler", Operation: third.Operation,
	}, third)
	sequence := strconv.FormatUint(third.Sequence, 10)
	require.Equal(t, everything[2:], list(app.AuditFilter{Since: sequence}))
	require.Equal(t, everything[:3], list(app.AuditFilter{Until: sequence}))
	require.Equal(t, everything[2:], list(app.AuditFilter{Since: third.Time.Format(time.RFC3339Nano)}))
	require.Equal(t, everything, list(app.AuditFilter{Since: "-24h"}))
	require.Empty(t, list(app.AuditFilter{Since: "-0s"}))
	for _, f := range []app.AuditFilter{{Since: "yesterday"}, {Until: "x"}, {Actor: "["}, {Outcome: "good"}, {Page: app.Page{Continue: "x"}}, {Page: app.Page{Limit: -1}}} {
		_, err := r.App.AuditLog(t.Context(), f)
		require.ErrorAs(t, err, new(spec.Errors), f)
	}
}

func TestADryRunThatCannotBePutDownIsNotAnswered(t *testing.T) {
	broken := errors.New("the log is gone")
	r := gatewaytest.New(t, func(r *gatewaytest.Rig, c *app.Config) { c.Log = deaf{r.Log, broken} })
	_, err := r.App.DryRun(t.Context(), gatewaytest.By, gatewaytest.Document("web", 1), nil)
	require.ErrorIs(t, err, broken)
}

// deaf is a log that takes nothing.
type deaf struct {
	events.Log
	err error
}

func (d deaf) Append(context.Context, events.Batch) (uint64, error) { return 0, d.err }
