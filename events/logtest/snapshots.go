package logtest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
)

// taken is the description of a snapshot at a sequence that no other test uses.
func taken(version int) events.SnapshotInfo {
	sequence := uint64(1_000_000 + unique.Add(1))
	return events.SnapshotInfo{
		Version: version, Sequence: sequence, Event: fmt.Sprintf("e%d", sequence), Log: time.Date(2030, 1, 2, 3, 4, 5, 678, time.UTC), Hash: "sha256:" + fmt.Sprint(sequence),
	}
}

// noise is data that no compression shortens.
func noise(n int) []byte {
	data := make([]byte, n)
	random := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// listed are those of the wanted snapshots that are listed, as they are listed.
func listed(t *testing.T, ctx context.Context, s events.Snapshots, wanted ...events.SnapshotInfo) (found []events.SnapshotInfo) {
	t.Helper()
	all, err := s.List(ctx)
	require.NoError(t, err)
	for i, info := range all {
		require.False(t, i > 0 && all[i-1].Sequence < info.Sequence, "the highest sequence comes first")
		for _, w := range wanted {
			if w.Name() == info.Name() {
				found = append(found, info)
			}
		}
	}
	return found
}

var snapshotCases = map[string]func(*testing.T, Fixture){
	"what was put is listed and got": func(t *testing.T, f Fixture) {
		s, ctx := f.Snapshots(t), Context(t)
		old, small, large := taken(1), taken(2), taken(2)
		bodies := map[string][]byte{old.Name(): {}, small.Name(): []byte("small"), large.Name(): noise(3 << 20)}
		for _, info := range []events.SnapshotInfo{large, old, small} {
			require.NoError(t, s.Put(ctx, info, bodies[info.Name()]))
		}
		reader := f.Snapshots(t)
		found := listed(t, ctx, reader, old, small, large)
		require.Len(t, found, 3)
		for i, want := range []events.SnapshotInfo{large, small, old} {
			want.Size = len(bodies[want.Name()])
			require.Equal(t, want, found[i])
			got, err := reader.Get(ctx, found[i])
			require.NoError(t, err)
			require.True(t, bytes.Equal(bodies[want.Name()], got), "%s", want.Name())
		}
	},
	"a second one takes the place of the first": func(t *testing.T, f Fixture) {
		s, ctx, info := f.Snapshots(t), Context(t), taken(1)
		require.NoError(t, s.Put(ctx, info, []byte("first")))
		require.NoError(t, s.Put(ctx, info, []byte("the second")))
		found := listed(t, ctx, s, info)
		require.Len(t, found, 1)
		require.Equal(t, len("the second"), found[0].Size)
		got, err := s.Get(ctx, found[0])
		require.NoError(t, err)
		require.Equal(t, "the second", string(got))
	},
	"what was deleted is gone": func(t *testing.T, f Fixture) {
		s, ctx, gone, kept := f.Snapshots(t), Context(t), taken(1), taken(1)
		require.NoError(t, s.Delete(ctx, gone), "nothing is there yet")
		require.NoError(t, s.Put(ctx, gone, noise(300<<10)))
		require.NoError(t, s.Put(ctx, kept, []byte("kept")))
		require.NoError(t, s.Delete(ctx, gone))
		require.NoError(t, s.Delete(ctx, gone))
		found := listed(t, ctx, f.Snapshots(t), gone, kept)
		require.Len(t, found, 1)
		require.Equal(t, kept.Name(), found[0].Name())
		_, err := s.Get(ctx, gone)
		require.ErrorIs(t, err, events.ErrNotFound)
		require.NoError(t, s.Put(ctx, gone, []byte("again")))
		got, err := s.Get(ctx, gone)
		require.NoError(t, err)
		require.Equal(t, "again", string(got))
	},
	"nothing is half put": func(t *testing.T, f Fixture) {
		s, info := f.Snapshots(t), taken(1)
		ctx, cancel := context.WithCancel(Context(t))
		cancel()
		require.Error(t, s.Put(ctx, info, noise(300<<10)))
		require.Empty(t, listed(t, Context(t), s, info))
		_, err := s.Get(Context(t), info)
		require.ErrorIs(t, err, events.ErrNotFound)
	},
}
