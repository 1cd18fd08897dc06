package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/gateway/api"
)

// Filter chooses events. The zero Filter takes all.
type Filter struct {
	Aggregates []string
	Namespace  string
	Workload   string
	Instance   string
	Node       string
}

func (f Filter) query() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"aggregate": strings.Join(f.Aggregates, ","), "namespace": f.Namespace, "workload": f.Workload, "instance": f.Instance, "node": f.Node,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// Events calls handle with the events from a sequence on (0: the first) up to the present end of the log.
func (c *Client) Events(ctx context.Context, from uint64, filter Filter, handle func(events.Event) error) error {
	return c.pages(ctx, "/v1/events", from, filter.query(), handle)
}

// History calls handle with all that ever happened to a thing, oldest first.
func (c *Client) History(ctx context.Context, thing Thing, handle func(events.Event) error) error {
	return c.pages(ctx, thing.path()+"/history", 0, url.Values{}, handle)
}

func (c *Client) pages(ctx context.Context, path string, from uint64, query url.Values, handle func(events.Event) error) error {
	if from > 0 {
		query.Set("from", strconv.FormatUint(from, 10))
	}
	for {
		var page api.List[json.RawMessage]
		if err := c.do(ctx, call{method: http.MethodGet, path: path, query: query}, &page); err != nil {
			return err
		}
		for _, item := range page.Items {
			e, err := cloudevent.FromJSON(c.registry, item)
			if err != nil {
				return fmt.Errorf("read events: %w", err)
			}
			if err := handle(e); err != nil {
				return err
			}
		}
		if page.Continue == "" {
			return nil
		}
		query.Set("continue", page.Continue)
	}
}

// The pause before a stream that broke off is asked for again: doubled each time in vain.
const (
	firstPause = 250 * time.Millisecond
	mostPause  = 10 * time.Second
)

// Stream calls handle with every event from a sequence on (0: only those to come), in order, each once, until ctx is done or handle fails.
// It reconnects by itself and resumes where it was; only a first connection that fails, and a refusal, are errors.
func (c *Client) Stream(ctx context.Context, from uint64, filter Filter, handle func(events.Event) error) error {
	return c.stream(ctx, from, filter, func() {}, handle)
}

// stream calls connected each time that a connection stands.
func (c *Client) stream(ctx context.Context, from uint64, filter Filter, connected func(), handle func(events.Event) error) error {
	s := &eventStream{client: c, filter: filter, from: from, connected: connected, handle: handle}
	pause := firstPause
	for {
		before := s.last
		err := s.once(ctx)
		var stop *handlerError
		switch {
		case errors.As(err, &stop):
			return stop.err
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (!s.met || refused(err)):
			return err
		}
		if s.last != before {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, mostPause)
		}
	}
}

// refused reports whether trying again is of no use.
func refused(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Status < http.StatusInternalServerError && p.Status != http.StatusTooManyRequests
}

type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }

type eventStream struct {
	client    *Client
	filter    Filter
	from      uint64
	last      string // id of the newest event, which the next connection resumes after
	met       bool   // a connection stood once
	connected func()
	handle    func(events.Event) error
}

// once reads one connection's events until it breaks.
func (s *eventStream) once(ctx context.Context) error {
	query := s.filter.query()
	header := http.Header{"Accept": {"text/event-stream"}}
	if s.last != "" {
		header.Set("Last-Event-ID", s.last)
	} else if s.from > 0 {
		query.Set("from", strconv.FormatUint(s.from, 10))
	}
	response, err := s.client.send(ctx, call{method: http.MethodGet, path: "/v1/events", query: query, header: header})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	s.met = true
	s.connected()
	return s.read(bufio.NewReaderSize(response.Body, 64<<10))
}

// read parses server-sent events (WHATWG HTML, section 9.2.6) as far as this API uses them.
func (s *eventStream) read(in *bufio.Reader) error {
	var data []byte
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0 && len(data) > 0:
			e, err := cloudevent.FromJSON(s.client.registry, data)
			if err != nil {
				return &handlerError{fmt.Errorf("read events: %w", err)}
			}
			if err := s.handle(e); err != nil {
				return &handlerError{err}
			}
			s.last = strconv.FormatUint(e.Sequence, 10)
			data = data[:0]
		case string(field) == "data":
			data = append(data, value...)
		case string(field) == "id" && len(data) == 0:
			// An id without data moves the place to resume from. One with data counts only once its event was handled.
			if next, err := in.Peek(1); err == nil && (next[0] == '\n' || next[0] == '\r') {
				s.last = string(value)
			}
		}
	}
}
