package memlog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// Log implements [events.LiveLog] in memory.
type Log struct {
	registry *events.Registry
	faults   Faults
	maxBytes int
	created  time.Time

	mu       sync.Mutex
	events   []events.Event              // at sequence-1
	subjects map[events.Subject][]uint64 // sequences of each subject, in order
	ids      map[place]uint64            // sequence of each event
	bytes    int
	changed  chan struct{} // closed and made anew at every append
}

// place is where an event is told apart from others.
type place struct {
	subject events.Subject
	id      string
}

var (
	_ events.LiveLog      = (*Log)(nil)
	_ events.SelectiveLog = (*Log)(nil)
)

// Option changes a log's defaults.
type Option func(*Log)

// WithFaults puts faults before the store.
func WithFaults(f Faults) Option { return func(l *Log) { l.faults = f } }

// WithMaxBytes lets the log be full above so many bytes of payload.
func WithMaxBytes(n int) Option { return func(l *Log) { l.maxBytes = n } }

// New makes an empty log. With a registry every event takes the way over the wire form and back, so that readers share nothing with
// writers and see what JSON keeps; without one events are kept as they are, which is faster.
func New(registry *events.Registry, options ...Option) *Log {
	l := &Log{registry: registry, subjects: map[events.Subject][]uint64{}, ids: map[place]uint64{}, changed: make(chan struct{}), created: time.Now().UTC()}
	for _, option := range options {
		option(l)
	}
	return l
}

// Append implements events.Log.
func (l *Log) Append(ctx context.Context, batch events.Batch) (uint64, error) {
	prepared, err := batch.Prepared()
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("append: %w: %w", events.ErrUnavailable, err)
	}
	store := func() (uint64, error) { return l.store(prepared) }
	if l.faults.Append != nil {
		return l.faults.Append(ctx, prepared, store)
	}
	return store()
}

func (l *Log) store(batch events.Batch) (uint64, error) {
	wire, size, err := l.overTheWire(batch)
	if err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, all, some := l.stored(wire); all {
		return last, nil
	} else if some {
		return 0, fmt.Errorf("append: part of the batch is stored already: %w", events.ErrConflict)
	}
	for _, w := range wire {
		if at := l.last(w.Subject); at != w.Expect {
			return 0, fmt.Errorf("append to %s: it is at %d, expected %d: %w", w.Subject, at, w.Expect, events.ErrConflict)
		}
	}
	if l.maxBytes > 0 && l.bytes+size > l.maxBytes {
		return 0, fmt.Errorf("append: %d bytes: %w", l.bytes+size, events.ErrFull)
	}
	l.bytes += size
	now := time.Now().UTC()
	for _, w := range wire {
		for _, e := range w.Events {
			e.Sequence, e.Recorded = uint64(len(l.events)+1), now
			l.events = append(l.events, e)
			l.subjects[e.Subject] = append(l.subjects[e.Subject], e.Sequence)
			l.ids[place{e.Subject, e.ID}] = e.Sequence
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return uint64(len(l.events)), nil
}

// stored looks for the batch's events on their subjects. The caller holds the lock.
func (l *Log) stored(batch events.Batch) (last uint64, all, some bool) {
	all = true
	for _, w := range batch {
		for _, e := range w.Events {
			at, ok := l.ids[place{w.Subject, e.ID}]
			all, some = all && ok, some || ok
			last = max(last, at)
		}
	}
	return last, all, some
}

// last is the sequence of a subject's last event. The caller holds the lock.
func (l *Log) last(subject events.Subject) uint64 {
	if all := l.subjects[subject]; len(all) > 0 {
		return all[len(all)-1]
	}
	return 0
}

// overTheWire encodes and decodes the batch where the log has a registry.
func (l *Log) overTheWire(batch events.Batch) (wire events.Batch, size int, err error) {
	if l.registry == nil && l.maxBytes == 0 {
		return batch, 0, nil
	}
	decoder := cloudevent.NewDecoder(l.registry)
	total := 0 // with headers
	wire = make(events.Batch, len(batch))
	for i, w := range batch {
		wire[i] = events.Write{Subject: w.Subject, Expect: w.Expect, Events: make([]events.Event, len(w.Events))}
		for j, e := range w.Events {
			header, data, err := cloudevent.EncodeEvent(e)
			if err != nil {
				return nil, 0, err
			}
			if n := cloudevent.Size(header, data); n > events.MaxEvent {
				return nil, 0, fmt.Errorf("%s on %s takes %d bytes, at most %d: %w", e.Type, e.Subject, n, events.MaxEvent, events.ErrTooLarge)
			} else if total += n; total > events.MaxBatchBytes {
				return nil, 0, fmt.Errorf("batch takes more than %d bytes: %w", events.MaxBatchBytes, events.ErrTooLarge)
			}
			size += len(data)
			if l.registry != nil {
				e = decoder.Event(string(w.Subject), header, data)
			}
			wire[i].Events[j] = e
		}
	}
	return wire, size, nil
}

// Last implements events.Log.
func (l *Log) Last(context.Context) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.events)), nil
}

// LastOf implements events.Log.
func (l *Log) LastOf(_ context.Context, subject events.Subject) (events.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.last(subject); at > 0 {
		return l.events[at-1], nil
	}
	return events.Event{}, fmt.Errorf("last event of %s: %w", subject, events.ErrNotFound)
}

// Get implements events.Log.
func (l *Log) Get(_ context.Context, sequence uint64) (events.Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if sequence == 0 || sequence > uint64(len(l.events)) {
		return events.Event{}, fmt.Errorf("event %d: %w", sequence, events.ErrNotFound)
	}
	return l.events[sequence-1], nil
}

// Extent implements events.Log.
func (l *Log) Extent(context.Context) (events.Extent, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := events.Extent{Created: l.created}
	if n := len(l.events); n > 0 {
		x.First, x.Last, x.Began, x.Ended = 1, uint64(n), l.events[0].Recorded, l.events[n-1].Recorded
	}
	return x, nil
}
