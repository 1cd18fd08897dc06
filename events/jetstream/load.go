package jetstream

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// Load fills an empty log with events in the order given, in atomic batches of as many as the log takes: for benchmarks, whose logs are long
// and nobody else's. told hears of how many are in.
func (c *Client) Load(ctx context.Context, all iter.Seq[events.Event], told func(uint64)) error {
	last, err := c.Log().Last(ctx)
	if err != nil {
		return fmt.Errorf("load the log: %w", err)
	}
	if last > 0 {
		return fmt.Errorf("load the log: it has %d events already: %w", last, events.ErrConflict)
	}
	var batch []*nats.Msg
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		batch[0].Header[js.ExpectedLastSeqHeader] = []string{strconv.FormatUint(last, 10)}
		ack, err := c.Log().publish(ctx, batch)
		if err != nil {
			return fmt.Errorf("load the log after %d events: %w", last, err)
		}
		last, batch = ack.Sequence, batch[:0]
		told(last)
		return nil
	}
	for e := range all {
		header, data, err := cloudevent.EncodeEvent(e)
		if err != nil {
			return fmt.Errorf("load the log: %w", err)
		}
		header[js.MsgIDHeader] = []string{e.ID}
		batch = append(batch, &nats.Msg{Subject: string(e.Subject), Header: header, Data: data})
		if len(batch) == events.MaxBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
