package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/subscription"
)

// Position keeps a subscriber's position in the key-value bucket SUBSCRIBERS, under the subscriber's name. Every write expects the one before it, and
// loading writes: of two processes with one name the one that started last goes on, and the other ends with [events.ErrConflict].
type Position struct {
	client   *Client
	name     string
	sequence uint64 // of the last write, in the bucket
}

var _ subscription.Store = (*Position)(nil)

// Position is where the subscriber of this name stands.
func (c *Client) Position(name string) *Position { return &Position{client: c, name: name} }

// Load implements subscription.Store. What a replica that is a moment behind says is not taken for the position: only what can be written
// back is it.
func (p *Position) Load(ctx context.Context) (subscription.Position, error) {
	ctx, cancel := p.client.bounded(ctx)
	defer cancel()
	for {
		at, sequence, err := p.read(ctx)
		if err == nil {
			p.sequence = sequence
			var data []byte
			if data, err = json.Marshal(at); err == nil {
				err = p.write(ctx, data)
			}
		}
		if err == nil || !passing(err) && !errors.Is(err, events.ErrConflict) || !rest(ctx) {
			return at, p.wrapped(err)
		}
	}
}

func (p *Position) read(ctx context.Context) (at subscription.Position, sequence uint64, err error) {
	msg, err := p.client.lastMessage(ctx, positionStream, positionPrefix+p.name)
	switch {
	case errors.Is(err, events.ErrNotFound):
		return at, 0, nil
	case err != nil:
		return at, 0, fmt.Errorf("position of %s: %w", p.name, err)
	case msg.header.Get(operationHeader) != "":
		return at, msg.sequence, nil // deleted: begin anew
	}
	if err := json.Unmarshal(msg.data, &at); err != nil {
		return at, 0, fmt.Errorf("position of %s is not one that was kept here (%w); delete the key to begin anew: %w", p.name, err, events.ErrInvalid)
	}
	return at, msg.sequence, nil
}

// Advance implements subscription.Store.
func (p *Position) Advance(ctx context.Context, handle func(context.Context) (subscription.Position, error)) error {
	at, err := handle(ctx)
	if err != nil {
		return err
	}
	data, err := json.Marshal(at)
	if err != nil {
		return p.wrapped(err)
	}
	// What was handled is not handled again because the servers are away for a while, or because the program was told to end just now.
	ctx, cancel := outlive(ctx, lastWord)
	defer cancel()
	for {
		err = p.write(ctx, data)
		if errors.Is(err, events.ErrConflict) {
			err = p.settle(ctx, data, err)
		}
		if err == nil || !passing(err) || !rest(ctx) {
			return p.wrapped(err)
		}
	}
}

func (p *Position) wrapped(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("position of %s: %w", p.name, err)
}

// lastWord is how long the keeping of a position goes on once the subscription is to end.
const lastWord = 5 * time.Second

// outlive is a context that is done only a while after ctx is.
func outlive(ctx context.Context, by time.Duration) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return longer, func() { stop(); cancel() }
}

// passing reports whether an error may be gone the next time.
func passing(err error) bool {
	return errors.Is(err, events.ErrUnavailable) || errors.Is(err, events.ErrUnknown) || errors.Is(err, events.ErrBusy)
}

// rest waits a little before the next try; false when ctx is done.
func rest(ctx context.Context) bool {
	const pause = 100 * time.Millisecond
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause + rand.N(pause)):
		return true
	}
}

func (p *Position) write(ctx context.Context, data []byte) error {
	answer, err := p.client.request(ctx, &nats.Msg{
		Subject: positionPrefix + p.name, Data: data,
		Header: nats.Header{js.ExpectedLastSubjSeqHeader: {strconv.FormatUint(p.sequence, 10)}},
	})
	if err != nil {
		return err
	}
	var ack pubAck
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return err
	}
	if ack.Error != nil {
		return ack.Error
	}
	p.sequence = ack.Sequence
	return nil
}

// settle finds out whose write was in the way: the own one, whose answer was lost, or another's.
func (p *Position) settle(ctx context.Context, data []byte, conflict error) error {
	now, sequence, err := p.read(ctx)
	if err != nil {
		return err
	}
	if sequence <= p.sequence {
		return fmt.Errorf("a replica is behind: %w", events.ErrBusy)
	}
	if own, err := json.Marshal(now); err != nil || string(own) != string(data) {
		return fmt.Errorf("another process is subscribed under this name: %w", conflict)
	}
	p.sequence = sequence
	return nil
}
