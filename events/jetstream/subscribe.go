package jetstream

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// liveBuffer is how many live events may wait for the handler. What comes on top is dropped, and shows as a gap.
const liveBuffer = 1024

// Subscribe implements events.LiveLog: a core subscription to the copies that the stream republishes.
func (l *Log) Subscribe(ctx context.Context, subject events.Subject, synced func(), handle func(events.Event, uint64)) error {
	nc := l.client.nc
	connected := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(connected)
	live := events.LivePrefix + string(subject)
	denied := l.client.denials.watch(live)
	defer denied.stop()
	watching, stop := denied.context(ctx)
	defer stop()

	messages := make(chan *nats.Msg, liveBuffer)
	sub, err := nc.ChanSubscribe(live, messages)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", live, transport(err, false))
	}
	defer func() { _ = sub.Unsubscribe() }()
	decoder := cloudevent.NewDecoder(l.client.registry)
	stands := make(chan struct{})
	go l.confirm(watching, connected, stands)
	for {
		select {
		case <-watching.Done():
			if err := denied.err(); err != nil {
				return fmt.Errorf("subscribe: %w", err)
			}
			return ctx.Err()
		case _, open := <-stands:
			if !open {
				return fmt.Errorf("subscribe to %s: %w: %w", live, events.ErrUnavailable, nats.ErrConnectionClosed)
			}
			synced()
		case msg := <-messages:
			if e, previous, ok := republished(decoder, msg, subject); ok {
				handle(e, previous)
			}
		}
	}
}

// confirm sends on stands whenever the subscription is known to the server: at the start and after every reconnection. It closes
// stands when the connection is closed for good.
func (l *Log) confirm(ctx context.Context, connected <-chan nats.Status, stands chan<- struct{}) {
	for {
		// The server has taken the subscription once it has answered a ping that was sent after it.
		once, cancel := context.WithTimeout(ctx, l.client.wait)
		err := l.client.connected(once)
		if err == nil {
			err = l.client.nc.FlushWithContext(once)
		}
		cancel()
		if err == nil {
			select {
			case stands <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		select {
		case status := <-connected:
			if status == nats.CLOSED {
				close(stands)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// republished reads a live copy. Nobody but the server may publish one; a message of another subject was steered here by somebody's consumer.
func republished(decoder *cloudevent.Decoder, msg *nats.Msg, subject events.Subject) (e events.Event, previous uint64, ok bool) {
	if msg.Subject != events.LivePrefix+string(subject) {
		return e, 0, false
	}
	sequence, err := strconv.ParseUint(msg.Header.Get(js.SequenceHeader), 10, 64)
	if err != nil || msg.Header.Get(js.StreamHeader) != StreamEvents {
		return e, 0, false
	}
	previous, err = strconv.ParseUint(msg.Header.Get(js.LastSequenceHeader), 10, 64)
	if err != nil {
		return e, 0, false
	}
	e = decoder.Event(string(subject), cloudevent.Header(msg.Header), msg.Data)
	e.Sequence = sequence
	if at, err := time.Parse(time.RFC3339Nano, msg.Header.Get(js.TimeStampHeaer)); err == nil {
		e.Recorded = at.UTC()
	}
	return e, previous, true
}
