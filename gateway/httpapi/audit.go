package httpapi

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/app"
)

func (a *API) getCheckpoint(w http.ResponseWriter, r *http.Request) {
	checkpoint, err := a.App.Checkpoint(r.Context())
	a.answer(w, r, checkpoint, err)
}

func (a *API) getInclusion(w http.ResponseWriter, r *http.Request) {
	proof, err := a.App.Prove(r.Context(), r.URL.Query().Get("event"))
	a.answer(w, r, proof, err)
}

func (a *API) getConsistency(w http.ResponseWriter, r *http.Request) {
	q := queries{r: r}
	older, later := q.sequence("old"), q.sequence("new")
	if err := q.faults.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	proof, err := a.App.Consistency(r.Context(), older, later)
	a.answer(w, r, proof, err)
}

func (a *API) getAuditLog(w http.ResponseWriter, r *http.Request) {
	q := queries{r: r}
	f := app.AuditFilter{
		Actor: q.text("actor"), Verb: q.text("verb"), Target: q.text("target"), Namespace: q.text("namespace"), Outcome: q.text("outcome"),
		Since: q.text("since"), Until: q.text("until"), Page: q.page(),
	}
	if err := q.faults.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	list, err := a.App.AuditLog(r.Context(), f)
	a.answer(w, r, list, err)
}

// exportType is the media type of an export.
const exportType = "application/vnd.rutter.export+zstd"

// getExport streams an export. One that breaks off has no end, which whoever reads it finds.
func (a *API) getExport(w http.ResponseWriter, r *http.Request) {
	q := queries{r: r}
	from, to := q.sequence("from"), q.sequence("to")
	if isPast(r) {
		q.faults = append(q.faults, spec.FieldError{Field: "at", Want: "no moment here: say from and to"})
	}
	if err := q.faults.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	ctx, cancel := a.streaming(r)
	defer cancel()
	export, err := a.App.Export(ctx, from, to)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", exportType)
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="events-%d-%d.rutter"`, export.Header.First, export.Header.Last))
	h.Set("Rutter-First", strconv.FormatUint(export.Header.First, 10))
	h.Set("Rutter-Last", strconv.FormatUint(export.Header.Last, 10))
	w.WriteHeader(http.StatusOK)
	if err := export.Write(ctx, w); err != nil {
		a.Log.WithField("request", requestOf(r).id).WithError(err).Warn("export broke off")
		panic(http.ErrAbortHandler) // the client must not take it for whole
	}
}
