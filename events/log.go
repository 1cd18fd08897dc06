package events

import (
	"context"
	"time"
)

// Write is what a batch adds to one subject.
type Write struct {
	Subject Subject
	Expect  uint64  // sequence of the last event on the subject that the writer decided on, 0 where there is none
	Events  []Event // in order; their Subject is set to the write's by Append
}

// Batch is appended whole or not at all. Each subject stands in one Write at most.
type Batch []Write

// Len is the number of events in the batch.
func (b Batch) Len() int {
	n := 0
	for _, w := range b {
		n += len(w.Events)
	}
	return n
}

// MaxBatch is how many events one batch may hold (nats-server's limit).
const MaxBatch = 1000

// Log is the one source of truth.
type Log interface {
	// Append stores the batch whole or not at all and returns the sequence of its last event; on return it is as durable as the log is.
	// It fails with [ErrConflict] where a subject has moved past its Expect (catch up, decide again), [ErrBusy] where another write is in
	// flight (retry with jitter), [ErrTooLarge] above [MaxBatch], [MaxEvent] or [MaxBatchBytes] and [ErrFull] at the byte limit. A batch whose events are
	// already stored, each on its subject, is success: it returns the sequence of the last of them. An id that stands elsewhere in the log
	// is no obstacle: ids tell events apart, only expectations keep one from happening twice. After
	// [ErrUnknown] the outcome is not known: catch up and look for your own ids.
	Append(ctx context.Context, batch Batch) (last uint64, err error)

	// Follow calls handle with every event from sequence from on (1 and 0: the first), in order and without a gap, until ctx is done or handle fails; it
	// reconnects by itself, and returns ctx's error when that is done. pending is about how many stored events follow this one; 0 means
	// that none is at hand, and never comes before the event that was the last when Follow began. An error of handle is returned as it is.
	// An event of an unknown type arrives with [Unknown] as its data; a malformed message arrives with [Malformed].
	Follow(ctx context.Context, from uint64, handle func(e Event, pending uint64) error) error

	// Read calls handle with the history of one subject from sequence from on, in order, and returns at its present end.
	Read(ctx context.Context, subject Subject, from uint64, handle func(Event) error) error

	// Last is the sequence of the last event in the log, 0 when it is empty.
	Last(ctx context.Context) (uint64, error)

	// Get is the event at a sequence; [ErrNotFound] where the log has none.
	Get(ctx context.Context, sequence uint64) (Event, error)

	// Extent is where the log begins and ends now, and which log it is.
	Extent(ctx context.Context) (Extent, error)

	// LastOf is the last event of one subject; [ErrNotFound] where there is none.
	LastOf(ctx context.Context, subject Subject) (Event, error)
}

// Extent is where a log begins and ends.
type Extent struct {
	Created     time.Time // when the log was made: another log under the same name was made at another time
	First, Last uint64    // sequences of the first and the last event; where it is empty Last is 0
	Began       time.Time // when the first event was recorded
	Ended       time.Time // when the last one was
}

// Empty reports whether there is no event.
func (x Extent) Empty() bool { return x.Last == 0 || x.First > x.Last }

// LiveLog is a Log whose new events can also be heard one subject at a time without a consumer in the log's server; it is
// how thousands of agents follow their ledgers.
type LiveLog interface {
	Log
	// Subscribe calls handle for each new event of the subject until ctx is done, then returns its error. previous is the sequence of the
	// event before it on that subject: where it is not the last one handled, events were missed and Read fills the gap.
	// synced is called once at the start and again after every reconnection, when events may have been missed.
	Subscribe(ctx context.Context, subject Subject, synced func(), handle func(e Event, previous uint64)) error
}

// SelectiveLog is a Log whose server can leave out what a reader does not ask for.
type SelectiveLog interface {
	Log
	// FollowSubjects is Follow for the events whose subjects match one of the patterns; see [Subject.Matches]. No pattern may cover a part of what another
	// covers. pending is a guess at how many such events follow.
	FollowSubjects(ctx context.Context, from uint64, patterns []string, handle func(e Event, pending uint64) error) error
}
