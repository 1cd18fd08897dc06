package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
)

// getEvents answers the log: a page of it as JSON, or with Accept: text/event-stream all of it and what comes.
func (a *API) getEvents(w http.ResponseWriter, r *http.Request) {
	q := queries{r: r}
	filter := app.Filter{
		Namespace: q.text("namespace"), Workload: q.text("workload"), Instance: q.text("instance"), Node: q.text("node"),
	}
	for _, aggregate := range q.list("aggregate") {
		filter.Aggregates = append(filter.Aggregates, events.Aggregate(aggregate))
	}
	from, limit := pageStart(&q)
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		if isPast(r) {
			a.fail(w, r, notOfThePast("an event stream goes on with what happens"))
			return
		}
		if last := r.Header.Get("Last-Event-ID"); last != "" {
			sequence, err := strconv.ParseUint(last, 10, 64)
			if err != nil {
				q.faults = append(q.faults, spec.FieldError{Field: "Last-Event-ID", Value: last, Want: "the id of an event of this stream"})
			}
			from = sequence + 1
		}
		if err := q.faults.Err(); err != nil {
			a.fail(w, r, err)
			return
		}
		if err := filter.Validate(); err != nil {
			a.fail(w, r, err)
			return
		}
		a.streamEvents(w, r, from, filter)
		return
	}
	if err := q.faults.Err(); err != nil {
		a.fail(w, r, err)
		return
	}
	page, next, err := readingOf(a, r).Events(r.Context(), from, filter, limit)
	a.eventPage(w, r, page, next, err)
}

// pageStart is where a page of events starts: ?from= a sequence, or ?continue= of the page before, which is a sequence as well.
func pageStart(q *queries) (from uint64, limit int) {
	from, limit = q.sequence("from"), q.number("limit", 0)
	if q.text("continue") != "" {
		from = q.sequence("continue")
	}
	return from, limit
}

func (a *API) getHistory(kind events.Aggregate) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := queries{r: r}
		from, limit := pageStart(&q)
		if err := q.faults.Err(); err != nil {
			a.fail(w, r, err)
			return
		}
		page, next, err := readingOf(a, r).History(r.Context(), thingOf(r, kind), from, limit)
		a.eventPage(w, r, page, next, err)
	}
}

func (a *API) getWhy(kind events.Aggregate) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		why, err := readingOf(a, r).Why(r.Context(), thingOf(r, kind))
		a.answer(w, r, why, err)
	}
}

func thingOf(r *http.Request, kind events.Aggregate) app.Thing {
	return app.Thing{Kind: kind, Namespace: chi.URLParam(r, "namespace"), Name: chi.URLParam(r, "name")}
}

// eventPage answers a page of events, each a structured-mode CloudEvent.
func (a *API) eventPage(w http.ResponseWriter, r *http.Request, page []events.Event, next uint64, err error) {
	if err != nil {
		a.fail(w, r, err)
		return
	}
	list := api.List[json.RawMessage]{Items: make([]json.RawMessage, len(page)), Sequence: readingOf(a, r).Sequence()}
	for i, e := range page {
		list.Items[i] = cloudEvent(e)
	}
	if next > 0 {
		list.Continue = strconv.FormatUint(next, 10)
	}
	document(w, http.StatusOK, list)
}

// cloudEvent is the event as a structured CloudEvents document. What stands malformed in the log is wrapped in an event of the gateway's
// own, so that a follower sees that there is something at this sequence and goes on.
func cloudEvent(e events.Event) json.RawMessage {
	if _, malformed := e.Data.(events.Malformed); !malformed {
		if data, err := cloudevent.JSON(e); err == nil {
			return data
		}
	}
	stand := events.Event{
		ID: "malformed-" + strconv.FormatUint(e.Sequence, 10), Type: "run.rutter.gateway.malformed.v1", Source: "/rutter/gateway",
		Subject: e.Subject, Time: e.Time, Sequence: e.Sequence, Recorded: e.Recorded,
		Data: events.Unknown{Raw: json.RawMessage(strconv.Quote(events.Line(e)))},
	}
	data, err := cloudevent.JSON(stand)
	if err != nil {
		return json.RawMessage("null") // cannot be: every attribute of it is well-formed
	}
	return data
}

// streamEvents answers with server-sent events (WHATWG HTML, section 9.2). The id of each is its sequence: a browser's EventSource and the
// Go client resume by it.
func (a *API) streamEvents(w http.ResponseWriter, r *http.Request, from uint64, filter app.Filter) {
	ctx, cancel := a.streaming(r)
	defer cancel()
	if from == 0 {
		last, err := a.App.End(ctx)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		from = last + 1
	}
	out := &eventStream{w: w, control: http.NewResponseController(w)}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	w.WriteHeader(http.StatusOK)
	// A stream of what is to come tells at once where that is: whoever is cut off before the first event resumes there and misses none.
	begin := "retry: 1000\n\n"
	begin += fmt.Sprintf("id: %d\n\n", from-1)
	if out.write(begin) != nil || out.flush() != nil {
		return
	}
	found := make(chan events.Event, 256)
	passed := make(chan uint64, 1) // newest sequence that the filter turned away
	followed := make(chan error, 1)
	go func() {
		followed <- a.App.Watch(ctx, from, filter, func(e events.Event, matches bool) error {
			if !matches {
				select {
				case <-passed:
				default:
				}
				passed <- e.Sequence
				return nil
			}
			select {
			case found <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	err := out.run(ctx, a.KeepAlive, found, passed, followed)
	if err != nil && ctx.Err() == nil {
		a.Log.WithField("request", requestOf(r).id).WithError(err).Warn("event stream broke off")
	}
}

// eventStream writes server-sent events.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	at      uint64 // newest sequence told
}

// run writes what comes until the stream is over. It flushes whenever nothing more is waiting.
func (s *eventStream) run(ctx context.Context, keepAlive time.Duration, found <-chan events.Event, passed <-chan uint64, followed <-chan error) error {
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-followed:
			return err
		case e := <-found:
			if err := s.event(e); err != nil {
				return err
			}
			if len(found) > 0 {
				continue
			}
		case <-ticker.C:
			// A bare id moves the place to resume from past what the filter turned away; without news a comment keeps the line open.
			line := ": still here\n\n"
			select {
			case sequence := <-passed:
				if sequence > s.at && len(found) == 0 {
					s.at = sequence
					line = fmt.Sprintf("id: %d\n\n", sequence)
				}
			default:
			}
			if err := s.write(line); err != nil {
				return err
			}
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
}

func (s *eventStream) event(e events.Event) error {
	s.at = e.Sequence
	var b bytes.Buffer
	fmt.Fprintf(&b, "id: %d\ndata: ", e.Sequence)
	b.Write(cloudEvent(e)) // compact JSON has no line breaks
	b.WriteString("\n\n")
	_, err := s.w.Write(b.Bytes())
	return err
}

func (s *eventStream) write(text string) error {
	_, err := s.w.Write([]byte(text))
	return err
}

func (s *eventStream) flush() error { return s.control.Flush() }
