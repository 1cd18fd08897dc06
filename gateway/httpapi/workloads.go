package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
)

// putWorkload applies a document (JSON or YAML). Its name and namespace are the address's, where it gives none.
func (a *API) putWorkload(w http.ResponseWriter, r *http.Request) {
	data, err := a.body(w, r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	namespace, name := chi.URLParam(r, "namespace"), chi.URLParam(r, "name")
	workload, err := spec.ParseWorkloadAs(data, namespace, name)
	switch {
	case err == io.EOF:
		a.fail(w, r, fmt.Errorf("%w: the body is empty: want a workload document", errBody))
		return
	case err != nil && len(faultsIn(err)) == 0:
		a.fail(w, r, fmt.Errorf("%w: %w", errBody, err))
		return
	case err != nil:
		a.fail(w, r, err)
		return
	}
	only, err := condition(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	q := queries{r: r}
	dryRun := q.flag("dryRun")
	if err := q.faults.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	if dryRun {
		result, err := a.App.DryRun(r.Context(), a.caller(r), workload, only)
		a.answer(w, r, result, err)
		return
	}
	result, err := a.App.Apply(r.Context(), a.caller(r), workload, only)
	a.result(w, r, result, err)
}

// condition reads If-Match, an ETag or "<revision>" alone, and If-None-Match: *; nil where there is neither.
func condition(r *http.Request) (*app.Condition, error) {
	if raw := r.Header.Get("If-None-Match"); raw == "*" {
		none := 0
		return &app.Condition{IfRevision: &none}, nil
	}
	raw := r.Header.Get("If-Match")
	if raw == "" {
		return nil, nil
	}
	number, sequence, whole := strings.Cut(strings.Trim(raw, `"`), ".")
	revision, err := strconv.Atoi(number)
	only := app.Condition{IfRevision: &revision}
	if whole && err == nil {
		only.IfSequence, err = strconv.ParseUint(sequence, 10, 64)
	}
	if err != nil || revision < 0 || whole && only.IfSequence == 0 {
		return nil, spec.Errors{{Field: "If-Match", Value: raw, Want: `what ETag gave, such as "3.118", or a revision alone, such as "3"`}}
	}
	return &only, nil
}

// etag names a workload's present document: it changes with every change of what is wished.
func etag(w api.Workload) string {
	return fmt.Sprintf(`"%d.%d"`, w.Status.Revision, w.Status.Changed.Sequence)
}

// result answers a change: 201 where something new stands, 202 where it is not over.
func (a *API) result(w http.ResponseWriter, r *http.Request, result api.Result, err error) {
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if result.Operation != nil {
		w.Header().Set("Rutter-Operation", result.Operation.ID)
		w.Header().Set("Rutter-Sequence", strconv.FormatUint(result.Operation.Sequence, 10))
	}
	if result.Workload != nil && result.Verdict != api.VerdictPending {
		w.Header().Set("ETag", etag(*result.Workload))
	}
	status := http.StatusOK
	switch result.Verdict {
	case api.VerdictCreated:
		status = http.StatusCreated
	case api.VerdictDeleting:
		status = http.StatusAccepted
	case api.VerdictPending:
		status = http.StatusAccepted
		w.Header().Set("Location", "/v1/operations/"+result.Operation.ID)
	}
	document(w, status, result)
}

func (a *API) scaleWorkload(w http.ResponseWriter, r *http.Request) {
	var scale api.Scale
	if err := a.strictly(w, r, &scale); err != nil {
		a.fail(w, r, err)
		return
	}
	if scale.Replicas == nil {
		a.fail(w, r, spec.Errors{{Field: "replicas", Want: "the number of instances that are wished for"}})
		return
	}
	only, err := condition(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	result, err := a.App.Scale(r.Context(), a.caller(r), chi.URLParam(r, "namespace"), chi.URLParam(r, "name"), *scale.Replicas, only)
	a.result(w, r, result, err)
}

func (a *API) deleteWorkload(w http.ResponseWriter, r *http.Request) {
	only, err := condition(r)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	result, err := a.App.Delete(r.Context(), a.caller(r), chi.URLParam(r, "namespace"), chi.URLParam(r, "name"), only)
	a.result(w, r, result, err)
}

func (a *API) getWorkload(w http.ResponseWriter, r *http.Request) {
	workload, err := readingOf(a, r).Workload(chi.URLParam(r, "namespace"), chi.URLParam(r, "name"))
	if err == nil && !isPast(r) {
		w.Header().Set("ETag", etag(workload))
	}
	a.answer(w, r, workload, err)
}

func (a *API) listWorkloads(w http.ResponseWriter, r *http.Request) {
	listed(a, w, r, readingOf(a, r).Workloads)
}

func (a *API) getInstance(w http.ResponseWriter, r *http.Request) {
	instance, err := readingOf(a, r).Instance(chi.URLParam(r, "namespace"), chi.URLParam(r, "name"))
	a.answer(w, r, instance, err)
}

func (a *API) listInstances(w http.ResponseWriter, r *http.Request) {
	listed(a, w, r, readingOf(a, r).Instances)
}

func (a *API) getNode(w http.ResponseWriter, r *http.Request) {
	node, err := readingOf(a, r).Node(chi.URLParam(r, "name"))
	a.answer(w, r, node, err)
}

func (a *API) listNodes(w http.ResponseWriter, r *http.Request) {
	listed(a, w, r, readingOf(a, r).Nodes)
}

// listed answers a page of a collection.
func listed[T any](a *API, w http.ResponseWriter, r *http.Request, list func(app.Selection) (api.List[T], error)) {
	q := queries{r: r}
	s := app.Selection{
		Namespace: chi.URLParam(r, "namespace"), Workload: q.text("workload"), Node: q.text("node"), Selector: q.text("selector"),
		Gone: q.flag("gone"), Page: q.page(),
	}
	if err := q.faults.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	page, err := list(s)
	a.answer(w, r, page, err)
}

func (a *API) getOperation(w http.ResponseWriter, r *http.Request) {
	operation, err := readingOf(a, r).Operation(chi.URLParam(r, "id"))
	a.answer(w, r, operation, err)
}

func (a *API) listOperations(w http.ResponseWriter, r *http.Request) {
	q := queries{r: r}
	page := q.page()
	if err := q.faults.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	list, err := readingOf(a, r).Operations(page)
	a.answer(w, r, list, err)
}
