package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// Log implements [events.LiveLog] on the stream EVENTS.
type Log struct{ client *Client }

var (
	_ events.LiveLog      = (*Log)(nil)
	_ events.SelectiveLog = (*Log)(nil)
)

// Last implements events.Log.
func (l *Log) Last(ctx context.Context) (uint64, error) {
	info, err := l.client.eventsInfo(ctx)
	if err != nil {
		return 0, fmt.Errorf("last sequence of %s: %w", StreamEvents, err)
	}
	return info.State.LastSeq, nil
}

// Extent implements events.Log.
func (l *Log) Extent(ctx context.Context) (events.Extent, error) {
	info, err := l.client.eventsInfo(ctx)
	if err != nil {
		return events.Extent{}, fmt.Errorf("extent of %s: %w", StreamEvents, err)
	}
	x := events.Extent{Created: info.Created.UTC(), First: info.State.FirstSeq, Last: info.State.LastSeq}
	if !x.Empty() {
		x.Began, x.Ended = info.State.FirstTime.UTC(), info.State.LastTime.UTC()
		if err := l.originalTimes(ctx, &x); err != nil {
			return events.Extent{}, fmt.Errorf("extent of %s: %w", StreamEvents, err)
		}
	}
	return x, nil
}

// Get implements events.Log. It asks the stream's leader, which knows every acknowledged write.
func (l *Log) Get(ctx context.Context, sequence uint64) (events.Event, error) {
	if sequence == 0 {
		return events.Event{}, fmt.Errorf("event 0: %w", events.ErrNotFound) // the server would take it for none given
	}
	msg, err := l.client.leaderMessage(ctx, StreamEvents, bySequence{sequence})
	if err != nil {
		return events.Event{}, fmt.Errorf("event %d: %w", sequence, err)
	}
	return l.client.event(msg), nil
}

// LastOf implements events.Log.
func (l *Log) LastOf(ctx context.Context, subject events.Subject) (events.Event, error) {
	msg, err := l.lastOf(ctx, subject)
	if err != nil {
		return events.Event{}, fmt.Errorf("last event of %s: %w", subject, err)
	}
	return l.client.event(msg), nil
}

// lastOf asks the stream's leader, which knows every acknowledged write. The leader can only be asked about any subject or none; who may
// not, such as a subscriber to some subjects, asks for the subject by its own API subject, which any replica may answer, also one that is a
// moment behind.
func (l *Log) lastOf(ctx context.Context, subject events.Subject) (stored, error) {
	if l.client.direct.Load() {
		return l.client.lastMessage(ctx, StreamEvents, string(subject))
	}
	msg, err := l.client.leaderMessage(ctx, StreamEvents, lastFor{string(subject)})
	if errors.Is(err, events.ErrDenied) {
		l.client.direct.Store(true)
		return l.lastOf(ctx, subject)
	}
	return msg, err
}

// stored is a message as a direct get gives it.
type stored struct {
	subject  string
	header   nats.Header
	data     []byte
	sequence uint64
	stored   time.Time
}

func (c *Client) event(s stored) events.Event {
	e := cloudevent.NewDecoder(c.registry).Event(s.subject, cloudevent.Header(s.header), s.data)
	e.Sequence, e.Recorded = s.sequence, c.recorded(s.sequence, s.stored, s.header)
	return e
}

// What the leader can be asked for: the last message of a subject, the first of one from a sequence on, or the one at a sequence.
type (
	lastFor struct {
		Subject string `json:"last_by_subj"`
	}
	nextFor struct {
		Subject  string `json:"next_by_subj"`
		Sequence uint64 `json:"seq"`
	}
	bySequence struct {
		Sequence uint64 `json:"seq"`
	}
)

// leaderMessage gets a message from the stream's leader, [events.ErrNotFound] where there is none.
func (c *Client) leaderMessage(ctx context.Context, stream string, request any) (stored, error) {
	var response struct {
		Message struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := c.ask(ctx, "STREAM.MSG.GET."+stream, request, &response); err != nil {
		return stored{}, err
	}
	msg := stored{subject: response.Message.Subject, data: response.Message.Data, sequence: response.Message.Sequence, stored: response.Message.Time.UTC()}
	if len(response.Message.Header) > 0 {
		header, err := nats.DecodeHeadersMsg(response.Message.Header)
		if err != nil {
			return stored{}, fmt.Errorf("headers of message %d: %w", msg.sequence, err)
		}
		msg.header = header
	}
	return msg, nil
}

// lastMessage gets the last message of a subject from any replica, [events.ErrNotFound] where there is none.
func (c *Client) lastMessage(ctx context.Context, stream, subject string) (stored, error) {
	answer, err := c.request(ctx, nats.NewMsg(apiPrefix+"DIRECT.GET."+stream+"."+subject))
	if err != nil {
		return stored{}, err
	}
	switch status := answer.Header.Get("Status"); status {
	case "":
	case "404":
		return stored{}, events.ErrNotFound
	default:
		return stored{}, fmt.Errorf("status %s %s: %w", status, answer.Header.Get("Description"), events.ErrUnavailable)
	}
	sequence, err := strconv.ParseUint(answer.Header.Get(js.SequenceHeader), 10, 64)
	if err != nil {
		return stored{}, fmt.Errorf("answer without a sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, answer.Header.Get(js.TimeStampHeaer))
	if err != nil {
		return stored{}, fmt.Errorf("answer without a time: %w", err)
	}
	return stored{subject: subject, header: answer.Header, data: answer.Data, sequence: sequence, stored: at.UTC()}, nil
}
