package snapshot

import (
	"slices"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Ladder says which snapshots are worth their room: the newest, to start from, and older ones at even distances, so that no past state is far
// from one. The zero Ladder has the defaults.
type Ladder struct {
	Newest int // of each version; 3 where 0
	Rungs  int // older ones, of the present version; 64 where 0
}

const (
	defaultNewest = 3
	defaultRungs  = 64
)

func (l Ladder) withDefaults() Ladder {
	if l.Newest <= 0 {
		l.Newest = defaultNewest
	}
	if l.Rungs <= 0 {
		l.Rungs = defaultRungs
	}
	return l
}

// Surplus lists those that are to go. Those of another log are, and all but the newest of older versions; those of later versions belong to somebody
// who knows more. Of the rungs above the number those go whose loss leaves the smallest gap. It is pure.
func (l Ladder) Surplus(all []events.SnapshotInfo, version int, log time.Time) (gone []events.SnapshotInfo) {
	l = l.withDefaults()
	kept := map[int][]events.SnapshotInfo{} // by version, highest sequence first
	sorted := slices.SortedStableFunc(slices.Values(all), newestFirst)
	for _, info := range sorted {
		switch {
		case info.Version > version:
		case !info.Log.Equal(log):
			gone = append(gone, info)
		case info.Version < version && len(kept[info.Version]) >= l.Newest:
			gone = append(gone, info)
		default:
			kept[info.Version] = append(kept[info.Version], info)
		}
	}
	rungs := kept[version]
	for len(rungs) > l.Newest+l.Rungs {
		least, gap := l.Newest, ^uint64(0)
		for n := l.Newest; n < len(rungs); n++ {
			below := uint64(0) // the beginning of the log is as good as a rung
			if n+1 < len(rungs) {
				below = rungs[n+1].Sequence
			}
			if g := rungs[n-1].Sequence - below; g < gap {
				least, gap = n, g
			}
		}
		gone = append(gone, rungs[least])
		rungs = slices.Delete(rungs, least, least+1)
	}
	return gone
}

// Missing is where the next rung is wanted: the lowest gap between neighbours, and from the beginning to the first, that is more than
// twice as wide as it should be has one at step above its lower end. False where there is no such gap. It is pure.
func (l Ladder) Missing(all []events.SnapshotInfo, version int, log time.Time, step uint64) (from, at uint64, missing bool) {
	l = l.withDefaults()
	var rungs []uint64
	for _, info := range all {
		if info.Version == version && info.Log.Equal(log) {
			rungs = append(rungs, info.Sequence)
		}
	}
	if len(rungs) == 0 {
		return 0, 0, false
	}
	slices.Sort(rungs)
	step = max(step, rungs[len(rungs)-1]/uint64(l.Rungs)+1)
	below := uint64(0)
	for _, rung := range rungs {
		if rung-below > 2*step {
			return below, below + step, true
		}
		below = rung
	}
	return 0, 0, false
}

func newestFirst(a, b events.SnapshotInfo) int {
	switch {
	case a.Sequence > b.Sequence:
		return -1
	case a.Sequence < b.Sequence:
		return 1
	}
	return 0
}
