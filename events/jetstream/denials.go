package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/rutter-run/rutter/events"
)

// denials tells requests in flight that the server refused to carry them. A NATS server does not answer such a request: it reports the
// violation to the connection's error handler, and which subject it was about stands only in the report's text.
type denials struct {
	mu      sync.Mutex
	watches map[*denial]struct{}
}

// denial is one request's watch.
type denial struct {
	of       *denials
	subjects []string
	cancel   context.CancelCauseFunc
	fault    error
}

func watchDenials(nc *nats.Conn) *denials {
	d := &denials{watches: map[*denial]struct{}{}}
	next := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			d.report(err)
		}
		if next != nil {
			next(nc, sub, err)
		}
	})
	return d
}

// report hands a violation to the requests that it may be about.
func (d *denials) report(err error) {
	text := err.Error()
	d.mu.Lock()
	defer d.mu.Unlock()
	for w := range d.watches {
		for _, subject := range w.subjects {
			if strings.Contains(text, strconv.Quote(subject)) {
				w.fault = fmt.Errorf("%s: %w: %w", subject, events.ErrDenied, err)
				if w.cancel != nil {
					w.cancel(w.fault)
				}
				break
			}
		}
	}
}

// watch starts to listen for violations of the subjects; stop must be called.
func (d *denials) watch(subjects ...string) *denial {
	w := &denial{of: d, subjects: subjects}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watches[w] = struct{}{}
	return w
}

// context is done as soon as a violation was reported.
func (w *denial) context(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	w.cancel = cancel
	if w.fault != nil {
		cancel(w.fault)
	}
	return ctx, func() { cancel(nil) }
}

func (w *denial) err() error {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	return w.fault
}

func (w *denial) stop() {
	w.of.mu.Lock()
	defer w.of.mu.Unlock()
	delete(w.of.watches, w)
}
