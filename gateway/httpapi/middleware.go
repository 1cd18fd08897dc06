package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
)

// request is what is known of a request beside HTTP.
type request struct {
	id      string
	token   Token
	reading *app.Reading // of the moment that was asked for; nil: now
}

type requestKey struct{}

func requestOf(r *http.Request) *request {
	if known, ok := r.Context().Value(requestKey{}).(*request); ok {
		return known
	}
	return &request{}
}

// requestID gives every request an id that is in its answer, its log line and its problem.
func requestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if len(id) > 64 || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
			id = "" // not worth a refusal, and not worth a place in the log
		}
		if id == "" {
			id = strings.ToLower(rand.Text())
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, &request{id: id})))
	})
}

// observe writes the access log and counts.
func (a *API) observe() func(http.Handler) http.Handler {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "rutter_http_requests_total", Help: "Requests answered, by method, route and status code.",
	}, []string{"method", "route", "code"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "rutter_http_request_duration_seconds", Help: "How long requests took, streams included.", Buckets: prometheus.DefBuckets,
	}, []string{"method", "route"})
	sequence := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rutter_gateway_projection_sequence", Help: "Last event folded into the gateway's projection.",
	}, func() float64 { return float64(a.App.View.View().Sequence()) })
	a.Metrics.MustRegister(requests, duration, sequence)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			answer := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			defer func() {
				took := time.Since(start)
				code := max(answer.Status(), 0)
				if code == 0 {
					code = http.StatusOK
				}
				route := chi.RouteContext(r.Context()).RoutePattern()
				if route == "" {
					route = "none"
				}
				requests.WithLabelValues(r.Method, route, strconv.Itoa(code)).Inc()
				duration.WithLabelValues(r.Method, route).Observe(took.Seconds())
				known := requestOf(r)
				entry := a.Log.WithFields(logrus.Fields{
					"method": r.Method, "path": r.URL.Path, "code": code, "bytes": answer.BytesWritten(), "took": took.Round(time.Microsecond).String(),
					"remote": r.RemoteAddr, "request": known.id, "actor": known.token.Name,
				})
				switch route {
				case "/livez", "/readyz", "/metrics":
					entry.Debug("http")
				default:
					entry.Info("http")
				}
			}()
			next.ServeHTTP(answer, r)
		})
	}
}

// recoverPanics turns a fault of the program into a problem, and its stack into the log.
func (a *API) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			fault := recover()
			switch {
			case fault == nil:
			case fault == http.ErrAbortHandler:
				panic(fault) // a handler cuts its answer off on purpose
			default:
				a.Log.WithField("request", requestOf(r).id).Errorf("panic: %v\n%s", fault, debug.Stack())
				a.fail(w, r, &api.Problem{Type: problemType("internal"), Title: "an error of the gateway", Status: http.StatusInternalServerError,
					Detail: "the gateway's log has the details under this request's id"})
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// authenticate lets in who has a token of the role.
func (a *API) authenticate(needed Role) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			if !ok || secret == "" {
				w.Header().Set("WWW-Authenticate", `Bearer realm="rutter"`)
				a.fail(w, r, &api.Problem{Type: problemType("no-token"), Title: "no token", Status: http.StatusUnauthorized,
					Detail: "this needs a token: send `Authorization: Bearer <token>` (the command line takes RUTTER_TOKEN, --token or client.json)"})
				return
			}
			token, err := a.Tokens.find(strings.TrimSpace(secret))
			if err != nil {
				w.Header().Set("WWW-Authenticate", `Bearer realm="rutter", error="invalid_token"`)
				a.fail(w, r, &api.Problem{Type: problemType("bad-token"), Title: "token not accepted", Status: http.StatusUnauthorized,
					Detail: "the token is not one of this cluster's: check RUTTER_TOKEN, --token or client.json"})
				return
			}
			requestOf(r).token = token
			if !token.Role.Allows(needed) {
				a.fail(w, r, &api.Problem{Type: problemType("denied"), Title: "not allowed", Status: http.StatusForbidden,
					Detail: fmt.Sprintf("token %s has the role %s, this needs %s", token.Name, token.Role, needed)})
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// writable refuses every change where there is only a copy of a log.
func (a *API) writable(next http.Handler) http.Handler {
	if a.ReadOnly == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, fmt.Errorf("%s: %w", a.ReadOnly, events.ErrReadOnly))
	})
}

// caughtUp holds a request with ?sequence=N until the view includes that sequence: a client reads what it wrote, whichever gateway answers.
// Without it the view must only have caught up once.
func (a *API) caughtUp(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.App.View.Live() {
			if err := a.App.Ready(r.Context()); err != nil {
				w.Header().Set("Retry-After", "1")
				a.fail(w, r, err)
				return
			}
		}
		if raw := r.URL.Query().Get("sequence"); raw != "" {
			sequence, err := strconv.ParseUint(raw, 10, 64)
			if err != nil {
				a.fail(w, r, spec.Errors{{Field: "sequence", Value: raw, Want: "a sequence of the event log, such as 42"}})
				return
			}
			if err := a.App.CatchUp(r.Context(), sequence); err != nil {
				a.fail(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
