package door

import (
	"context"
	"fmt"
	"sync"

	"github.com/rutter-run/rutter/events"
)

// group commits the reports of many nodes. While few wait, each goes out at once and by itself: a plain publish with its expectation. Once
// as many commits are under way as the log takes well, those that wait leave together as one atomic batch, whose cost hardly depends on
// its size.
type group struct {
	log     Log
	waiting chan *appending
	held    *appending // taken out of waiting, and too large for the batch that was made then
	slots   chan struct{}
}

// appending is one node's append on its way.
type appending struct {
	batch events.Batch
	again bool // it was asked for before, and may stand in the log
	done  chan struct{}
	last  uint64
	err   error
}

const (
	// commitsAtOnce is how many commits are under way.
	commitsAtOnce = 16
	// few appends are cheaper each by itself: an atomic batch stages and syncs a store of its own.
	few = 4
	// queued is how many appends wait for a commit before requests wait in the connection.
	queued = atOnce
)

func newGroup(log Log) *group {
	return &group{log: log, waiting: make(chan *appending, queued), slots: make(chan struct{}, commitsAtOnce)}
}

// append commits a batch and returns the sequence of its last event.
func (g *group) append(ctx context.Context, batch events.Batch, again bool) (uint64, error) {
	a := &appending{batch: batch, again: again, done: make(chan struct{})}
	select {
	case g.waiting <- a:
	case <-ctx.Done():
		return 0, fmt.Errorf("append to %s: %w: %w", batch[0].Subject, events.ErrUnavailable, ctx.Err())
	}
	select {
	case <-a.done:
		return a.last, a.err
	case <-ctx.Done():
		return 0, fmt.Errorf("append to %s: %w: %w", batch[0].Subject, events.ErrUnknown, ctx.Err())
	}
}

// run commits what waits until ctx is done.
func (g *group) run(ctx context.Context) {
	var committing sync.WaitGroup
	defer committing.Wait()
	for {
		select {
		case g.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		first := g.held
		g.held = nil
		if first == nil {
			select {
			case first = <-g.waiting:
			case <-ctx.Done():
				return
			}
		}
		together, alone := g.gather(first)
		committing.Go(func() {
			defer func() { <-g.slots }()
			g.commit(ctx, together, alone)
		})
	}
}

// gather takes what waits: together what can be one batch, alone what has to find itself in the log first or meets another on a subject.
func (g *group) gather(first *appending) (together, alone []*appending) {
	taken, size := map[events.Subject]bool{}, 0
	for next := first; ; {
		if size += next.batch.Len(); size > events.MaxBatch {
			g.held = next
			return together, alone
		}
		meets := false
		for _, w := range next.batch {
			meets = meets || taken[w.Subject]
		}
		if next.again || meets {
			alone = append(alone, next)
		} else {
			for _, w := range next.batch {
				taken[w.Subject] = true
			}
			together = append(together, next)
		}
		if len(alone) == few {
			return together, alone
		}
		select {
		case next = <-g.waiting:
		default:
			return together, alone
		}
	}
}

// commit stores what was gathered and tells each what became of it.
func (g *group) commit(ctx context.Context, together, alone []*appending) {
	if len(together) > few && g.commitTogether(ctx, together) {
		together = nil
	}
	limit := make(chan struct{}, commitsAtOnce)
	var each sync.WaitGroup
	for _, a := range append(together, alone...) {
		limit <- struct{}{}
		each.Go(func() {
			defer func() { <-limit }()
			ctx, cancel := context.WithTimeout(ctx, mostPatience)
			defer cancel()
			a.last, _, a.err = g.log.Commit(ctx, a.batch)
			close(a.done)
		})
	}
	each.Wait()
}

// commitTogether stores all as one batch. Where that cannot be, or some of it is found to be stored already, it is for each to try by itself.
func (g *group) commitTogether(ctx context.Context, all []*appending) bool {
	ctx, cancel := context.WithTimeout(ctx, mostPatience)
	defer cancel()
	var batch events.Batch
	for _, a := range all {
		batch = append(batch, a.batch...)
	}
	if _, err := batch.Prepared(); err != nil {
		return false
	}
	last, fresh, err := g.log.Commit(ctx, batch)
	if err != nil || !fresh {
		return false
	}
	for i := len(all) - 1; i >= 0; i-- {
		all[i].last = last
		last -= uint64(all[i].batch.Len())
		close(all[i].done)
	}
	return true
}
