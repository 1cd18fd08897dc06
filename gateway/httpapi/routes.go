package httpapi

import (
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

// routes is the whole map of the API. Each route stands in openapi.go as well; a test compares the two.
func (a *API) routes() chi.Router {
	r := chi.NewRouter()
	r.Use(requestID, a.observe(), a.recoverPanics)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, &api.Problem{Type: problemType("no-route"), Title: "no such address", Status: http.StatusNotFound,
			Detail: r.Method + " " + r.URL.Path + " is not part of this API: see /v1/openapi.json"})
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, &api.Problem{Type: problemType("no-method"), Title: "method not allowed", Status: http.StatusMethodNotAllowed,
			Detail: r.Method + " is not a method of " + r.URL.Path + ": see /v1/openapi.json"})
	})
	r.Get("/livez", a.livez)
	r.Get("/readyz", a.readyz)
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{}))
	r.Get("/v1/openapi.json", a.getOpenAPI)

	r.Group(func(r chi.Router) { // whoever may look
		r.Use(a.authenticate(RoleViewer), a.caughtUp, a.atMoment)
		r.Get("/v1/version", a.getVersion)
		r.Get("/v1/state", a.getState)
		r.Get("/v1/workloads", a.listWorkloads)
		r.Get("/v1/namespaces/{namespace}/workloads", a.listWorkloads)
		r.Get("/v1/namespaces/{namespace}/workloads/{name}", a.getWorkload)
		r.Get("/v1/namespaces/{namespace}/workloads/{name}/revisions", a.listRevisions)
		r.Get("/v1/namespaces/{namespace}/workloads/{name}/history", a.getHistory(events.AggregateWorkload))
		r.Get("/v1/namespaces/{namespace}/workloads/{name}/why", a.getWhy(events.AggregateWorkload))
		r.Get("/v1/instances", a.listInstances)
		r.Get("/v1/namespaces/{namespace}/instances", a.listInstances)
		r.Get("/v1/namespaces/{namespace}/instances/{name}", a.getInstance)
		r.Get("/v1/namespaces/{namespace}/instances/{name}/history", a.getHistory(events.AggregateInstance))
		r.Get("/v1/namespaces/{namespace}/instances/{name}/why", a.getWhy(events.AggregateInstance))
		r.Get("/v1/namespaces/{namespace}/instances/{name}/logs", a.onlyNow(a.getLogs))
		r.Get("/v1/namespaces/{namespace}/instances/{name}/stats", a.onlyNow(a.getStats))
		r.Get("/v1/nodes", a.listNodes)
		r.Get("/v1/nodes/{name}", a.getNode)
		r.Get("/v1/nodes/{name}/history", a.getHistory(events.AggregateNode))
		r.Get("/v1/nodes/{name}/why", a.getWhy(events.AggregateNode))
		r.Get("/v1/operations", a.listOperations)
		r.Get("/v1/operations/{id}", a.getOperation)
		r.Get("/v1/events", a.getEvents)
		r.Get("/v1/export", a.getExport)
		r.Get("/v1/audit/checkpoint", a.getCheckpoint)
		r.Get("/v1/audit/inclusion", a.getInclusion)
		r.Get("/v1/audit/consistency", a.getConsistency)
		r.Get("/v1/audit/log", a.getAuditLog)
		r.Get("/v1/moment", a.getMoment)
		r.Get("/v1/diff", a.getDiff)
		r.Post("/v1/query", a.postQuery)
		r.Post("/v1/bisect", a.postBisect)
	})
	r.Group(func(r chi.Router) { // whoever may change workloads
		r.Use(a.authenticate(RoleOperator), a.writable, a.caughtUp)
		r.Put("/v1/namespaces/{namespace}/workloads/{name}", a.putWorkload)
		r.Delete("/v1/namespaces/{namespace}/workloads/{name}", a.deleteWorkload)
		r.Post("/v1/namespaces/{namespace}/workloads/{name}/scale", a.scaleWorkload)
		r.Post("/v1/namespaces/{namespace}/workloads/{name}/rollout", a.postRollout)
		r.Get("/v1/namespaces/{namespace}/instances/{name}/exec", a.exec)
		r.Post("/v1/restore", a.postRestore)
		r.Post("/v1/operations/{id}/undo", a.postUndo)
		r.Delete("/v1/namespaces/{namespace}/instances/{name}", a.stopInstance)
		r.Delete("/v1/nodes/{name}", a.removeNode)
		r.Post("/v1/nodes/{name}/cordon", a.cordonNode)
		r.Post("/v1/nodes/{name}/drain", a.drainNode)
		r.Post("/v1/nodes/{name}/taints", a.taintNode)
		r.Post("/v1/nodes/{name}/labels", a.labelNode)
	})
	return r
}

func (a *API) livez(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, "ok") }

func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	if err := a.App.Ready(r.Context()); err != nil {
		text(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	text(w, http.StatusOK, "ok")
}

func (a *API) getVersion(w http.ResponseWriter, r *http.Request) {
	document(w, http.StatusOK, api.Version{Version: a.Version, Go: goVersion(), Projection: projections.Version})
}

func (a *API) getState(w http.ResponseWriter, r *http.Request) {
	document(w, http.StatusOK, readingOf(a, r).State())
}

func (a *API) getOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(a.openapi) // the client is gone: nobody is left to tell
}
