package door

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/jetstream"
)

// Client is a node's way to the log. It is safe for use by several goroutines.
type Client struct {
	nc       *nats.Conn
	node     string
	key      string
	registry *events.Registry
	live     *jetstream.Client // for what is heard and sent without asking anybody
	patience Patience
}

// Patience is how long a request waits.
type Patience struct {
	Answer  time.Duration // for one answer at first; later tries wait longer
	Request time.Duration // for the whole request, where its context has no deadline
}

// DefaultPatience bears the death of a node-health within a request, and leaves an election of the log to whoever asks again.
var DefaultPatience = Patience{Answer: 2 * time.Second, Request: 15 * time.Second}

// Open makes a client on the connection of a node that was admitted with the key. registry may not be nil.
func Open(nc *nats.Conn, node, key string, registry *events.Registry, options ...jetstream.Option) *Client {
	return OpenPatient(nc, node, key, registry, DefaultPatience, options...)
}

// OpenPatient is [Open] with another patience.
func OpenPatient(nc *nats.Conn, node, key string, registry *events.Registry, patience Patience, options ...jetstream.Option) *Client {
	return &Client{nc: nc, node: node, key: key, registry: registry, live: jetstream.Open(nc, registry, options...), patience: patience}
}

// Log is the event log, as far as it is the node's.
func (c *Client) Log() *NodeLog { return &NodeLog{client: c, live: c.live.Log()} }

// Commands sends the node's registration.
func (c *Client) Commands() *Commands { return &Commands{client: c} }

// Heartbeats sends the node's pulse, which goes past the door.
func (c *Client) Heartbeats() *jetstream.Heartbeats { return c.live.Heartbeats() }

// Ping is a round trip to whoever serves the door: the connection stands at both ends, and somebody is there who hears nodes.
func (c *Client) Ping(ctx context.Context) error {
	if _, err := c.ask(ctx, verbPing, struct{}{}); err != nil {
		return fmt.Errorf("knock at the door: %w", err)
	}
	return nil
}

// Renew asks for new credentials for the node's key.
func (c *Client) Renew(ctx context.Context) (jwt string, err error) {
	a, err := c.ask(ctx, verbRenew, struct{}{})
	if err != nil {
		return "", fmt.Errorf("renew the credentials of %s: %w", c.node, err)
	}
	return a.JWT, nil
}

// The pauses between two tries.
const (
	firstPause = 20 * time.Millisecond
	mostPause  = 500 * time.Millisecond
	mostWait   = 8 * time.Second
)

// ask makes a request until it is answered. What may pass is tried again with the very same content: nobody answers, the answer was
// lost, the log elects a leader or is busy. It fails with [events.ErrUnknown] where a try's outcome is open, with
// [events.ErrUnavailable] where none got through, else with what the door said.
func (c *Client) ask(ctx context.Context, verb string, request any) (answer, error) {
	data, err := json.Marshal(request)
	if err != nil {
		return answer{}, fmt.Errorf("encode the request: %w", err)
	}
	if most := c.nc.MaxPayload(); most > 0 && int64(len(data)) > most {
		return answer{}, fmt.Errorf("request of %d bytes, at most %d: %w", len(data), most, events.ErrTooLarge)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.patience.Request)
		defer cancel()
	}
	open := false // a try may have been carried out
	wait, pause := c.patience.Answer, firstPause
	for try := 0; ; try++ {
		a, sent, err := c.once(ctx, verb, data, wait, try > 0)
		if err == nil {
			return a, nil
		}
		passes := errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrUnknown) || errors.Is(err, events.ErrBusy)
		if !passes {
			return answer{}, err
		}
		open = open || sent && !errors.Is(err, events.ErrBusy) && !errors.Is(err, events.ErrUnavailable)
		if errors.Is(err, events.ErrUnknown) {
			wait = min(2*wait, mostWait)
		}
		select {
		case <-ctx.Done():
			if open && !errors.Is(err, events.ErrUnknown) {
				err = fmt.Errorf("%w (%w)", events.ErrUnknown, err)
			}
			return answer{}, err
		case <-time.After(pause + rand.N(pause)):
		}
		pause = min(2*pause, mostPause)
	}
}

// once makes one try. sent: the request has left, so that a missing answer leaves its outcome open.
func (c *Client) once(ctx context.Context, verb string, data []byte, wait time.Duration, again bool) (a answer, sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	msg := nats.NewMsg(Subject(c.node, c.key, verb))
	msg.Data = data
	msg.Header.Set(headerPatience, (wait * 3 / 4).String())
	if again {
		msg.Header.Set(headerAgain, "1")
	}
	reply, err := c.nc.RequestMsgWithContext(ctx, msg)
	switch {
	case err == nil:
	case errors.Is(err, nats.ErrNoResponders):
		return a, false, fmt.Errorf("%w: no node-health is there to answer", events.ErrUnavailable)
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionClosed):
		return a, false, fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	default:
		return a, true, fmt.Errorf("%w: no answer (%w)", events.ErrUnknown, err)
	}
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return a, true, fmt.Errorf("%w: answer cannot be read (%w)", events.ErrUnknown, err)
	}
	return a, true, a.err()
}
