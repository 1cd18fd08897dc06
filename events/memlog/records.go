package memlog

import (
	"context"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

var _ events.Records = (*Log)(nil)

// Records implements events.Records. An event is stored as whoever appended it would have written it.
func (l *Log) Records(ctx context.Context, from uint64, handle func(events.Record, uint64) error) error {
	return l.Follow(ctx, from, func(e events.Event, pending uint64) error {
		header, data, err := cloudevent.EncodeEvent(e)
		if err != nil {
			return err
		}
		return handle(events.Record{Subject: e.Subject, Header: header, Data: data, Sequence: e.Sequence, Recorded: e.Recorded}, pending)
	})
}
