package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
)

// Source finds the state to begin from.
type Source struct {
	Log       events.Log
	Snapshots events.Snapshots   // nil: none
	Logger    logrus.FieldLogger // nil: silent

	unusable func(context.Context, events.SnapshotInfo) // hears of those that will never be of use; may be nil
}

func (s Source) logger() logrus.FieldLogger {
	if s.Logger != nil {
		return s.Logger
	}
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	return silent
}

// Newest is the state of the newest usable snapshot, the empty one where there is none. It never fails: whatever is wrong with a snapshot, or with
// the store, the log can still be folded.
func (s Source) Newest(ctx context.Context) *projections.Cluster {
	return s.Nearest(ctx, s.List(ctx), math.MaxUint64)
}

// List is which snapshots there are; none, with a warning, where the store does not answer.
func (s Source) List(ctx context.Context) []events.SnapshotInfo {
	if s.Snapshots == nil {
		return nil
	}
	// A question to a log that has no leader yet is answered by nobody: it is asked again rather than waited for.
	for try := 1; ; try++ {
		once, cancel := context.WithTimeout(ctx, time.Duration(try)*listTry)
		all, err := s.Snapshots.List(once)
		cancel()
		again := errors.Is(err, events.ErrUnknown) || errors.Is(err, context.DeadlineExceeded)
		switch {
		case err == nil || ctx.Err() != nil:
			return all
		case !again || try == listTries:
			s.logger().WithError(err).Warn("cannot list snapshots; does without them")
			return all
		}
	}
}

// listTry is how long the store may take at first to say which snapshots there are, each further time so much longer, and listTries how often it is
// asked: longer than an election in all.
const (
	listTry   = time.Second
	listTries = 4
)

// Nearest is the state of the newest usable one among the snapshots that is at or before a sequence, the empty one where there is none.
func (s Source) Nearest(ctx context.Context, all []events.SnapshotInfo, sequence uint64) *projections.Cluster {
	if s.Snapshots == nil || len(all) == 0 {
		return projections.Empty()
	}
	extent, err := s.Log.Extent(ctx)
	if err != nil {
		s.logger().WithError(err).Warn("cannot tell which log this is; uses no snapshot")
		return projections.Empty()
	}
	for _, info := range slices.SortedStableFunc(slices.Values(all), newestFirst) {
		if info.Sequence > sequence || ctx.Err() != nil {
			continue
		}
		view, err := s.load(ctx, info, extent)
		if err == nil {
			return view
		}
		log := s.logger().WithError(err).WithFields(logrus.Fields{"snapshot": info.Name(), "sequence": info.Sequence})
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, errOtherVersion), errors.Is(err, events.ErrNotFound):
			log.Debug("passes over a snapshot")
		default:
			log.Warn("passes over a snapshot; an older one, or the log itself, will do")
			if s.unusable != nil && errors.Is(err, events.ErrInvalid) {
				s.unusable(ctx, info)
			}
		}
	}
	return projections.Empty()
}

// errOtherVersion is of a snapshot that another version of this program made: nothing to warn of, every upgrade leaves some.
var errOtherVersion = errors.New("it is of another projection version")

// load reads one snapshot and holds it against the log. [events.ErrInvalid]: it will never be of use.
func (s Source) load(ctx context.Context, info events.SnapshotInfo, extent events.Extent) (*projections.Cluster, error) {
	switch {
	case info.Version != projections.Version:
		return nil, fmt.Errorf("%w: %d, want %d", errOtherVersion, info.Version, projections.Version)
	case !info.Log.Equal(extent.Created):
		return nil, fmt.Errorf("it is of a log made at %s, this one was made at %s: %w", info.Log, extent.Created, events.ErrInvalid)
	case info.Sequence > extent.Last:
		return nil, fmt.Errorf("it is of sequence %d and the log ends at %d: %w", info.Sequence, extent.Last, events.ErrUnavailable) // for now: a new leader may be behind
	}
	if info.Sequence >= extent.First {
		e, err := s.Log.Get(ctx, info.Sequence)
		if err != nil {
			return nil, err
		}
		if e.ID != info.Event {
			return nil, fmt.Errorf("it was taken after event %q and the log has %q at %d: %w", info.Event, e.ID, info.Sequence, events.ErrInvalid)
		}
	}
	data, err := s.Snapshots.Get(ctx, info)
	if err != nil {
		return nil, err
	}
	return Decode(data, info)
}
