package snapshot_test

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/snapshot"
)

// grow appends events to a log and returns the states after each of them.
func grow(t *testing.T, log *memlog.Log, n int) (views []*projections.Cluster) {
	t.Helper()
	last, err := log.Last(t.Context())
	require.NoError(t, err)
	for range n {
		name := "n" + strconv.Itoa(int(last%7))
		subject := events.NodeSubject(name)
		var expect uint64
		if head, err := log.LastOf(t.Context(), subject); err == nil {
			expect = head.Sequence
		}
		e := events.Event{
			ID: events.DeriveID("snapshot", subject, int(last)), Source: "/test", Time: time.Now(),
			Data: node.JoinedV1{Incarnation: strconv.Itoa(int(last)), Key: name, Labels: map[string]string{"n": name}},
		}
		last, err = log.Append(t.Context(), events.Batch{{Subject: subject, Expect: expect, Events: []events.Event{e}}})
		require.NoError(t, err)
	}
	state := projections.NewState()
	for sequence := uint64(1); sequence <= last; sequence++ {
		e, err := log.Get(t.Context(), sequence)
		require.NoError(t, err)
		state.Apply(e)
		views = append(views, state.View())
	}
	return views
}

type rig struct {
	log    *memlog.Log
	store  *memlog.Snapshots
	source snapshot.Source
	heard  *logtest.Hook
	views  []*projections.Cluster
}

func newRig(t *testing.T, n int) *rig {
	t.Helper()
	logger, heard := logtest.NewNullLogger()
	logger.SetLevel(logrus.DebugLevel)
	r := &rig{log: memlog.New(nil), store: memlog.NewSnapshots(), heard: heard}
	r.source = snapshot.Source{Log: r.log, Snapshots: r.store, Logger: logger}
	r.views = grow(t, r.log, n)
	return r
}

// take keeps the state at a sequence and returns what was stored.
func (r *rig) take(t *testing.T, sequence uint64) (events.SnapshotInfo, []byte) {
	t.Helper()
	k := snapshot.NewKeeper(r.source, snapshot.Schedule{Ladder: snapshot.Ladder{Newest: 100}}, nil)
	at, err := k.Take(t.Context(), r.views[sequence-1])
	require.NoError(t, err)
	require.Equal(t, sequence, at)
	all, err := r.store.List(t.Context())
	require.NoError(t, err)
	n := slices.IndexFunc(all, func(i events.SnapshotInfo) bool { return i.Sequence == sequence })
	data, err := r.store.Get(t.Context(), all[n])
	require.NoError(t, err)
	return all[n], data
}

func (r *rig) warnings() (n int) {
	for _, e := range r.heard.AllEntries() {
		if e.Level == logrus.WarnLevel {
			n++
		}
	}
	return n
}

func TestTheNewestSnapshotIsTheStart(t *testing.T) {
	r := newRig(t, 30)
	require.Zero(t, r.source.Newest(t.Context()).Sequence())
	for _, at := range []uint64{10, 20, 30} {
		r.take(t, at)
	}
	all, err := r.store.List(t.Context())
	require.NoError(t, err)
	for asked, want := range map[uint64]uint64{math.MaxUint64: 30, 30: 30, 29: 20, 10: 10, 9: 0} {
		got := r.source.Nearest(t.Context(), all, asked)
		require.Equal(t, want, got.Sequence())
		if want > 0 {
			require.Equal(t, r.views[want-1].Hash(), got.Hash())
		}
	}
	require.Zero(t, r.warnings())
	require.Zero(t, snapshot.Source{Log: r.log}.Newest(t.Context()).Sequence(), "without a store one folds from the beginning")
}

// TestWhatCannotBeUsedIsPassedOver: whatever is wrong with a snapshot, the one before it is taken, with a warning.
func TestWhatCannotBeUsedIsPassedOver(t *testing.T) {
	put := func(change func(*events.SnapshotInfo), cut func([]byte) []byte) func(*testing.T, *rig) {
		return func(t *testing.T, r *rig) {
			info, data := r.take(t, 20)
			require.NoError(t, r.store.Delete(t.Context(), info))
			change(&info)
			require.NoError(t, r.store.Put(t.Context(), info, cut(data)))
		}
	}
	same, whole := func(*events.SnapshotInfo) {}, func(data []byte) []byte { return data }
	for name, c := range map[string]struct {
		spoil func(*testing.T, *rig)
		quiet bool
	}{
		"cut short":     {spoil: put(same, func(data []byte) []byte { return data[:len(data)-9] })},
		"empty":         {spoil: put(same, func([]byte) []byte { return nil })},
		"noise":         {spoil: put(same, func(data []byte) []byte { return bytes.Repeat([]byte("x"), len(data)) })},
		"longer":        {spoil: put(same, func(data []byte) []byte { return append(data, 'x') })},
		"another hash":  {spoil: put(func(i *events.SnapshotInfo) { i.Hash = "sha256:" + strings.Repeat("0", 64) }, whole)},
		"another log":   {spoil: put(func(i *events.SnapshotInfo) { i.Log = i.Log.Add(1) }, whole)},
		"another event": {spoil: put(func(i *events.SnapshotInfo) { i.Event = "e" }, whole)},
		"the future":    {spoil: put(func(i *events.SnapshotInfo) { i.Sequence = 31 }, whole)},
		"older":         {spoil: put(func(i *events.SnapshotInfo) { i.Version-- }, whole), quiet: true},
		"newer":         {spoil: put(func(i *events.SnapshotInfo) { i.Version++ }, whole), quiet: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 30)
			r.take(t, 10)
			c.spoil(t, r)
			got := r.source.Newest(t.Context())
			require.Equal(t, r.views[9].Hash(), got.Hash())
			require.Equal(t, !c.quiet, r.warnings() == 1, "%v", r.heard.AllEntries())
		})
	}
}

func TestNoByteOfASnapshotCanChangeUnnoticed(t *testing.T) {
	r := newRig(t, 30)
	info, data := r.take(t, 30)
	for n := range data {
		spoilt := bytes.Clone(data)
		spoilt[n] ^= 0x40
		view, err := snapshot.Decode(spoilt, info)
		if err == nil {
			// A byte that says nothing, such as a checksum that is not looked at, may change; the state may not.
			require.Equal(t, r.views[29].Hash(), view.Hash(), "byte %d", n)
			continue
		}
		require.ErrorIs(t, err, events.ErrInvalid)
	}
}

func TestTheSameStateGivesTheSameSnapshot(t *testing.T) {
	r := newRig(t, 30)
	info, data := r.take(t, 30)
	view, err := snapshot.Decode(data, info)
	require.NoError(t, err)
	again, err := snapshot.Encode(view, info)
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, again))
}

func infos(sequences []uint64) (all []events.SnapshotInfo) {
	for _, s := range sequences {
		all = append(all, events.SnapshotInfo{Version: projections.Version, Sequence: s})
	}
	return all
}

// gap is the widest way from a past state to the snapshot before it.
func gap(all []events.SnapshotInfo) (widest uint64) {
	below := uint64(0)
	for _, info := range slices.Backward(all) {
		widest, below = max(widest, info.Sequence-below), info.Sequence
	}
	return widest
}

func TestNoPastStateIsFarFromASnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := snapshot.Ladder{Newest: rapid.IntRange(1, 4).Draw(t, "newest"), Rungs: rapid.IntRange(1, 20).Draw(t, "rungs")}
		step := uint64(rapid.IntRange(1, 50).Draw(t, "step"))
		var kept []events.SnapshotInfo // newest first
		last := uint64(0)
		for range rapid.IntRange(1, 100).Draw(t, "taken") {
			last += step
			kept = append(infos([]uint64{last}), kept...)
			for _, gone := range l.Surplus(kept, projections.Version, time.Time{}) {
				kept = slices.DeleteFunc(kept, func(i events.SnapshotInfo) bool { return i == gone })
			}
		}
		if kept[0].Sequence != last || len(kept) > l.Newest+l.Rungs {
			t.Fatalf("keeps %d, the newest of %d", len(kept), kept[0].Sequence)
		}
		if widest, fair := gap(kept), 2*(last/uint64(l.Rungs)+step); widest > fair {
			t.Fatalf("a gap of %d among %d snapshots over %d events, want at most %d", widest, len(kept), last, fair)
		}
	})
}

// TestGapsGetFilledAndThenNoMore: from any set of snapshots, filling ends, and leaves no gap that is too wide.
func TestGapsGetFilledAndThenNoMore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := snapshot.Ladder{Newest: rapid.IntRange(1, 4).Draw(t, "newest"), Rungs: rapid.IntRange(1, 20).Draw(t, "rungs")}
		step := uint64(rapid.IntRange(1, 50).Draw(t, "step"))
		sequences := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 2000), 1, 30, rapid.ID).Draw(t, "there")
		slices.Sort(sequences)
		slices.Reverse(sequences)
		kept, last := infos(sequences), sequences[0]
		for filled := 0; ; filled++ {
			from, at, missing := l.Missing(kept, projections.Version, time.Time{}, step)
			if !missing {
				break
			}
			if filled > 3000 {
				t.Fatal("filling never ends")
			}
			if at <= from || at >= last {
				t.Fatalf("wants one at %d above %d of %d", at, from, last)
			}
			kept = append(kept, infos([]uint64{at})...)
			slices.SortFunc(kept, func(a, b events.SnapshotInfo) int { return int(b.Sequence) - int(a.Sequence) })
			for _, gone := range l.Surplus(kept, projections.Version, time.Time{}) {
				kept = slices.DeleteFunc(kept, func(i events.SnapshotInfo) bool { return i == gone })
			}
		}
		if widest, fair := gap(kept), 2*max(step, last/uint64(l.Rungs)+1); widest > fair {
			t.Fatalf("a gap of %d is left, want at most %d", widest, fair)
		}
	})
}

func TestOldVersionsKeepTheirNewestAndOtherLogsNothing(t *testing.T) {
	log := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	of := func(version int, sequence uint64, log time.Time) events.SnapshotInfo {
		return events.SnapshotInfo{Version: version, Sequence: sequence, Log: log}
	}
	all := []events.SnapshotInfo{
		of(3, 90, log), of(2, 80, log), of(2, 70, log), of(1, 65, log), of(1, 60, log), of(1, 50, log), of(2, 40, log), of(2, 30, log.Add(1)), of(3, 20, log.Add(1)),
	}
	gone := snapshot.Ladder{Newest: 2, Rungs: 5}.Surplus(all, 2, log)
	require.Equal(t, []events.SnapshotInfo{of(1, 50, log), of(2, 30, log.Add(1))}, gone, "what later versions left is theirs")
}

func TestAKeeperTakesWhatIsDueAndFillsThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1000)
		// One of the past cannot be read: it goes, and so does the gap.
		info, _ := r.take(t, 1000)
		require.NoError(t, r.store.Put(t.Context(), info, []byte("rotten")))
		var view atomic.Pointer[projections.Cluster]
		view.Store(r.views[999])
		k := snapshot.NewKeeper(r.source, snapshot.Schedule{Events: 100, Interval: time.Hour}, view.Load)
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		all, err := r.store.List(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1000, all[0].Sequence)
		require.LessOrEqual(t, gap(all), uint64(200))
		for _, info := range all {
			got := r.source.Nearest(ctx, all, info.Sequence)
			require.Equal(t, r.views[info.Sequence-1].Hash(), got.Hash())
		}
		// A few more events are not worth one until time has passed.
		before := len(all)
		r.views = grow(t, r.log, 150)
		view.Store(r.views[1099])
		time.Sleep(time.Minute)
		synctest.Wait()
		all, _ = r.store.List(ctx)
		require.Len(t, all, before+1)
		view.Store(r.views[1149])
		time.Sleep(time.Minute)
		synctest.Wait()
		all, _ = r.store.List(ctx)
		require.Len(t, all, before+1)
		end()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// behind is a log whose leader has not applied all that it has.
type behind struct {
	events.Log
	last atomic.Uint64
}

func (b *behind) Extent(ctx context.Context) (events.Extent, error) {
	x, err := b.Log.Extent(ctx)
	x.Last = min(x.Last, b.last.Load())
	return x, err
}

func TestALogThatIsBehindForAMomentCostsNoSnapshot(t *testing.T) {
	r := newRig(t, 300)
	r.take(t, 100)
	r.take(t, 300)
	log := &behind{Log: r.log}
	log.last.Store(250)
	r.source.Log = log
	k := snapshot.NewKeeper(r.source, snapshot.Schedule{Events: 1000, Ladder: snapshot.Ladder{Newest: 1, Rungs: 1}}, nil)
	require.EqualValues(t, 100, r.source.Newest(t.Context()).Sequence(), "meanwhile an older one does")
	for _, at := range []uint64{200, 250} {
		_, err := k.Take(t.Context(), r.views[at-1])
		require.NoError(t, err)
	}
	_, err := k.FillGap(t.Context())
	require.NoError(t, err)
	all, err := r.store.List(t.Context())
	require.NoError(t, err)
	var there []uint64
	for _, info := range all {
		there = append(there, info.Sequence)
	}
	require.Contains(t, there, uint64(300))
	require.Contains(t, there, uint64(250), "the newest that the log has is kept too")
	log.last.Store(300)
	require.EqualValues(t, 300, r.source.Newest(t.Context()).Sequence())
}

func TestARunningKeeperLeavesWhatIsBeyondTheLogsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 300)
		r.take(t, 300)
		log := &behind{Log: r.log}
		log.last.Store(250)
		r.source.Log = log
		k := snapshot.NewKeeper(r.source, snapshot.Schedule{}, func() *projections.Cluster { return r.views[249] })
		ctx, end := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		time.Sleep(time.Minute)
		end()
		require.ErrorIs(t, <-ended, context.Canceled)
		all, err := r.store.List(t.Context())
		require.NoError(t, err)
		require.Len(t, all, 1)
	})
}
