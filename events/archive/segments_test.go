package archive_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/memlog"
)

// segmented is an original in segments of its own directory.
type segmented struct {
	*original
	t     *testing.T
	dir   string
	vault *memlog.Vault
	note  []byte
}

func newSegmented(t *testing.T, ends ...uint64) *segmented {
	s := &segmented{original: newOriginal(t), t: t, dir: t.TempDir()}
	var err error
	s.vault, _, s.note, err = s.key.Signed(func(yield func(events.Record) bool) {
		for _, r := range s.records {
			if !yield(r) {
				return
			}
		}
	})
	require.NoError(t, err)
	first := uint64(1)
	for _, last := range ends {
		s.write(first, last, s.records)
		first = last + 1
	}
	return s
}

// write writes a segment of records.
func (s *segmented) write(first, last uint64, records []events.Record) string {
	s.t.Helper()
	peaks, err := audit.PeaksAt(context.Background(), s.vault, s.kept, int64(first)-1)
	require.NoError(s.t, err)
	_, consistency, err := audit.Head(context.Background(), s.vault, s.kept, int64(last))
	require.NoError(s.t, err)
	h := archive.Header{Log: "test", First: first, Last: last, Peaks: peaks, Checkpoint: string(s.note), Consistency: consistency}
	path := filepath.Join(s.dir, archive.SegmentName(first, last))
	require.NoError(s.t, os.WriteFile(path, export(s.t, h, records[first-1:last]), 0o600))
	return path
}

func (s *segmented) verify() (archive.Report, error) {
	return archive.VerifyPath(s.dir, archive.Options{Key: s.key.Verifier, Kept: &s.kept})
}

func TestSegmentsAreTheOneLog(t *testing.T) {
	s := newSegmented(t, 60, 256, 270, size)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "README"), nil, 0o600))
	s.write(271, 285, s.records) // replaced by the longer one, and not removed
	last := uint64(0)
	report, err := archive.VerifyPath(s.dir, archive.Options{Key: s.key.Verifier, Kept: &s.kept, Events: func(sequence uint64, _ []byte) error {
		require.Equal(t, last+1, sequence)
		last = sequence
		return nil
	}})
	require.NoError(t, err)
	require.EqualValues(t, size, last)
	require.EqualValues(t, 1, report.Header.First)
	require.EqualValues(t, size, report.Header.Last)
	require.EqualValues(t, size, report.Proven)
	require.Equal(t, s.kept.Root, report.Root)

	log, err := archive.Open(s.dir, catalog.New(), archive.Options{})
	require.NoError(t, err)
	defer log.Close()
	require.Len(t, all(t, log, 1), size)
	require.Len(t, all(t, log, 256), size-255)
	e, err := log.Get(t.Context(), 257)
	require.NoError(t, err)
	require.EqualValues(t, 257, e.Sequence)
}

func TestSegmentsThatDoNotFitAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		tamper func(*segmented)
		want   string
	}{
		"one is missing": {func(s *segmented) {
			require.NoError(s.t, os.Remove(filepath.Join(s.dir, archive.SegmentName(101, 200))))
		}, "event 101 is in no segment: the next begins with 201"},
		"the last is missing": {func(s *segmented) {
			require.NoError(s.t, os.Remove(filepath.Join(s.dir, archive.SegmentName(201, size))))
		}, "event 201 is in no segment; the kept checkpoint covers 1 to 300: the tail is cut"},
		"one is renamed": {func(s *segmented) {
			require.NoError(s.t, os.Rename(filepath.Join(s.dir, archive.SegmentName(101, 200)), filepath.Join(s.dir, archive.SegmentName(101, 199))))
		}, "it was renamed"},
		"one is damaged": {func(s *segmented) {
			path := filepath.Join(s.dir, archive.SegmentName(101, 200))
			data, err := os.ReadFile(path)
			require.NoError(s.t, err)
			data[len(data)/2] ^= 1
			require.NoError(s.t, os.WriteFile(path, data, 0o600))
		}, archive.SegmentName(101, 200) + ": "},
		"one was made anew": {func(s *segmented) {
			forged := append([]events.Record{}, s.records...)
			forged[150].Data = []byte(`{"forged":true}`)
			s.write(101, 200, forged)
		}, archive.SegmentName(101, 200) + ": "},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSegmented(t, 100, 200, size)
			c.tamper(s)
			_, err := s.verify()
			require.ErrorContains(t, err, c.want)
			require.ErrorIs(t, err, events.ErrInvalid)
		})
	}
	_, err := archive.VerifyPath(t.TempDir(), archive.Options{})
	require.ErrorIs(t, err, events.ErrNotFound)
	// Without any key the chain alone shows that one was made anew.
	s := newSegmented(t, 100, 200, size)
	forged := append([]events.Record{}, s.records...)
	forged[150].Data = []byte(`{"forged":true}`)
	path := filepath.Join(s.dir, archive.SegmentName(101, 200))
	peaks, err := audit.PeaksAt(t.Context(), s.vault, s.kept, 100)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, export(t, archive.Header{Log: "test", First: 101, Last: 200, Peaks: peaks}, forged[100:200]), 0o600))
	_, err = archive.VerifyPath(s.dir, archive.Options{})
	require.ErrorContains(t, err, archive.SegmentName(201, size)+": it goes on from other events")
}
