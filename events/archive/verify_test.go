package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/archive/archivetest"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// original is an export of a log, and the checkpoint that is kept of it elsewhere.
type original struct {
	key     archivetest.Key
	records []events.Record
	kept    audit.Checkpoint
	header  archive.Header
	file    []byte
	lines   [][]byte // of its content, each with its line break
	at      []int    // which line is which event
}

const size = 300 // a block and a part of one

func newOriginal(t require.TestingT) *original {
	key, err := archivetest.NewKey()
	require.NoError(t, err)
	o := &original{key: key, records: slices.Collect(archivetest.Records(size))}
	_, kept, signed, err := key.Signed(slices.Values(o.records))
	require.NoError(t, err)
	o.kept, o.header = kept, archive.Header{Log: "test", First: 1, Last: size, Checkpoint: string(signed)}
	o.file = export(t, o.header, o.records)
	content := unpack(t, o.file)
	for line := range bytes.Lines(content) {
		if bytes.Contains(line, []byte(`"specversion"`)) {
			o.at = append(o.at, len(o.lines))
		}
		o.lines = append(o.lines, bytes.Clone(line))
	}
	require.Len(t, o.at, size)
	return o
}

func export(t require.TestingT, h archive.Header, records []events.Record) []byte {
	var file bytes.Buffer
	require.NoError(t, archivetest.Export(&file, h, slices.Values(records)))
	return file.Bytes()
}

// unpack does what zstd -d does.
func unpack(t require.TestingT, file []byte) []byte {
	reader, err := zstd.NewReader(bytes.NewReader(file))
	require.NoError(t, err)
	defer reader.Close()
	content, err := io.ReadAll(reader)
	require.NoError(t, err)
	return content
}

func (o *original) verify(file []byte) (archive.Report, error) {
	return archive.Verify(bytes.NewReader(file), archive.Options{Key: o.key.Verifier, Kept: &o.kept})
}

func TestAnUntouchedExportPasses(t *testing.T) {
	o := newOriginal(t)
	var seen []events.Record
	report, err := archive.Verify(bytes.NewReader(o.file), archive.Options{Key: o.key.Verifier, Kept: &o.kept, Events: func(sequence uint64, line []byte) error {
		r, err := cloudevent.ParseLine(line)
		require.NoError(t, err)
		require.Equal(t, sequence, r.Sequence)
		seen = append(seen, r)
		return nil
	}})
	require.NoError(t, err)
	require.Equal(t, o.kept.Root, report.Root)
	require.EqualValues(t, size, report.Proven)
	require.Len(t, seen, size)
	require.Equal(t, o.records[5].Data, seen[5].Data)

	_, err = o.verify(bytes.Join(o.lines, nil))
	require.NoError(t, err, "unpacked")
	report, err = archive.Verify(bytes.NewReader(o.file), archive.Options{})
	require.NoError(t, err)
	require.Zero(t, report.Proven, "without a key nobody vouches for it")
	require.Equal(t, o.kept, *report.Claimed)
}

func TestPartsOfALogAreHeldToItsCheckpoint(t *testing.T) {
	o := newOriginal(t)
	vault, c, signed, err := o.key.Signed(slices.Values(o.records))
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint64Range(1, size).Draw(t, "first")
		last := rapid.Uint64Range(first, size).Draw(t, "last")
		peaks, err := audit.PeaksAt(context.Background(), vault, c, int64(first)-1)
		require.NoError(t, err)
		_, consistency, err := audit.Head(context.Background(), vault, c, int64(last))
		require.NoError(t, err)
		h := archive.Header{Log: "test", First: first, Last: last, Peaks: peaks, Checkpoint: string(signed), Consistency: consistency}
		file := export(t, h, o.records[first-1:last])
		report, err := archive.Verify(bytes.NewReader(file), archive.Options{Key: o.key.Verifier})
		require.NoError(t, err)
		require.Equal(t, last, report.Proven)
		// Other events in the same place are found out.
		forged := slices.Clone(o.records[first-1 : last])
		forged[len(forged)/2].Data = []byte(`{"forged":true}`)
		_, err = archive.Verify(bytes.NewReader(export(t, h, forged)), archive.Options{Key: o.key.Verifier})
		require.ErrorIs(t, err, archive.ErrRewritten)
		if last < size {
			_, err = archive.Verify(bytes.NewReader(file), archive.Options{Key: o.key.Verifier, Kept: &c})
			require.ErrorContains(t, err, "the tail is cut")
		}
	})
}

// The ways to tamper with an export. Those before rewrite change a file and nothing that guards it; those after make it anew, with every
// seal and hash right.
const (
	changeByte = iota // of the file
	changeByteOfContent
	dropEvent
	swapEvents
	repeatEvent
	cutFile
	cutContent
	rewriteChanged
	rewriteDropped
	rewriteInserted
	rewriteSwapped
	rewriteCut
	tamperings
)

// tamper changes the export at two places. fault is the first event that is not as it was; 0 where none can be named.
func (o *original) tamper(t require.TestingT, how, one, two int, by byte) (file []byte, fault uint64) {
	by = max(1, by)
	lines := slices.Clone(o.lines)
	a, b := one%size, two%size
	if a == b {
		b = (a + 1) % size
	}
	if a > b {
		a, b = b, a
	}
	records := slices.Clone(o.records)
	h := o.header
	switch how % tamperings {
	case changeByte:
		file = bytes.Clone(o.file)
		file[one%len(file)] ^= by
		return file, 0
	case changeByteOfContent:
		content := bytes.Join(lines, nil)
		at := one % len(content)
		content[at] ^= by
		end := 0
		for i, line := range lines {
			if end += len(line); at < end {
				return content, uint64(slices.Index(o.at, i) + 1) // 0 for a line that is no event
			}
		}
	case dropEvent:
		at := one % size
		return bytes.Join(slices.Delete(lines, o.at[at], o.at[at]+1), nil), uint64(at + 1)
	case swapEvents:
		lines[o.at[a]], lines[o.at[b]] = lines[o.at[b]], lines[o.at[a]]
		return bytes.Join(lines, nil), uint64(a + 1)
	case repeatEvent:
		return bytes.Join(slices.Insert(lines, o.at[b], lines[o.at[a]]), nil), uint64(b + 1)
	case cutFile:
		return o.file[:one%len(o.file)], 0
	case cutContent:
		content := bytes.Join(lines, nil)
		return content[:one%len(content)], 0
	case rewriteChanged:
		records[a].Data = []byte(fmt.Sprintf(`{"forged":%d}`, by))
	case rewriteDropped:
		records = slices.Delete(records, a, a+1)
	case rewriteInserted:
		records = slices.Insert(records, a, records[b])
	case rewriteSwapped:
		records[a], records[b] = records[b], records[a]
	case rewriteCut:
		records = records[:a]
	}
	for i := range records {
		records[i].Sequence = uint64(i) + 1
	}
	h.Last = uint64(len(records))
	if h.Last < size {
		h.Checkpoint, h.Consistency = "", nil // the forger's best: the true one would show it
	}
	return export(t, h, records), 0
}

func (o *original) caught(t require.TestingT, how, one, two int, by byte) {
	file, fault := o.tamper(t, how, one, two, by)
	_, err := o.verify(file)
	require.ErrorIs(t, err, events.ErrInvalid, "tampering %d at %d and %d by %d passed", how, one, two, by)
	if fault > 0 {
		var found *archive.Fault
		require.ErrorAs(t, err, &found)
		require.Equal(t, fault, found.Sequence, "%v", err)
	}
	if how%tamperings >= rewriteChanged && how%tamperings != rewriteDropped && how%tamperings != rewriteCut {
		require.ErrorIs(t, err, archive.ErrRewritten)
	}
}

func TestEveryTamperingIsFoundAndTheFirstBadEventNamed(t *testing.T) {
	o := newOriginal(t)
	rapid.Check(t, func(t *rapid.T) {
		o.caught(t, rapid.IntRange(0, tamperings-1).Draw(t, "how"), rapid.IntRange(0, 1<<30).Draw(t, "one"), rapid.IntRange(0, 1<<30).Draw(t, "two"),
			rapid.Byte().Draw(t, "by"))
	})
}

func FuzzTamperedExportsAreFound(f *testing.F) {
	o := newOriginal(f)
	for how := range tamperings {
		for _, at := range []int{0, 1, 255, 256, 700, size - 1, 5000, len(o.file) - 1, len(o.file) - 40} {
			f.Add(how, at, at/2, byte(1))
		}
	}
	f.Fuzz(func(t *testing.T, how, one, two int, by byte) {
		o.caught(t, how&0x7fffffff, one&0x7fffffff, two&0x7fffffff, by)
	})
}

// Whatever the bytes, reading them ends, and passes nothing that was not exported.
func FuzzAnyFileIsReadOrRefused(f *testing.F) {
	o := newOriginal(f)
	small := export(f, archive.Header{Log: "x", First: 1, Last: 3}, o.records[:3])
	f.Add(small)
	f.Add(unpack(f, small))
	f.Add(o.file)
	f.Add([]byte("{\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		if report, err := o.verify(file); err == nil && report.Root != o.kept.Root {
			t.Fatalf("passed with the root %s", report.Root)
		}
	})
}

func TestWhatIsSaidOfADamagedExportNamesTheEvent(t *testing.T) {
	o := newOriginal(t)
	for _, c := range []struct {
		how, one, two int
		want          string
	}{
		{dropEvent, 199, 0, "event 200 is missing or was moved: event 201 stands in its place"},
		{dropEvent, size - 1, 0, fmt.Sprintf("event %d is missing", size)},
		{swapEvents, 199, 210, "event 200 is missing or was moved: event 211 stands in its place"},
		{repeatEvent, 199, 210, "event 211 is not in its place: event 200 was inserted or moved there"},
		{cutContent, 400_000, 0, "is missing, and all up to 300: the tail is cut"},
		{rewriteCut, 150, 151, "event 151 is not in the export; the kept checkpoint covers 1 to 300: the tail is cut"},
		{rewriteChanged, 50, 90, "every seal fits, so the file was made anew with other events"},
	} {
		file, _ := o.tamper(t, c.how, c.one, c.two, 7)
		_, err := o.verify(file)
		require.ErrorContains(t, err, c.want)
	}
	changed := bytes.Replace(bytes.Join(o.lines, nil), []byte(`"sequence":"00000000000000000277"`), []byte(`"sequence":"000000000000000002_7"`), 1)
	_, err := o.verify(changed)
	require.ErrorContains(t, err, "event 277 is not what it was when it was exported")

	stranger, err := archivetest.NewKey()
	require.NoError(t, err)
	_, err = archive.Verify(bytes.NewReader(o.file), archive.Options{Key: stranger.Verifier})
	require.ErrorContains(t, err, "signature")
	_, err = archive.Verify(strings.NewReader("hello"), archive.Options{})
	require.ErrorContains(t, err, "this is no export")
	_, err = archive.Verify(strings.NewReader(""), archive.Options{})
	require.ErrorContains(t, err, "this is no export")
	broken := errors.New("disk on fire")
	_, err = archive.Verify(io.MultiReader(bytes.NewReader(o.file[:4000]), failing{broken}), archive.Options{})
	require.ErrorIs(t, err, broken)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnEmptyLogCanBeExported(t *testing.T) {
	file := export(t, archive.Header{Log: "x", First: 1, Last: 0}, nil)
	report, err := archive.Verify(bytes.NewReader(file), archive.Options{})
	require.NoError(t, err)
	root, err := tlog.TreeHash(0, nil)
	require.NoError(t, err)
	require.Equal(t, root, report.Root)
	var out bytes.Buffer
	require.ErrorIs(t, archivetest.Export(&out, archive.Header{First: 1, Last: 2}, archivetest.Records(1)), events.ErrInvalid, "not all that was promised")
	require.ErrorIs(t, archivetest.Export(&out, archive.Header{First: 1, Last: 1}, archivetest.Records(2)), events.ErrInvalid, "more than was promised")
	require.ErrorIs(t, archivetest.Export(&out, archive.Header{First: 5, Last: 9}, archivetest.Records(0)), events.ErrInvalid, "no peaks")
}

func BenchmarkVerify(b *testing.B) {
	const n = 50_000
	key, err := archivetest.NewKey()
	require.NoError(b, err)
	_, kept, signed, err := key.Signed(archivetest.Records(n))
	require.NoError(b, err)
	var file bytes.Buffer
	require.NoError(b, archivetest.Export(&file, archive.Header{First: 1, Last: n, Checkpoint: string(signed)}, archivetest.Records(n)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := archive.Verify(bytes.NewReader(file.Bytes()), archive.Options{Key: key.Verifier, Kept: &kept})
		require.NoError(b, err)
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(file.Len())/n, "bytes/event")
}
