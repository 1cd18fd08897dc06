package past

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/snapshot"
)

// recent remembers the states that were looked at last.
type recent struct {
	mu    sync.Mutex
	most  int
	views []*projections.Cluster // the one used last comes last
}

func newRecent(most int) *recent { return &recent{most: most} }

func (r *recent) at(sequence uint64) (*projections.Cluster, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := slices.IndexFunc(r.views, func(v *projections.Cluster) bool { return v.Sequence() == sequence })
	if n < 0 {
		return nil, false
	}
	view := r.views[n]
	r.views = append(slices.Delete(r.views, n, n+1), view)
	return view, true
}

// before is the newest of them that is not after a sequence, the empty state where there is none.
func (r *recent) before(sequence uint64) *projections.Cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	best := projections.Empty()
	for _, v := range r.views {
		if v.Sequence() <= sequence && v.Sequence() > best.Sequence() {
			best = v
		}
	}
	return best
}

func (r *recent) add(view *projections.Cluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.views = append(r.views, view)
	if len(r.views) > r.most {
		r.views = slices.Delete(r.views, 0, 1)
	}
}

// listAge is how old a list of the snapshots may be. One that lacks the newest makes the way to a state longer, not wrong.
const listAge = 10 * time.Second

// list remembers which snapshots there are.
type list struct {
	mu  sync.Mutex
	all []events.SnapshotInfo
	at  time.Time
}

func (l *list) get(ctx context.Context, source snapshot.Source, now time.Time) []events.SnapshotInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() || now.Sub(l.at) > listAge {
		all := source.List(ctx)
		if ctx.Err() != nil {
			return all
		}
		l.all, l.at = all, now
	}
	return l.all
}

// nearest is the sequence of the newest snapshot of this version that is not after a sequence.
func nearest(all []events.SnapshotInfo, sequence uint64) (best uint64) {
	for _, info := range all {
		if info.Version == projections.Version && info.Sequence <= sequence {
			best = max(best, info.Sequence)
		}
	}
	return best
}
