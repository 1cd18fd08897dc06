package httpapi

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
)

// atMoment finds the state that a request with ?at= is about; without it, the newest.
func (a *API) atMoment(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if at := r.URL.Query().Get("at"); at != "" {
			reading, err := a.App.At(r.Context(), at)
			if err != nil {
				a.fail(w, r, err)
				return
			}
			requestOf(r).reading = &reading
		}
		next.ServeHTTP(w, r)
	})
}

// readingOf is the state that a request is about.
func readingOf(a *API, r *http.Request) app.Reading {
	if known := requestOf(r).reading; known != nil {
		return *known
	}
	return a.App.Now()
}

// isPast reports whether a request is about a moment rather than about now.
func isPast(r *http.Request) bool { return requestOf(r).reading != nil }

// notOfThePast refuses ?at= where there is only a present.
func notOfThePast(why string) error {
	return spec.Errors{{Field: "at", Want: "no moment here: " + why}}
}

// onlyNow refuses ?at= for what nodes are asked.
func (a *API) onlyNow(handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if isPast(r) {
			a.fail(w, r, notOfThePast("the node is asked, and it knows only the present"))
			return
		}
		handle(w, r)
	}
}

func (a *API) getMoment(w http.ResponseWriter, r *http.Request) {
	document(w, http.StatusOK, readingOf(a, r).Moment())
}

func (a *API) getDiff(w http.ResponseWriter, r *http.Request) {
	q := queries{r: r}
	if q.text("from") == "" {
		a.fail(w, r, spec.Errors{{Field: "from", Want: "the earlier moment: a sequence, an RFC 3339 time, or how long ago (-15m)"}})
		return
	}
	diff, err := a.App.Diff(r.Context(), q.text("from"), q.text("to"), q.text("namespace"))
	a.answer(w, r, diff, err)
}

func (a *API) postQuery(w http.ResponseWriter, r *http.Request) {
	var query api.Query
	if err := a.strictly(w, r, &query); err != nil {
		a.fail(w, r, err)
		return
	}
	result, err := a.App.Query(r.Context(), query)
	a.answer(w, r, result, err)
}

func (a *API) postBisect(w http.ResponseWriter, r *http.Request) {
	var bisect api.Bisect
	if err := a.strictly(w, r, &bisect); err != nil {
		a.fail(w, r, err)
		return
	}
	result, culprit, err := a.App.Bisect(r.Context(), bisect)
	if err == nil {
		result.Event = cloudEvent(culprit)
	}
	a.answer(w, r, result, err)
}

func (a *API) postRestore(w http.ResponseWriter, r *http.Request) {
	var restore api.Restore
	if err := a.strictly(w, r, &restore); err != nil {
		a.fail(w, r, err)
		return
	}
	result, err := a.App.Restore(r.Context(), a.caller(r), restore)
	a.answer(w, r, result, err)
}

func (a *API) postUndo(w http.ResponseWriter, r *http.Request) {
	var undo api.Undo
	if err := a.strictly(w, r, &undo); err != nil {
		a.fail(w, r, err)
		return
	}
	result, err := a.App.Undo(r.Context(), a.caller(r), chi.URLParam(r, "id"), undo)
	a.answer(w, r, result, err)
}
