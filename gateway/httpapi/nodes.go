package httpapi

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
)

func (a *API) cordonNode(w http.ResponseWriter, r *http.Request) {
	var body api.Cordon
	if err := a.strictly(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	if body.Cordoned == nil {
		a.fail(w, r, spec.Errors{{Field: "cordoned", Want: "true or false"}})
		return
	}
	result, err := a.App.Cordon(r.Context(), a.caller(r), chi.URLParam(r, "name"), *body.Cordoned)
	a.result(w, r, result, err)
}

func (a *API) removeNode(w http.ResponseWriter, r *http.Request) {
	q := queries{r: r}
	force := q.flag("force")
	if err := q.faults.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	result, err := a.App.RemoveNode(r.Context(), a.caller(r), chi.URLParam(r, "name"), force)
	a.result(w, r, result, err)
}

func (a *API) drainNode(w http.ResponseWriter, r *http.Request) {
	var body api.Drain
	if err := a.strictly(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	result, err := a.App.Drain(r.Context(), a.caller(r), chi.URLParam(r, "name"), body.Within)
	a.result(w, r, result, err)
}

func (a *API) taintNode(w http.ResponseWriter, r *http.Request) {
	var body api.TaintChange
	if err := a.strictly(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	result, err := a.App.Taint(r.Context(), a.caller(r), chi.URLParam(r, "name"), body)
	a.result(w, r, result, err)
}

func (a *API) labelNode(w http.ResponseWriter, r *http.Request) {
	var body api.LabelChange
	if err := a.strictly(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	result, err := a.App.Label(r.Context(), a.caller(r), chi.URLParam(r, "name"), body)
	a.result(w, r, result, err)
}

func (a *API) stopInstance(w http.ResponseWriter, r *http.Request) {
	result, err := a.App.Stop(r.Context(), a.caller(r), chi.URLParam(r, "namespace"), chi.URLParam(r, "name"))
	a.result(w, r, result, err)
}
