package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
)

// Schedule says when snapshots are taken. The zero Schedule has the defaults.
type Schedule struct {
	Events   uint64        // one at least every so many events; 25,000 where 0
	Interval time.Duration // and at least so often while anything worth it happens; 10 min where 0
	Ladder   Ladder        // which are kept
}

const (
	defaultEvents   = 25_000
	defaultInterval = 10 * time.Minute
	// leastTail is the number of events that are folded faster than a snapshot is read.
	leastTail = 1000
	// look is how often the keeper looks whether a snapshot is due.
	look = time.Second
)

// Default fills in what is zero.
func (s Schedule) Default() Schedule {
	s.Events = cmp.Or(s.Events, defaultEvents)
	s.Interval = cmp.Or(s.Interval, defaultInterval)
	s.Ladder = s.Ladder.withDefaults()
	return s
}

// due reports whether a snapshot is to be taken at a sequence when the last one is of another, and so old. It is pure.
func (s Schedule) due(at, last uint64, age time.Duration) bool {
	tail := at - min(last, at)
	return tail >= s.Events || tail >= min(leastTail, s.Events) && age >= s.Interval
}

// Keeper writes snapshots in the background. It works on immutable views, so nobody waits for it.
type Keeper struct {
	source   Source
	schedule Schedule
	view     func() *projections.Cluster
	hasher   projections.Hasher
}

// NewKeeper makes a keeper of the states that view gives.
func NewKeeper(source Source, schedule Schedule, view func() *projections.Cluster) *Keeper {
	k := &Keeper{source: source, schedule: schedule.Default(), view: view}
	// What cannot be used takes the room of one that can; whoever keeps snapshots removes it, and the gap is filled.
	k.source.unusable = func(ctx context.Context, info events.SnapshotInfo) { _ = source.Snapshots.Delete(ctx, info) }
	return k
}

// Run takes snapshots, removes those that are no longer worth their room and fills gaps in the past until ctx is done.
func (k *Keeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	var last uint64
	known, taken, gaps := false, time.Now(), true
	for {
		switch at := k.view().Sequence(); {
		case !known:
			newest, err := k.newest(ctx)
			if err != nil {
				return err
			}
			last, known = newest, true
		case k.schedule.due(at, last, time.Since(taken)):
			sequence, err := k.Take(ctx, k.view())
			if err != nil {
				return err
			}
			last, taken, gaps = sequence, time.Now(), true
		case gaps:
			filled, err := k.FillGap(ctx)
			if err != nil {
				return err
			}
			gaps = filled
			if filled {
				continue
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// newest is the sequence of the newest snapshot that can be read.
func (k *Keeper) newest(ctx context.Context) (uint64, error) {
	all, _, err := k.list(ctx)
	if err != nil {
		return 0, err
	}
	return k.source.Nearest(ctx, all, math.MaxUint64).Sequence(), ctx.Err()
}

// list is which snapshots there are of what the log has now. Those beyond its end are left alone, neither counted nor removed: a new leader of the log may
// not have applied all that it has. Where the log was put back to an older state, they are looked at once it is as long again.
func (k *Keeper) list(ctx context.Context) ([]events.SnapshotInfo, events.Extent, error) {
	extent, err := k.source.Log.Extent(ctx)
	if err != nil {
		return nil, extent, fmt.Errorf("keep snapshots: %w", err)
	}
	all, err := k.source.Snapshots.List(ctx)
	if err != nil {
		return nil, extent, fmt.Errorf("keep snapshots: %w", err)
	}
	all = slices.DeleteFunc(slices.Clone(all), func(i events.SnapshotInfo) bool { return i.Sequence > extent.Last && i.Log.Equal(extent.Created) })
	return all, extent, nil
}

// Take keeps a state, removes what is surplus then, and says of which sequence it was.
func (k *Keeper) Take(ctx context.Context, view *projections.Cluster) (uint64, error) {
	if view.Sequence() == 0 {
		return 0, nil
	}
	extent, err := k.source.Log.Extent(ctx)
	if err != nil {
		return 0, fmt.Errorf("take a snapshot: %w", err)
	}
	event, err := k.source.Log.Get(ctx, view.Sequence())
	if err != nil {
		return 0, fmt.Errorf("take a snapshot: %w", err)
	}
	begun := time.Now()
	info := events.SnapshotInfo{
		Version: projections.Version, Sequence: view.Sequence(), Event: event.ID, Log: extent.Created, Hash: k.hasher.Hash(view),
	}
	data, err := Encode(view, info)
	if err != nil {
		return 0, fmt.Errorf("take a snapshot: %w", err)
	}
	if err := k.source.Snapshots.Put(ctx, info, data); err != nil {
		return 0, fmt.Errorf("take a snapshot: %w", err)
	}
	k.source.logger().WithField("sequence", info.Sequence).WithField("bytes", len(data)).WithField("took", time.Since(begun).Round(time.Millisecond)).
		Info("took a snapshot")
	return info.Sequence, k.prune(ctx)
}

func (k *Keeper) prune(ctx context.Context) error {
	all, extent, err := k.list(ctx)
	if err != nil {
		return err
	}
	for _, info := range k.schedule.Ladder.Surplus(all, projections.Version, extent.Created) {
		if err := k.source.Snapshots.Delete(ctx, info); err != nil {
			return fmt.Errorf("keep snapshots: %w", err)
		}
	}
	return nil
}

// FillGap takes one snapshot of the past where the ladder lacks a rung, as after an upgrade or an import, and reports whether it did.
func (k *Keeper) FillGap(ctx context.Context) (bool, error) {
	all, extent, err := k.list(ctx)
	if err != nil {
		return false, err
	}
	from, at, missing := k.schedule.Ladder.Missing(all, projections.Version, extent.Created, k.schedule.Events)
	if !missing || at > extent.Last {
		return false, nil
	}
	begin := k.source.Nearest(ctx, all, from)
	if begin.Sequence()+1 < extent.First {
		return false, nil // the events that it would be made of are gone
	}
	view, err := FoldTo(ctx, k.source.Log, begin, at)
	if err != nil {
		return false, fmt.Errorf("fill the gap from snapshot %d: %w", from, err)
	}
	_, err = k.Take(ctx, view)
	return err == nil, err
}

// errReached ends a fold.
var errReached = errors.New("reached")

// FoldTo goes on from a view up to a sequence that the log has.
func FoldTo(ctx context.Context, log events.Log, from *projections.Cluster, to uint64) (*projections.Cluster, error) {
	if from.Sequence() >= to {
		return from, nil
	}
	state := projections.StateOf(from)
	err := log.Follow(ctx, from.Sequence()+1, func(e events.Event, _ uint64) error {
		if e.Sequence <= to { // the log may have skipped it
			state.Apply(e)
		}
		if e.Sequence >= to {
			return errReached
		}
		return nil
	})
	if !errors.Is(err, errReached) {
		return nil, err
	}
	return state.View(), nil
}
