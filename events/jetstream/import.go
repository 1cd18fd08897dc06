package jetstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// metadataImporting is the stream's note of which export it is being filled from, until that is done.
const metadataImporting = "run.rutter.importing"

// Import fills an empty log with the events of an export: each gets the sequence that it had, and a header that says when it was first stored.
type Import struct {
	log   *Log
	api   js.JetStream
	last  uint64 // of the export
	there uint64 // stored by an import before, which broke off
	next  uint64
	first uint64 // of the batch
	batch []*nats.Msg
	bytes int
}

// NewImport begins to fill the log with the events 1 to last of an export, which mark tells from others. A log that has events fails with
// [events.ErrExists], but for what an import of the same export has left that broke off. It needs the administrator's credentials.
func (l *Log) NewImport(ctx context.Context, last uint64, mark string) (*Import, error) {
	api, err := js.New(l.client.nc)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	stream, err := api.Stream(ctx, StreamEvents)
	if err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	info := stream.CachedInfo()
	if there := info.State.LastSeq; there > 0 && info.Config.Metadata[metadataImporting] != mark {
		return nil, fmt.Errorf("import: the log has %d events already: only an empty one can be filled, for what is in a log is never changed: %w", there, events.ErrExists)
	}
	i := &Import{log: l, api: api, last: last, there: info.State.LastSeq, next: 1}
	return i, i.note(ctx, mark)
}

// note writes down in the stream what is being imported; an empty mark: nothing any more.
func (i *Import) note(ctx context.Context, mark string) error {
	stream, err := i.api.Stream(ctx, StreamEvents)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	config := stream.CachedInfo().Config
	config.Metadata = map[string]string{metadataImported: strconv.FormatUint(i.last, 10)}
	if mark != "" {
		config.Metadata[metadataImporting] = mark
	}
	if _, err := i.api.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return nil
}

// Add adds the next event.
func (i *Import) Add(ctx context.Context, r events.Record) error {
	if r.Sequence != i.next || r.Sequence > i.last {
		return fmt.Errorf("import: event %d where %d is next: %w", r.Sequence, i.next, events.ErrInvalid)
	}
	i.next++
	if r.Sequence <= i.there {
		return nil
	}
	msg := &nats.Msg{Subject: string(r.Subject), Header: nats.Header{}, Data: r.Data}
	size := len(r.Data)
	for name, values := range r.Header {
		if !strings.HasPrefix(name, "Nats-") {
			msg.Header[name] = values
			size += len(name) + len(values[0])
		}
	}
	cloudevent.SetOriginal(cloudevent.Header(msg.Header), r.Recorded)
	if len(i.batch) == events.MaxBatch || i.bytes+size > events.MaxBatchBytes/2 {
		if err := i.flush(ctx); err != nil {
			return err
		}
	}
	if len(i.batch) == 0 {
		i.first = r.Sequence
	}
	i.batch, i.bytes = append(i.batch, msg), i.bytes+size
	return nil
}

// flush stores what is waiting, in one batch that holds only where nothing else was stored in between.
func (i *Import) flush(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	first, last := i.first, i.first+uint64(len(i.batch))-1
	i.batch[0].Header[js.ExpectedLastSeqHeader] = []string{strconv.FormatUint(first-1, 10)}
	for {
		bounded, cancel := i.log.client.bounded(ctx)
		ack, err := i.log.publish(bounded, i.batch)
		cancel()
		switch {
		case err == nil && ack.Sequence == last:
			i.batch, i.bytes = i.batch[:0], 0
			return nil
		case err == nil:
			return fmt.Errorf("import: event %d came to stand at %d: something else writes the log: %w", last, ack.Sequence, events.ErrConflict)
		case errors.Is(err, events.ErrConflict):
			return fmt.Errorf("import: something else writes the log: stop all services first: %w", err)
		case errors.Is(err, events.ErrUnknown):
			// Whether it is stored shows in where the log ends.
			if end, lastErr := i.log.Last(ctx); lastErr == nil && end == last {
				i.batch, i.bytes = i.batch[:0], 0
				return nil
			}
		case !errors.Is(err, events.ErrBusy) && !errors.Is(err, events.ErrUnavailable):
			return fmt.Errorf("import events from %d: %w", first, err)
		}
		select {
		case <-time.After(50*time.Millisecond + rand.N(100*time.Millisecond)):
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("import events from %d: %w", first, err), ctx.Err())
		}
	}
}

// Close stores the rest. It fails where not all events of the export were added.
func (i *Import) Close(ctx context.Context) error {
	if i.next != i.last+1 {
		return fmt.Errorf("import: it ends before event %d of %d: %w", i.next, i.last, events.ErrInvalid)
	}
	if err := i.flush(ctx); err != nil {
		return err
	}
	return i.note(ctx, "")
}
