package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/cloudevent"
)

// Skippable frames of zstd (RFC 8878, section 3.1.2): a magic number, a length, and what decoders pass over.
const (
	magicIndex  = 0x184D2A5A // before each frame: where it stands
	magicDigest = 0x184D2A5B // at the end of the file: its hash
)

// indexLength is that of an index's content: first sequence, number of events, length of the frame.
const indexLength = 8 + 4 + 8

// Writer writes an export.
type Writer struct {
	out     io.Writer
	file    hash.Hash // of the compressed bytes
	content hash.Hash // of the lines
	encoder *zstd.Encoder
	header  Header
	tree    *audit.Compact

	full   uint64 // events that end a frame
	next   uint64 // sequence of the next event
	frame  bytes.Buffer
	first  uint64 // of the frame
	hashes []byte // short ones, since the last seal
	line   []byte
}

// NewWriter begins an export of the events that the header promises. Close ends it.
func NewWriter(out io.Writer, h Header) (*Writer, error) {
	h.Version = Version
	if err := h.Validate(); err != nil {
		return nil, err
	}
	tree, err := audit.Resume(int64(h.First)-1, h.Peaks)
	if err != nil {
		return nil, fmt.Errorf("export from event %d: %w", h.First, err)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	w := &Writer{out: out, file: sha256.New(), content: sha256.New(), encoder: encoder, header: h, tree: tree, full: frameEvents, next: h.First, first: h.First}
	w.add(encode(h))
	return w, nil
}

// add puts a line into the present frame.
func (w *Writer) add(line []byte) {
	w.content.Write(line)
	w.frame.Write(line)
}

// Write adds an event, which is the next.
func (w *Writer) Write(r events.Record) error {
	if r.Sequence != w.next || r.Sequence > w.header.Last {
		return fmt.Errorf("export: event %d where %d of %d to %d is next: %w", r.Sequence, w.next, w.header.First, w.header.Last, events.ErrInvalid)
	}
	w.line = cloudevent.AppendLine(w.line[:0], r)
	leaf := tlog.RecordHash(w.line)
	w.tree.Append(leaf)
	w.hashes = append(w.hashes, leaf[:shortHash]...)
	w.add(append(w.line, '\n'))
	w.next++
	if r.Sequence%BlockEvents == 0 {
		w.seal()
	}
	if r.Sequence%w.full == 0 || w.frame.Len() >= fullFrame {
		return w.flush()
	}
	return nil
}

func (w *Writer) seal() {
	if len(w.hashes) == 0 {
		return
	}
	var s seal
	s.Seal.Last, s.Seal.Hashes = w.next-1, base64Of(w.hashes)
	w.add(encode(s))
	w.hashes = w.hashes[:0]
}

// flush writes the present frame with its index.
func (w *Writer) flush() error {
	compressed := w.encoder.EncodeAll(w.frame.Bytes(), nil)
	index := binary.LittleEndian.AppendUint64(nil, w.first)
	index = binary.LittleEndian.AppendUint32(index, uint32(w.next-w.first))
	index = binary.LittleEndian.AppendUint64(index, uint64(len(compressed)))
	w.frame.Reset()
	w.first = w.next
	return w.put(skippable(magicIndex, index), compressed)
}

func skippable(magic uint32, content []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, magic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	return append(b, content...)
}

func (w *Writer) put(parts ...[]byte) error {
	for _, part := range parts {
		w.file.Write(part)
		if _, err := w.out.Write(part); err != nil {
			return fmt.Errorf("write export: %w", err)
		}
	}
	return nil
}

// Close writes the end. It fails where not all that the header promises was written.
func (w *Writer) Close() error {
	if w.next != w.header.Last+1 {
		return fmt.Errorf("export: it ends before event %d and promises %d: %w", w.next, w.header.Last, events.ErrInvalid)
	}
	w.seal()
	var e end
	root := w.tree.Root()
	e.End.Last, e.End.Root, e.End.SHA256 = w.header.Last, base64Of(root[:]), base64Of(w.content.Sum(nil))
	w.add(encode(e))
	if err := w.flush(); err != nil {
		return err
	}
	sum := w.file.Sum(nil)
	return w.put(skippable(magicDigest, sum))
}
