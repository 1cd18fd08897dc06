package jetstream

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

var _ events.Records = (*Log)(nil)

// Records implements events.Records.
func (l *Log) Records(ctx context.Context, from uint64, handle func(events.Record, uint64) error) error {
	f := l.follower("", start{sequence: max(from, 1)}, false)
	f.raw = handle
	if err := f.run(ctx, nil); err != nil {
		return f.outcome(ctx, "read "+StreamEvents, err)
	}
	return nil
}

// handRaw calls raw for each message of a chunk.
func (f *follower) handRaw(ctx context.Context, in *intake, c *chunk) error {
	for i := range c.messages {
		m := &c.messages[i]
		if err := f.raw(f.client.record(m), f.pending(in, c, i)); err != nil {
			return handlerError{err}
		}
		f.from = start{sequence: m.sequence + 1}
		if ctx.Err() != nil {
			return lostOr(ctx)
		}
	}
	return nil
}

// record is a message as it is stored. When the log that an imported event comes from had stored it is no header of it but its time.
func (c *Client) record(m *message) events.Record {
	r := events.Record{
		Subject: events.Subject(m.msg.Subject), Header: m.msg.Header, Data: m.msg.Data, Sequence: m.sequence, Recorded: m.stored,
	}
	if m.sequence <= c.imported.Load() {
		if header, at, ok := cloudevent.Original(r.Header); ok {
			r.Header, r.Recorded = header, at
		}
	}
	return r
}

// recorded is when the log stored a message, or the log that it was imported from. A writer of a living log is not believed: what it says
// of that stands beyond what was imported.
func (c *Client) recorded(sequence uint64, stored time.Time, header nats.Header) time.Time {
	if sequence <= c.imported.Load() {
		if _, at, ok := cloudevent.Original(cloudevent.Header(header)); ok {
			return at
		}
	}
	return stored
}

// metadataImported is the stream's note of up to which sequence it was imported.
const metadataImported = "run.rutter.imported"

// eventsInfo is what the server says of the stream EVENTS.
func (c *Client) eventsInfo(ctx context.Context) (info js.StreamInfo, err error) {
	if err := c.ask(ctx, "STREAM.INFO."+StreamEvents, nil, &info); err != nil {
		return info, err
	}
	if until, err := strconv.ParseUint(info.Config.Metadata[metadataImported], 10, 64); err == nil {
		c.imported.Store(until)
	}
	return info, nil
}

// originalTimes puts into an extent when the log that it was imported from had stored its first and its last event.
func (l *Log) originalTimes(ctx context.Context, x *events.Extent) error {
	imported := l.client.imported.Load()
	for sequence, at := range map[uint64]*time.Time{x.First: &x.Began, x.Last: &x.Ended} {
		if sequence > imported {
			continue
		}
		e, err := l.Get(ctx, sequence)
		if err != nil {
			return err
		}
		*at = e.Recorded
	}
	return nil
}
