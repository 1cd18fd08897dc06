package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// pubAck is JetStream's answer to a publish or to the commit of a batch.
type pubAck struct {
	Stream    string    `json:"stream"`
	Sequence  uint64    `json:"seq"`
	Duplicate bool      `json:"duplicate"`
	Error     *apiError `json:"error"`
}

// Append implements events.Log: one event is a plain publish, several are an atomic batch.
func (l *Log) Append(ctx context.Context, batch events.Batch) (uint64, error) {
	last, _, err := l.Commit(ctx, batch)
	return last, err
}

// Commit is Append that tells whether the batch was stored now, without a gap up to last, or stood in the log already.
func (l *Log) Commit(ctx context.Context, batch events.Batch) (last uint64, fresh bool, err error) {
	batch, err = batch.Prepared()
	if err != nil {
		return 0, false, fmt.Errorf("append: %w", err)
	}
	ctx, cancel := l.client.bounded(ctx)
	defer cancel()
	last, fresh, foreign, err := l.append(ctx, batch, "")
	if foreign {
		// The ids are known from somebody else's messages. They are a convenience; the expectations decide.
		last, fresh, _, err = l.append(ctx, batch, nuid.Next())
	}
	if err != nil {
		return 0, false, fmt.Errorf("append to %s: %w", about(batch), err)
	}
	return last, fresh, nil
}

// append publishes the batch with salted message ids. fresh: it was stored now. foreign: the server took it for a duplicate, and it is not.
func (l *Log) append(ctx context.Context, batch events.Batch, salt string) (last uint64, fresh, foreign bool, err error) {
	messages, err := encode(batch, salt)
	if err != nil {
		return 0, false, false, err
	}
	if err := checkSizes(messages, int(l.client.nc.MaxPayload())); err != nil {
		return 0, false, false, err
	}
	ack, err := l.publish(ctx, messages)
	duplicate := hasCode(err, codeBatchDuplicateIDs) || err == nil && ack.Duplicate
	if !duplicate && !errors.Is(err, events.ErrConflict) {
		return ack.Sequence, err == nil, false, err
	}
	last, found, findErr := l.find(ctx, batch, duplicate)
	switch {
	case found:
		return last, false, false, nil
	case findErr != nil:
		return 0, false, false, findErr
	case duplicate:
		partly, findErr := l.partly(ctx, batch)
		if findErr != nil {
			return 0, false, false, findErr
		}
		return 0, false, !partly, fmt.Errorf("an id of it is stored already: %w", events.ErrConflict)
	}
	return 0, false, false, err
}

// batchHeaders is what the headers of an atomic batch take besides.
const batchHeaders = 128

// checkSizes refuses what the server would not take, before any of it is sent: a batch that is begun and never committed keeps a place
// among the few that may be open.
func checkSizes(messages []*nats.Msg, most int) error {
	most = min(most, events.MaxEvent)
	total := 0
	for _, m := range messages {
		n := cloudevent.Size(cloudevent.Header(m.Header), m.Data) + batchHeaders
		if n > most {
			return fmt.Errorf("%s on %s takes %d bytes, at most %d: %w", m.Header.Get("ce-type"), m.Subject, n, most, events.ErrTooLarge)
		}
		total += n
	}
	if total > events.MaxBatchBytes {
		return fmt.Errorf("%d events take %d bytes, at most %d: %w", len(messages), total, events.MaxBatchBytes, events.ErrTooLarge)
	}
	return nil
}

// about names a batch in an error.
func about(batch events.Batch) string {
	if len(batch) == 1 {
		return string(batch[0].Subject)
	}
	return fmt.Sprintf("%s and %d more", batch[0].Subject, len(batch)-1)
}

// encode makes the batch's messages. Only the first of each subject carries the expectation: the second would expect what is not
// stored yet (10164). The expectation always names the message's own literal subject, because a replicated stream does not check a
// wildcard against a literal one. Message ids are the events' own, after the salt where there is one.
func encode(batch events.Batch, salt string) ([]*nats.Msg, error) {
	messages := make([]*nats.Msg, 0, batch.Len())
	for _, w := range batch {
		for i, e := range w.Events {
			header, data, err := cloudevent.EncodeEvent(e)
			if err != nil {
				return nil, err
			}
			header[js.MsgIDHeader] = []string{salt + e.ID}
			if i == 0 {
				header[js.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(w.Expect, 10)}
			}
			messages = append(messages, &nats.Msg{Subject: string(w.Subject), Header: header, Data: data})
		}
	}
	return messages, nil
}

func (l *Log) publish(ctx context.Context, messages []*nats.Msg) (pubAck, error) {
	var answer *nats.Msg
	var err error
	if len(messages) == 1 {
		answer, err = l.client.request(ctx, messages[0])
	} else {
		answer, err = l.client.publishBatch(ctx, messages)
	}
	if err != nil {
		return pubAck{}, err
	}
	var ack pubAck
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return pubAck{}, fmt.Errorf("answer is not an acknowledgement (%w): %w", err, events.ErrUnknown)
	}
	if ack.Error != nil {
		return pubAck{}, ack.Error
	}
	return ack, nil
}

// soon is the violation that made a batch incomplete: the server reports it before its answer, but the report comes another way.
func (w *denial) soon(ctx context.Context, answer *nats.Msg) error {
	const patience = 50 * time.Millisecond
	var ack pubAck
	if json.Unmarshal(answer.Data, &ack) != nil || ack.Error == nil || ack.Error.Code != codeBatchIncomplete {
		return nil
	}
	select {
	case <-ctx.Done():
	case <-time.After(patience):
	}
	return w.err()
}

// publishBatch sends an atomic batch in one go and waits for the answer to its commit. The first message asks for an answer as
// well: it is where the server says that too many batches are open.
func (c *Client) publishBatch(ctx context.Context, messages []*nats.Msg) (*nats.Msg, error) {
	subjects := make([]string, len(messages))
	id := nuid.Next()
	for i, m := range messages {
		subjects[i] = m.Subject
		m.Header[jetstreamext.BatchIDHeader] = []string{id}
		m.Header[jetstreamext.BatchSeqHeader] = []string{strconv.Itoa(i + 1)}
	}
	last := messages[len(messages)-1]
	last.Header[jetstreamext.BatchCommitHeader] = []string{"1"}

	denied := c.denials.watch(subjects...)
	defer denied.stop()
	ctx, stop := denied.context(ctx)
	defer stop()
	if err := c.connected(ctx); err != nil {
		return nil, transport(err, false)
	}
	inbox := c.nc.NewInbox()
	answers, err := c.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, transport(err, false)
	}
	defer func() { _ = answers.Unsubscribe() }()
	messages[0].Reply, last.Reply = inbox, inbox
	for _, m := range messages {
		if err := c.nc.PublishMsg(m); err != nil {
			// Without its commit the batch is given up by the server.
			return nil, transport(err, false)
		}
	}
	for {
		answer, err := answers.NextMsgWithContext(ctx)
		switch {
		case denied.err() != nil:
			return nil, denied.err()
		case err != nil:
			return nil, transport(err, true)
		case answer.Header.Get("Status") == "503":
			return nil, transport(nats.ErrNoResponders, false)
		case len(answer.Data) > 0: // an empty answer only says that the first message has arrived
			if err := denied.soon(ctx, answer); err != nil {
				return nil, err
			}
			return answer, nil
		}
	}
}
