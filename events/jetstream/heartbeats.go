package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/rutter-run/rutter/events"
)

// Heartbeats implements [events.Heartbeats]: a core message that a stream in memory remembers the last of.
type Heartbeats struct{ client *Client }

var _ events.Heartbeats = (*Heartbeats)(nil)

// Beat implements events.Heartbeats.
func (h *Heartbeats) Beat(_ context.Context, beat events.Heartbeat) error {
	data, err := json.Marshal(beat)
	if err != nil {
		return fmt.Errorf("heartbeat of %s: %w: %w", beat.Node, events.ErrInvalid, err)
	}
	if err := h.client.nc.Publish(heartbeatPrefix+beat.Node, data); err != nil {
		return fmt.Errorf("heartbeat of %s: %w", beat.Node, transport(err, false))
	}
	return nil
}

// heartbeatBuffer is how many pulses may wait for the handler: one of each node of a full cell.
const heartbeatBuffer = 10_000

// Listen implements events.Heartbeats. It hears pulses by a core subscription, which an election of the stream's leader does not
// interrupt; where the stream does not answer there is nothing to replay.
func (h *Heartbeats) Listen(ctx context.Context, handle func(events.Heartbeat, bool)) error {
	messages := make(chan *nats.Msg, heartbeatBuffer)
	sub, err := h.client.nc.ChanSubscribe(heartbeatPrefix+"*", messages)
	if err != nil {
		return fmt.Errorf("listen to heartbeats: %w", transport(err, false))
	}
	defer func() { _ = sub.Unsubscribe() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	remembered := make(chan events.Heartbeat)
	replayed := make(chan error, 1)
	go func() { replayed <- h.replay(ctx, remembered) }()
	heard := map[string]bool{} // live, while the remembered ones come
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case beat := <-remembered:
			if !heard[beat.Node] {
				handle(beat, true)
			}
		case err := <-replayed:
			replayed, heard = nil, nil
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, events.ErrDenied):
				return fmt.Errorf("listen to heartbeats: %w", err)
			case err != nil:
				h.client.log.WithError(err).Warn("the last heartbeats are not known")
			}
		case msg, open := <-messages:
			if !open {
				return fmt.Errorf("listen to heartbeats: %w: %w", events.ErrUnavailable, nats.ErrConnectionClosed)
			}
			if beat, ok := h.read(msg); ok {
				if heard != nil {
					heard[beat.Node] = true
				}
				handle(beat, false)
			}
		}
	}
}

// read takes the pulse out of a message. The subject says whose it is: a node may write no other, whatever it says inside. A message with
// another subject was not sent as a pulse, but steered here by somebody's consumer.
func (h *Heartbeats) read(msg *nats.Msg) (events.Heartbeat, bool) {
	var beat events.Heartbeat
	node, ok := strings.CutPrefix(msg.Subject, heartbeatPrefix)
	if !ok {
		return beat, false
	}
	if err := json.Unmarshal(msg.Data, &beat); err != nil {
		h.client.log.WithError(err).WithField("subject", msg.Subject).Warn("unreadable heartbeat")
		return beat, false
	}
	beat.Node = node
	return beat, true
}

// replay hands over the last pulse of each node.
func (h *Heartbeats) replay(ctx context.Context, to chan<- events.Heartbeat) error {
	ctx, cancel := context.WithTimeout(ctx, h.client.wait)
	defer cancel()
	inbox := h.client.nc.NewInbox()
	sub, err := h.client.nc.SubscribeSync(inbox)
	if err != nil {
		return transport(err, false)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return transport(err, false)
	}
	name := nuid.Next()
	var info struct {
		Pending uint64 `json:"num_pending"`
	}
	request := struct {
		Stream string            `json:"stream_name"`
		Config js.ConsumerConfig `json:"config"`
		Action string            `json:"action"`
	}{StreamHeartbeats, js.ConsumerConfig{
		Name: name, DeliverSubject: inbox, AckPolicy: js.AckNonePolicy, MaxDeliver: 1, DeliverPolicy: js.DeliverLastPerSubjectPolicy,
		FilterSubject: heartbeatPrefix + "*", InactiveThreshold: inactive, MemoryStorage: true, Replicas: 1,
	}, "create"}
	if err := h.client.ask(ctx, "CONSUMER.CREATE."+StreamHeartbeats+"."+name+"."+heartbeatPrefix+"*", request, &info); err != nil {
		return err
	}
	for range info.Pending {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return transport(err, true)
		}
		if beat, ok := h.read(msg); ok {
			select {
			case to <- beat:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if m, _, ok := parseDelivery(msg); ok && m.pending == 0 {
			return nil
		}
	}
	return nil
}
