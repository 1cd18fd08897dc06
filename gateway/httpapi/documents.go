package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
)

var (
	errBody         = errors.New("malformed body")
	errBodyTooLarge = errors.New("body too large")
)

// bodyTimeout is how long a client may take to send its document.
const bodyTimeout = 30 * time.Second

// body reads a request's body up to the limit.
func (a *API) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// A body has its own time limit; the connection has none, for streams live long. A server that cannot set one reads without.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, a.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, fmt.Errorf("%w: at most %d bytes", errBodyTooLarge, large.Limit)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errBody, err)
	}
	return data, nil
}

// strictly reads a JSON body that is exactly one document without unknown fields.
func (a *API) strictly(w http.ResponseWriter, r *http.Request, into any) error {
	data, err := a.body(w, r)
	if err != nil {
		return err
	}
	if err := spec.DecodeStrict(data, into); err != nil {
		if faults := faultsIn(err); len(faults) > 0 {
			return faults
		}
		return fmt.Errorf("%w: %w", errBody, err)
	}
	return nil
}

// document answers with JSON.
func document(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // plain data always encode; a client that went away is nobody to tell
}

func text(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, line+"\n")
}

// fail answers with a problem.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := *problemOf(err)
	p.RequestID = requestOf(r).id
	if p.Status >= http.StatusInternalServerError && p.Status != http.StatusServiceUnavailable {
		a.Log.WithField("request", p.RequestID).WithError(err).Error("request failed")
	}
	w.Header().Set("Content-Type", api.ProblemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// answer is a document, or the problem where err is not nil.
func (a *API) answer(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		a.fail(w, r, err)
		return
	}
	document(w, http.StatusOK, v)
}

// caller is who makes the request.
func (a *API) caller(r *http.Request) app.Caller {
	return app.Caller{
		Actor: "token:" + requestOf(r).token.Name, Reason: r.URL.Query().Get("reason"),
		IdempotencyKey: r.Header.Get("Idempotency-Key"), TraceParent: r.Header.Get("Traceparent"),
	}
}

// queries reads query parameters and collects what is wrong with them.
type queries struct {
	r      *http.Request
	faults spec.Errors
}

func (q *queries) text(name string) string { return q.r.URL.Query().Get(name) }

func (q *queries) flag(name string) bool {
	values, ok := q.r.URL.Query()[name]
	if !ok {
		return false
	}
	on, err := strconv.ParseBool(values[0])
	if err != nil {
		q.faults = append(q.faults, spec.FieldError{Field: name, Value: values[0], Want: "true or false"})
	}
	return on
}

func (q *queries) number(name string, otherwise int) int {
	raw := q.text(name)
	if raw == "" {
		return otherwise
	}
	n, err := strconv.Atoi(raw)
	if err != nil {
		q.faults = append(q.faults, spec.FieldError{Field: name, Value: raw, Want: "a number"})
	}
	return n
}

func (q *queries) sequence(name string) uint64 {
	raw := q.text(name)
	if raw == "" {
		return 0
	}
	n, err := strconv.ParseUint(raw, 10, 64)
	if err != nil {
		q.faults = append(q.faults, spec.FieldError{Field: name, Value: raw, Want: "a sequence of the event log, such as 42"})
	}
	return n
}

func (q *queries) page() app.Page {
	return app.Page{Limit: q.number("limit", 0), Continue: q.text("continue")}
}

func (q *queries) list(name string) (all []string) {
	for _, value := range q.r.URL.Query()[name] {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
	}
	return all
}

func goVersion() string { return runtime.Version() }
