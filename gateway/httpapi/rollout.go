package httpapi

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/rutter-run/rutter/gateway/api"
)

func (a *API) postRollout(w http.ResponseWriter, r *http.Request) {
	var body api.RolloutAction
	if err := a.strictly(w, r, &body); err != nil {
		a.fail(w, r, err)
		return
	}
	result, err := a.App.Rollout(r.Context(), a.caller(r), chi.URLParam(r, "namespace"), chi.URLParam(r, "name"), body)
	a.result(w, r, result, err)
}

func (a *API) listRevisions(w http.ResponseWriter, r *http.Request) {
	list, err := a.App.Revisions(chi.URLParam(r, "namespace"), chi.URLParam(r, "name"))
	a.answer(w, r, list, err)
}
