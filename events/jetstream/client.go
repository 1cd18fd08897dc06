package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"

	"github.com/rutter-run/rutter/events"
)

// Client is one process's way to the streams. It is safe for use by several goroutines.
type Client struct {
	nc       *nats.Conn
	registry *events.Registry
	denials  *denials
	wait     time.Duration
	lease    time.Duration
	log      logrus.FieldLogger
	direct   atomic.Bool   // the last event of a subject is asked of any replica, by subject
	imported atomic.Uint64 // up to this sequence the log was imported, as far as the client has heard
}

// Option changes a client's defaults.
type Option func(*Client)

// AckWait is how long a request without a deadline of its own waits for its answer; 10 s, longer than a failover, where not given.
func AckWait(d time.Duration) Option { return func(c *Client) { c.wait = d } }

// LeaseTTL is how long a lease lives without renewal; [events.LeaseTTL] where not given, one second at least. It is renewed every third of it.
func LeaseTTL(d time.Duration) Option { return func(c *Client) { c.lease = d } }

// Logger is where the client says what it repairs by itself; logrus' standard logger where not given.
func Logger(log logrus.FieldLogger) Option { return func(c *Client) { c.log = log } }

// Open makes a client on a connection. It puts itself before the connection's error handler, where permission violations arrive;
// the handler that was there is still called.
func Open(nc *nats.Conn, registry *events.Registry, options ...Option) *Client {
	c := &Client{nc: nc, registry: registry, wait: 10 * time.Second, lease: events.LeaseTTL, log: logrus.StandardLogger()}
	for _, option := range options {
		option(c)
	}
	c.denials = watchDenials(nc)
	return c
}

// Log is the event log.
func (c *Client) Log() *Log { return &Log{client: c} }

// Commands is the command stream.
func (c *Client) Commands() *Commands { return &Commands{client: c} }

// Leases elects leaders.
func (c *Client) Leases() *Leases { return &Leases{client: c} }

// Heartbeats is the nodes' pulse.
func (c *Client) Heartbeats() *Heartbeats { return &Heartbeats{client: c} }

// bounded gives ctx a deadline where it has none.
func (c *Client) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, c.wait)
}

// request sends a message and waits for its one answer. It waits for a lost connection to come back before it sends, and fails with
// [events.ErrDenied] as soon as the server says so.
func (c *Client) request(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	denied := c.denials.watch(msg.Subject)
	defer denied.stop()
	ctx, stop := denied.context(ctx)
	defer stop()
	for {
		answer, err := c.nc.RequestMsgWithContext(ctx, msg)
		switch {
		case err == nil:
			return answer, nil
		case errors.Is(err, nats.ErrReconnectBufExceeded):
			if err := c.connected(ctx); err != nil {
				return nil, transport(err, false)
			}
		case denied.err() != nil:
			return nil, denied.err()
		default:
			return nil, transport(err, true)
		}
	}
}

// api asks the JetStream API and reads its answer into response, which may be nil.
func (c *Client) api(ctx context.Context, subject string, request, response any) error {
	msg := nats.NewMsg(apiPrefix + subject)
	if request != nil {
		data, err := json.Marshal(request)
		if err != nil {
			return fmt.Errorf("encode request to %s: %w", subject, err)
		}
		msg.Data = data
	}
	answer, err := c.request(ctx, msg)
	if err != nil {
		return err
	}
	var fault struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(answer.Data, &fault); err != nil {
		return fmt.Errorf("answer of %s: %w", subject, err)
	}
	if fault.Error != nil {
		return fault.Error
	}
	if response == nil {
		return nil
	}
	return json.Unmarshal(answer.Data, response)
}

// ask is api for what changes nothing: a question that nobody answers, as while a leader is elected, is asked again until ctx is done or the
// client's wait is over.
func (c *Client) ask(ctx context.Context, subject string, request, response any) error {
	const try, pause = 2 * time.Second, 50 * time.Millisecond
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	for {
		once, end := context.WithTimeout(ctx, try)
		err := c.api(once, subject, request, response)
		end()
		if err == nil || !errors.Is(err, events.ErrUnknown) && !errors.Is(err, events.ErrUnavailable) || errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// connected waits until the connection stands.
func (c *Client) connected(ctx context.Context) error {
	changed := c.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer c.nc.RemoveStatusListener(changed)
	for {
		switch c.nc.Status() {
		case nats.CONNECTED:
			return nil
		case nats.CLOSED:
			return nats.ErrConnectionClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
