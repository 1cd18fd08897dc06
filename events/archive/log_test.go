package archive_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/archive/archivetest"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/memlog"
)

// played is a log in memory and an export of it.
func played(t *testing.T, n int) (*memlog.Log, string) {
	t.Helper()
	log := memlog.New(catalog.New())
	heads := map[events.Subject]uint64{}
	for i := range n {
		subject := events.NodeSubject([]string{"a", "b", "c"}[i%3])
		last, err := log.Append(t.Context(), logtest.One(subject, heads[subject], logtest.Name("e")))
		require.NoError(t, err)
		heads[subject] = last
	}
	path := filepath.Join(t.TempDir(), "log.rutter")
	file, err := os.Create(path)
	require.NoError(t, err)
	w, err := archive.NewWriter(file, archive.Header{Log: "test", First: 1, Last: uint64(n)})
	require.NoError(t, err)
	w.Frame(archive.BlockEvents)
	err = log.Records(t.Context(), 1, func(r events.Record, pending uint64) error {
		require.NoError(t, w.Write(r))
		if pending == 0 {
			return errEnd
		}
		return nil
	})
	require.ErrorIs(t, err, errEnd)
	require.NoError(t, w.Close())
	require.NoError(t, file.Close())
	return log, path
}

var errEnd = errors.New("end")

func all(t *testing.T, log events.Log, from uint64) (found []events.Event) {
	t.Helper()
	last := uint64(0)
	err := log.Follow(logtest.Context(t), from, func(e events.Event, pending uint64) error {
		found = append(found, e)
		if last = e.Sequence; pending == 0 {
			return errEnd
		}
		return nil
	})
	require.ErrorIs(t, err, errEnd)
	require.NotZero(t, last)
	return found
}

func TestAnExportIsReadAsTheLogItself(t *testing.T) {
	const n = 700 // three frames
	live, path := played(t, n)
	log, err := archive.Open(path, catalog.New(), archive.Options{})
	require.NoError(t, err)
	defer log.Close()
	for _, from := range []uint64{0, 1, 256, 257, 511, 699} {
		require.Equal(t, all(t, live, from), all(t, log, from), from)
	}
	subject := events.NodeSubject("b")
	require.Equal(t, logtest.Gather(t, live, subject, 300), logtest.Gather(t, log, subject, 300))
	require.Empty(t, logtest.Gather(t, log, events.NodeSubject("none"), 0))
	for _, sequence := range []uint64{1, 256, 257, n} {
		want, err := live.Get(t.Context(), sequence)
		require.NoError(t, err)
		got, err := log.Get(t.Context(), sequence)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	want, err := live.LastOf(t.Context(), subject)
	require.NoError(t, err)
	got, err := log.LastOf(t.Context(), subject)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for _, sequence := range []uint64{0, n + 1} {
		_, err = log.Get(t.Context(), sequence)
		require.ErrorIs(t, err, events.ErrNotFound)
	}
	_, err = log.LastOf(t.Context(), events.NodeSubject("none"))
	require.ErrorIs(t, err, events.ErrNotFound)
	x, err := log.Extent(t.Context())
	require.NoError(t, err)
	livex, err := live.Extent(t.Context())
	require.NoError(t, err)
	x.Created = livex.Created // an export does not tell
	require.Equal(t, livex, x)
	_, err = log.Append(t.Context(), logtest.One(subject, 0, "more"))
	require.ErrorIs(t, err, events.ErrReadOnly)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, log.Follow(ctx, n+1, nil), context.Canceled, "nothing ever comes")
}

func TestAnExportThatIsNotWholeIsNotRead(t *testing.T) {
	_, path := played(t, 600)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	write := func(data []byte) string {
		path := filepath.Join(t.TempDir(), "other")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	_, err = archive.Open(write(data[:len(data)-1]), catalog.New(), archive.Options{})
	require.ErrorIs(t, err, events.ErrInvalid)
	_, err = archive.Open(write(unpack(t, data)), catalog.New(), archive.Options{})
	require.ErrorContains(t, err, "it is unpacked")
	_, err = archive.Open(filepath.Join(t.TempDir(), "none"), catalog.New(), archive.Options{})
	require.ErrorIs(t, err, os.ErrNotExist)

	part := filepath.Join(t.TempDir(), "part")
	file, err := os.Create(part)
	require.NoError(t, err)
	peaks := []tlog.Hash{audit.Leaf(newOriginal(t).records[0])}
	require.NoError(t, archivetest.Export(file, archive.Header{First: 2, Last: 1, Peaks: peaks}, archivetest.Records(0)))
	_, err = archive.Open(part, catalog.New(), archive.Options{})
	require.ErrorContains(t, err, "want one of the whole log, from event 1")
}
