package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// Log is an export read in place of the log itself. It implements [events.Log], to which nothing can be appended, and [events.Records].
type Log struct {
	registry *events.Registry
	files    []*os.File
	frames   []position
	subjects map[events.Subject][]uint64
	extent   events.Extent
	report   Report

	decoder *zstd.Decoder // may be used by several goroutines
	mu      sync.Mutex
	cache   map[int][][]byte // lines of the frames read last
	recent  []int
}

var (
	_ events.Log     = (*Log)(nil)
	_ events.Records = (*Log)(nil)
)

// position is where a frame stands in the file.
type position struct {
	file   *os.File
	first  uint64 // sequence of its first event
	count  uint64
	offset int64
	length int64
}

// cachedFrames is how many unpacked frames are kept.
const cachedFrames = 8

// Open verifies an export, or a directory of segments, and reads it from then on. It must begin with the first event: a state cannot be made of a part.
func Open(path string, registry *events.Registry, o Options) (*Log, error) {
	l := &Log{registry: registry, subjects: map[events.Subject][]uint64{}, cache: map[int][][]byte{}}
	if err := l.open(path, o); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("open export %s: %w", path, err)
	}
	return l, nil
}

func (l *Log) open(path string, o Options) (err error) {
	o.Events = func(sequence uint64, line []byte) error {
		subject, err := subjectIn(line)
		if err != nil {
			return err
		}
		l.subjects[subject] = append(l.subjects[subject], sequence)
		return nil
	}
	if l.report, err = VerifyPath(path, o); err != nil {
		return err
	}
	if l.report.Header.First != 1 {
		return fmt.Errorf("it begins with event %d: want one of the whole log, from event 1: %w", l.report.Header.First, events.ErrInvalid)
	}
	if l.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxFrame)); err != nil {
		return err
	}
	all, err := parts(path)
	if err != nil {
		return err
	}
	for _, part := range all {
		file, err := os.Open(part.Path)
		if err != nil {
			return err
		}
		l.files = append(l.files, file)
		if err := l.index(file); err != nil {
			return err
		}
	}
	return l.measure()
}

// subjectIn reads the subject out of a canonical line.
func subjectIn(line []byte) (events.Subject, error) {
	const name = `"subject":"`
	if at := bytes.LastIndex(line, []byte(name)); at >= 0 && !bytes.Contains(line, []byte(cloudevent.TypeRecord)) {
		rest := line[at+len(name):]
		if end := bytes.IndexByte(rest, '"'); end >= 0 && bytes.IndexByte(rest[:end], '\\') < 0 {
			return events.Subject(rest[:end]), nil
		}
	}
	r, err := cloudevent.ReadLine(line)
	return r.Subject, err
}

// index finds the frames of a file. It is verified: what its indexes say is true.
func (l *Log) index(file *os.File) error {
	var head [8 + indexLength]byte
	for offset := int64(0); ; {
		n, err := file.ReadAt(head[:], offset)
		if n < 8 {
			return fmt.Errorf("read index: %w", err)
		}
		switch binary.LittleEndian.Uint32(head[:]) {
		case magicDigest:
			return nil
		case magicIndex:
		default:
			return fmt.Errorf("it is unpacked, or was packed by another program: want the file as `rutter export` wrote it: %w", events.ErrInvalid)
		}
		p := position{
			file: file, first: binary.LittleEndian.Uint64(head[8:]), count: uint64(binary.LittleEndian.Uint32(head[16:])),
			offset: offset + int64(len(head)), length: int64(binary.LittleEndian.Uint64(head[20:])),
		}
		l.frames = append(l.frames, p)
		offset = p.offset + p.length
	}
}

// measure finds where the log begins and ends.
func (l *Log) measure() error {
	h := l.report.Header
	l.extent = events.Extent{First: h.First, Last: h.Last}
	if h.Events() == 0 {
		return nil
	}
	for sequence, at := range map[uint64]func(events.Record){
		h.First: func(r events.Record) { l.extent.Began, l.extent.Created = r.Recorded, r.Recorded },
		h.Last:  func(r events.Record) { l.extent.Ended = r.Recorded },
	} {
		r, err := l.record(sequence)
		if err != nil {
			return err
		}
		at(r)
	}
	return nil
}

// Report is what was found true of the export.
func (l *Log) Report() Report { return l.report }

// Close closes the files.
func (l *Log) Close() error {
	var errs []error
	for _, file := range l.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// lines are the event lines of a frame.
func (l *Log) lines(frame int) ([][]byte, error) {
	l.mu.Lock()
	lines, ok := l.cache[frame]
	l.mu.Unlock()
	if ok {
		return lines, nil
	}
	p := l.frames[frame]
	compressed := make([]byte, p.length)
	if _, err := io.ReadFull(io.NewSectionReader(p.file, p.offset, p.length), compressed); err != nil {
		return nil, fmt.Errorf("read events from %d: %w", p.first, err)
	}
	content, err := l.decoder.DecodeAll(compressed, nil)
	if err != nil {
		return nil, fmt.Errorf("read events from %d: %w", p.first, err)
	}
	lines = make([][]byte, 0, p.count)
	for line := range bytes.Lines(content) {
		if !bytes.HasPrefix(line, []byte(headerStart)) && !bytes.HasPrefix(line, []byte(sealStart)) && !bytes.HasPrefix(line, []byte(endStart)) {
			lines = append(lines, bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	if uint64(len(lines)) != p.count {
		return nil, fmt.Errorf("read events from %d: %d of %d are there: %w", p.first, len(lines), p.count, events.ErrInvalid)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.cache[frame]; !ok {
		l.cache[frame], l.recent = lines, append(l.recent, frame)
		if len(l.recent) > cachedFrames {
			delete(l.cache, l.recent[0])
			l.recent = slices.Delete(l.recent, 0, 1)
		}
	}
	return lines, nil
}

// frameOf is the frame that an event stands in.
func (l *Log) frameOf(sequence uint64) int {
	return sort.Search(len(l.frames), func(i int) bool { return l.frames[i].first+l.frames[i].count > sequence })
}

func (l *Log) record(sequence uint64) (events.Record, error) {
	if sequence < l.extent.First || sequence > l.extent.Last {
		return events.Record{}, fmt.Errorf("event %d: the export has %d to %d: %w", sequence, l.extent.First, l.extent.Last, events.ErrNotFound)
	}
	frame := l.frameOf(sequence)
	lines, err := l.lines(frame)
	if err != nil {
		return events.Record{}, err
	}
	return cloudevent.ReadLine(lines[sequence-l.frames[frame].first])
}

// Records implements events.Records. After the last event it waits until ctx is done, for nothing ever comes.
func (l *Log) Records(ctx context.Context, from uint64, handle func(events.Record, uint64) error) error {
	from = max(from, l.extent.First)
	for frame := l.frameOf(from); frame < len(l.frames); frame++ {
		lines, err := l.lines(frame)
		if err != nil {
			return err
		}
		first := l.frames[frame].first
		for i, line := range lines {
			sequence := first + uint64(i)
			if sequence < from {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			r, err := cloudevent.ReadLine(line)
			if err != nil {
				return err
			}
			if err := handle(r, l.extent.Last-sequence); err != nil {
				return err
			}
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// event decodes a record as the living log's readers do.
func event(d *cloudevent.Decoder, r events.Record) events.Event {
	e := d.Event(string(r.Subject), r.Header, r.Data)
	e.Sequence, e.Recorded = r.Sequence, r.Recorded
	return e
}

// Follow implements events.Log.
func (l *Log) Follow(ctx context.Context, from uint64, handle func(events.Event, uint64) error) error {
	decoder := cloudevent.NewDecoder(l.registry)
	return l.Records(ctx, from, func(r events.Record, pending uint64) error { return handle(event(decoder, r), pending) })
}

// Read implements events.Log.
func (l *Log) Read(ctx context.Context, subject events.Subject, from uint64, handle func(events.Event) error) error {
	decoder := cloudevent.NewDecoder(l.registry)
	for _, sequence := range l.subjects[subject] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if sequence < from {
			continue
		}
		r, err := l.record(sequence)
		if err != nil {
			return err
		}
		if err := handle(event(decoder, r)); err != nil {
			return err
		}
	}
	return nil
}

// Last implements events.Log.
func (l *Log) Last(context.Context) (uint64, error) { return l.extent.Last, nil }

// Extent implements events.Log. The log was made when its first event was stored, as far as an export tells.
func (l *Log) Extent(context.Context) (events.Extent, error) { return l.extent, nil }

// Get implements events.Log.
func (l *Log) Get(_ context.Context, sequence uint64) (events.Event, error) {
	r, err := l.record(sequence)
	if err != nil {
		return events.Event{}, err
	}
	return event(cloudevent.NewDecoder(l.registry), r), nil
}

// LastOf implements events.Log.
func (l *Log) LastOf(ctx context.Context, subject events.Subject) (events.Event, error) {
	all := l.subjects[subject]
	if len(all) == 0 {
		return events.Event{}, fmt.Errorf("last event of %s: %w", subject, events.ErrNotFound)
	}
	return l.Get(ctx, all[len(all)-1])
}

// Append implements events.Log: nothing can be added to an export.
func (l *Log) Append(context.Context, events.Batch) (uint64, error) {
	return 0, fmt.Errorf("append to an export: %w", events.ErrReadOnly)
}
