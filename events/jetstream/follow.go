package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rutter-run/rutter/events"
)

// Follow implements events.Log.
func (l *Log) Follow(ctx context.Context, from uint64, handle func(events.Event, uint64) error) error {
	f := l.follower("", start{sequence: max(from, 1)}, false)
	if err := f.run(ctx, handle); err != nil {
		return f.outcome(ctx, "follow "+StreamEvents, err)
	}
	return nil
}

// FollowSubjects implements events.SelectiveLog.
func (l *Log) FollowSubjects(ctx context.Context, from uint64, patterns []string, handle func(events.Event, uint64) error) error {
	f := l.follower("", start{sequence: max(from, 1)}, false)
	f.patterns = patterns
	if err := f.run(ctx, handle); err != nil {
		return f.outcome(ctx, "follow "+strings.Join(patterns, ", "), err)
	}
	return nil
}

// Read implements events.Log.
func (l *Log) Read(ctx context.Context, subject events.Subject, from uint64, handle func(events.Event) error) error {
	return l.read(ctx, subject, start{sequence: max(from, 1)}, handle)
}

func (l *Log) read(ctx context.Context, subject events.Subject, from start, handle func(events.Event) error) error {
	f := l.follower(string(subject), from, true)
	if err := f.run(ctx, func(e events.Event, _ uint64) error { return handle(e) }); err != nil {
		return f.outcome(ctx, "read "+string(subject), err)
	}
	return nil
}

// handlerError marks what the caller's own function returned, which goes back to it as it is.
type handlerError struct{ error }

// outcome is what a follower's end means to the caller.
func (f *follower) outcome(ctx context.Context, doing string, err error) error {
	var own handlerError
	switch {
	case errors.As(err, &own):
		return own.error
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%s: %w", doing, err)
}
