package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/internal/rpc"
)

const ndjson = "application/x-ndjson"

// getLogs streams the log of a container: as text, or with Accept: application/x-ndjson one api.LogLine a line.
func (a *API) getLogs(w http.ResponseWriter, r *http.Request) {
	q := queries{r: r}
	request := rpc.LogsRequest{
		Container: q.text("container"), Previous: q.flag("previous"), Follow: q.flag("follow"), Tail: q.number("tail", -1),
	}
	request.Since = q.since(time.Now())
	timestamps := q.flag("timestamps")
	if err := q.faults.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	ctx, cancel := a.streaming(r)
	defer cancel()
	out := &logStream{w: w, control: http.NewResponseController(w), structured: strings.Contains(r.Header.Get("Accept"), ndjson), timestamps: timestamps}
	err := a.App.Logs(ctx, chi.URLParam(r, "namespace"), chi.URLParam(r, "name"), request, out.line)
	switch {
	case err == nil && !out.begun:
		out.begin()
	case err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled):
	case !out.begun:
		a.fail(w, r, err)
	case out.structured:
		p := *problemOf(err)
		p.RequestID = requestOf(r).id
		_ = out.encode(api.LogLine{Error: &p}) // the last word; nobody is left to tell where it fails
	default:
		panic(http.ErrAbortHandler) // plain text has no place for an error: cut it off so that nobody takes it for the whole log
	}
}

// since reads a time (RFC 3339) or how long ago it was (10m).
func (q *queries) since(now time.Time) time.Time {
	raw := q.text("since")
	if raw == "" {
		return time.Time{}
	}
	if ago, err := time.ParseDuration(raw); err == nil && ago >= 0 {
		return now.Add(-ago)
	}
	at, err := time.Parse(time.RFC3339Nano, raw)
	if err != nil {
		q.faults = append(q.faults, spec.FieldError{Field: "since", Value: raw, Want: "a time such as 2026-01-02T15:04:05Z, or how long ago, such as 10m"})
	}
	return at
}

type logStream struct {
	w          http.ResponseWriter
	control    *http.ResponseController
	structured bool
	timestamps bool
	begun      bool
	partial    bool
}

func (s *logStream) begin() {
	s.begun = true
	kind := "text/plain; charset=utf-8"
	if s.structured {
		kind = ndjson
	}
	s.w.Header().Set("Content-Type", kind)
	s.w.Header().Set("X-Content-Type-Options", "nosniff")
	s.w.WriteHeader(http.StatusOK)
}

func (s *logStream) line(line rpc.LogLine) error {
	if !s.begun {
		s.begin()
	}
	if s.structured {
		return s.encode(api.LogLine{Time: line.Time, Stream: line.Stream, Partial: line.Partial, Text: strings.ToValidUTF8(string(line.Text), "\uFFFD")})
	}
	var text []byte
	if s.timestamps && !s.partial {
		text = append(line.Time.UTC().AppendFormat(text, time.RFC3339Nano), ' ')
	}
	text = append(text, line.Text...)
	if s.partial = line.Partial; !line.Partial {
		text = append(text, '\n')
	}
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	return s.control.Flush()
}

func (s *logStream) encode(line api.LogLine) error {
	if err := json.NewEncoder(s.w).Encode(line); err != nil {
		return err
	}
	return s.control.Flush()
}

func (a *API) getStats(w http.ResponseWriter, r *http.Request) {
	stats, err := a.App.Stats(r.Context(), chi.URLParam(r, "namespace"), chi.URLParam(r, "name"))
	a.answer(w, r, stats, err)
}
