package memlog

import (
	"context"
	"slices"
	"sort"

	"github.com/rutter-run/rutter/events"
)

// Follow implements events.Log.
func (l *Log) Follow(ctx context.Context, from uint64, handle func(events.Event, uint64) error) error {
	for next := max(from, 1); ; next++ {
		e, pending, err := l.await(ctx, next)
		if err != nil {
			return err
		}
		l.lag(ctx, e)
		if err := handle(e, pending); err != nil {
			return err
		}
	}
}

// FollowSubjects implements events.SelectiveLog.
func (l *Log) FollowSubjects(ctx context.Context, from uint64, patterns []string, handle func(events.Event, uint64) error) error {
	return l.Follow(ctx, from, func(e events.Event, pending uint64) error {
		if slices.ContainsFunc(patterns, e.Subject.Matches) {
			return handle(e, pending)
		}
		return nil
	})
}

// await is the event at a sequence, as soon as it is there.
func (l *Log) await(ctx context.Context, sequence uint64) (e events.Event, pending uint64, err error) {
	for {
		l.mu.Lock()
		last, changed := uint64(len(l.events)), l.changed
		if sequence <= last {
			e = l.events[sequence-1]
		}
		l.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return e, 0, err
		}
		if sequence <= last {
			return e, last - sequence, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return e, 0, ctx.Err()
		}
	}
}

func (l *Log) lag(ctx context.Context, e events.Event) {
	if l.faults.Follow != nil {
		l.faults.Follow(ctx, e)
	}
}

// Read implements events.Log.
func (l *Log) Read(ctx context.Context, subject events.Subject, from uint64, handle func(events.Event) error) error {
	l.mu.Lock()
	sequences := l.subjects[subject]
	all := l.events
	l.mu.Unlock()
	for _, at := range sequences[since(sequences, from):] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := handle(all[at-1]); err != nil {
			return err
		}
	}
	return nil
}

// since is the index of the first sequence that is not below from.
func since(sequences []uint64, from uint64) int {
	return sort.Search(len(sequences), func(i int) bool { return sequences[i] >= from })
}

// Subscribe implements events.LiveLog.
func (l *Log) Subscribe(ctx context.Context, subject events.Subject, synced func(), handle func(events.Event, uint64)) error {
	l.mu.Lock()
	next := len(l.subjects[subject])
	l.mu.Unlock()
	synced()
	for {
		l.mu.Lock()
		sequences, all, changed := l.subjects[subject], l.events, l.changed
		l.mu.Unlock()
		for ; next < len(sequences) && ctx.Err() == nil; next++ {
			e, previous := all[sequences[next]-1], uint64(0)
			if next > 0 {
				previous = sequences[next-1]
			}
			if l.faults.Live != nil && l.faults.Live(e) {
				continue
			}
			l.lag(ctx, e)
			handle(e, previous)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
