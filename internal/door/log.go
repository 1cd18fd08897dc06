package door

import (
	"context"
	"errors"
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/jetstream"
)

// NodeLog is the log as a node has it. It does what [events.LiveLog] says, for the node's own subjects.
type NodeLog struct {
	client *Client
	live   *jetstream.Log
}

// Append stores reports of the node; see [events.Log].
func (l *NodeLog) Append(ctx context.Context, batch events.Batch) (uint64, error) {
	batch, err := batch.Prepared()
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	request, err := encodeBatch(batch)
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	a, err := l.client.ask(ctx, verbAppend, request)
	if err != nil {
		return 0, fmt.Errorf("append at the door: %w", err)
	}
	return a.Sequence, nil
}

// Read calls handle with the history of one of the node's subjects; see [events.Log].
func (l *NodeLog) Read(ctx context.Context, subject events.Subject, from uint64, handle func(events.Event) error) error {
	decoder := cloudevent.NewDecoder(l.client.registry)
	for {
		a, err := l.client.ask(ctx, verbRead, readRequest{Subject: subject, From: from})
		if err != nil {
			return l.failed(ctx, "read "+string(subject), err)
		}
		for _, m := range a.Events {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := handle(decode(decoder, subject, m)); err != nil {
				return err
			}
			from = m.Sequence + 1
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !a.More {
			return nil
		}
	}
}

// LastOf is the last event of one of the node's subjects; see [events.Log].
func (l *NodeLog) LastOf(ctx context.Context, subject events.Subject) (events.Event, error) {
	a, err := l.client.ask(ctx, verbLastOf, readRequest{Subject: subject})
	if err == nil && len(a.Events) != 1 {
		err = errors.New("the answer holds no event")
	}
	if err != nil {
		return events.Event{}, l.failed(ctx, "last event of "+string(subject), err)
	}
	return decode(cloudevent.NewDecoder(l.client.registry), subject, a.Events[0]), nil
}

// Subscribe hears the node's ledger; see [events.LiveLog]. What is heard comes from the log's server itself: nobody is asked for it.
func (l *NodeLog) Subscribe(ctx context.Context, subject events.Subject, synced func(), handle func(events.Event, uint64)) error {
	return l.live.Subscribe(ctx, subject, synced, handle)
}

// failed is the caller's own end where that is the reason, and the outcome of a reading is never open.
func (l *NodeLog) failed(ctx context.Context, doing string, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(err, events.ErrUnknown):
		return fmt.Errorf("%s: %w (%v)", doing, events.ErrUnavailable, err) //nolint:errorlint // not unknown: it was only to be read
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Commands implements [events.Commands] for what a node may send.
type Commands struct{ client *Client }

var _ events.Commands = (*Commands)(nil)

// Send implements events.Commands. A node sends nothing but its registration.
func (c *Commands) Send(ctx context.Context, command events.Command) error {
	if command.Type == "" && command.Data != nil {
		command.Type = command.Data.WireType()
	}
	if err := command.Validate(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	header, data, err := cloudevent.EncodeCommand(command)
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	request := registerRequest{Subject: command.Subject, Command: message{Header: header, Data: data}}
	if _, err := c.client.ask(ctx, verbRegister, request); err != nil {
		return fmt.Errorf("send command %s to %s: %w", command.ID, command.Subject, err)
	}
	return nil
}

// Consume implements events.Commands: nothing is sent to nodes.
func (c *Commands) Consume(_ context.Context, service string, _ func(events.Delivery)) error {
	return fmt.Errorf("consume commands of %s: a node takes none: %w", service, events.ErrDenied)
}
