package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/audit"
)

// Options say what an export is to be held to.
type Options struct {
	// Key checks the signature of the export's own checkpoint; without it that one is only a claim.
	Key note.Verifier
	// Kept is a checkpoint that was kept elsewhere: the export must have every event that it covers, as they were.
	Kept *audit.Checkpoint
	// Events, where not nil, gets the canonical line of each event in order, once its block has been checked. It may keep the line.
	Events func(sequence uint64, line []byte) error
	// Progress, where not nil, hears now and then how far it is.
	Progress func(sequence, last uint64)
}

// Report is what is true of an export that holds.
type Report struct {
	Header Header
	Root   tlog.Hash // of the tree of all events up to the last
	// Proven is up to which event the export is what a signed checkpoint says: the kept one, or the export's own where its key was given. 0: none.
	Proven uint64
	// Claimed is the export's own checkpoint, whoever signed it.
	Claimed *audit.Checkpoint
}

// Fault is the first event of an export that is not as it was, or not where it was.
type Fault struct {
	Sequence uint64
	What     string
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("event %d %s", f.Sequence, f.What) }

// Unwrap is [events.ErrInvalid].
func (f *Fault) Unwrap() error { return events.ErrInvalid }

// ErrRewritten: the events are whole among themselves, and are not those that were signed.
var ErrRewritten = fmt.Errorf("the export is not what was signed: %w", events.ErrInvalid)

// Verify reads a whole export. The first event that was changed, dropped, inserted or moved is a [Fault] that names it; a file that was rewritten
// with all its hashes is found by the checkpoint and is [ErrRewritten].
func Verify(in io.Reader, o Options) (Report, error) {
	s, err := newSource(in)
	if err != nil {
		return Report{}, err
	}
	v := &verification{options: o, content: sha256.New()}
	stop := make(chan struct{})
	frames := make(chan frame, 2)
	go func() {
		defer close(frames)
		for {
			content, err := s.read()
			select {
			case frames <- frame{content, err}:
			case <-stop:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	defer close(stop)
	for f := range frames {
		if err := v.lines(f.content); err != nil {
			return v.report, err
		}
		if f.err != nil {
			return v.finish(f.err)
		}
	}
	return v.report, errCut // cannot be: the last frame has an error
}

// verification is the state of one.
type verification struct {
	options Options
	report  Report
	content hash.Hash
	tree    *audit.Compact // nil before the header
	block   [][]byte       // lines since the last seal
	ended   bool
}

// next is the sequence of the first event of the present block.
func (v *verification) next() uint64 { return uint64(v.tree.Size()) + 1 }

// lines takes whole lines.
func (v *verification) lines(content []byte) error {
	for len(content) > 0 {
		n := bytes.IndexByte(content, '\n')
		if n < 0 {
			_, err := v.finish(errCut) // within a line
			return err
		}
		line, whole := content[:n:n], content[:n+1]
		content = content[n+1:]
		if err := v.one(line, whole); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) one(line, whole []byte) error {
	switch {
	case v.ended:
		return fmt.Errorf("something follows the end of the export: %w", events.ErrInvalid)
	case v.tree == nil:
		v.content.Write(whole)
		return v.begin(line)
	case bytes.HasPrefix(line, []byte(endStart)):
		return v.end(line)
	case bytes.HasPrefix(line, []byte(sealStart)):
		v.content.Write(whole)
		return v.sealed(line)
	case len(v.block) >= 2*BlockEvents:
		return v.within(fmt.Errorf("%d events without a seal: %w", len(v.block), events.ErrInvalid))
	}
	v.content.Write(whole)
	v.block = append(v.block, line)
	return nil
}

// begin reads the header and its checkpoint.
func (v *verification) begin(line []byte) error {
	h := &v.report.Header
	if err := decode(line, h); err != nil {
		return fmt.Errorf("header of the export: %w", err)
	}
	if err := h.Validate(); err != nil {
		return err
	}
	tree, err := audit.Resume(int64(h.First)-1, h.Peaks)
	if err != nil {
		return fmt.Errorf("header of the export: %w", err)
	}
	v.tree = tree
	if h.Checkpoint != "" {
		claimed, err := audit.Read([]byte(h.Checkpoint))
		if v.options.Key != nil {
			claimed, err = audit.Open([]byte(h.Checkpoint), v.options.Key)
		}
		if err != nil {
			return fmt.Errorf("header of the export: %w", err)
		}
		v.report.Claimed = &claimed
	}
	if err := v.keptFits(); err != nil {
		return err
	}
	return v.roots()
}

// keptFits reports whether the export can be held to the kept checkpoint.
func (v *verification) keptFits() error {
	k, h := v.options.Kept, v.report.Header
	switch {
	case k == nil:
		return nil
	case v.report.Claimed != nil && v.report.Claimed.Origin != k.Origin:
		return fmt.Errorf("the export is of %s and the kept checkpoint of %s: %w", v.report.Claimed.Origin, k.Origin, events.ErrInvalid)
	case k.Size < int64(h.First)-1:
		return fmt.Errorf("the kept checkpoint covers events 1 to %d and the export begins with %d: want one of at least %d: %w", k.Size, h.First, h.First-1, events.ErrInvalid)
	case k.Size > int64(h.Last):
		return &Fault{h.Last + 1, fmt.Sprintf("is not in the export; the kept checkpoint covers 1 to %d: the tail is cut", k.Size)}
	}
	return nil
}

// sealed checks a block against the seal after it.
func (v *verification) sealed(line []byte) error {
	var s seal
	if err := decode(line, &s); err != nil {
		return v.within(fmt.Errorf("the seal after event %d is damaged: %w", v.next()+uint64(len(v.block))-1, err))
	}
	hashes, err := base64.StdEncoding.Strict().DecodeString(s.Seal.Hashes)
	if err != nil || len(hashes)%shortHash != 0 {
		return v.within(fmt.Errorf("the seal after event %d is damaged: %w", s.Seal.Last, events.ErrInvalid))
	}
	if err := v.hold(hashes); err != nil {
		return err
	}
	if s.Seal.Last != v.next()-1 {
		return fmt.Errorf("the seal after event %d says that it stands after %d: %w", v.next()-1, s.Seal.Last, events.ErrInvalid)
	}
	if v.options.Progress != nil {
		v.options.Progress(s.Seal.Last, v.report.Header.Last)
	}
	return nil
}

// hold compares the lines of a block with their short hashes, and adds them to the tree.
func (v *verification) hold(hashes []byte) error {
	for i, line := range v.block {
		expected := v.next()
		sequence, ok := sequenceOf(line)
		switch {
		case ok && sequence > expected:
			return &Fault{expected, fmt.Sprintf("is missing or was moved: event %d stands in its place", sequence)}
		case ok && sequence < expected:
			return &Fault{expected, fmt.Sprintf("is not in its place: event %d was inserted or moved there", sequence)}
		case expected > v.report.Header.Last:
			return &Fault{expected, fmt.Sprintf("was added: the export promises events up to %d", v.report.Header.Last)}
		case (i+1)*shortHash > len(hashes):
			return &Fault{expected, "was inserted: it has no seal"}
		}
		leaf := tlog.RecordHash(line)
		if !ok || !bytes.Equal(leaf[:shortHash], hashes[i*shortHash:(i+1)*shortHash]) {
			return &Fault{expected, "is not what it was when it was exported"}
		}
		v.tree.Append(leaf)
		if err := v.roots(); err != nil {
			return err
		}
	}
	if len(hashes) > len(v.block)*shortHash {
		return &Fault{v.next(), "is missing"}
	}
	if v.options.Events != nil {
		first := v.next() - uint64(len(v.block))
		for i, line := range v.block {
			if err := v.options.Events(first+uint64(i), line); err != nil {
				return err
			}
		}
	}
	v.block = v.block[:0]
	return nil
}

// roots compares the tree with the checkpoints whose size it has now.
func (v *verification) roots() error {
	for _, c := range []*audit.Checkpoint{v.options.Kept, v.report.Claimed} {
		if c == nil || c.Size != v.tree.Size() {
			continue
		}
		if root := v.tree.Root(); root != c.Root {
			return fmt.Errorf("events 1 to %d give the root %s and %s was signed; every seal fits, so the file was made anew with other events: %w",
				c.Size, root, c.Root, ErrRewritten)
		}
		if c == v.options.Kept || v.options.Key != nil {
			v.report.Proven = max(v.report.Proven, uint64(c.Size))
		}
	}
	return nil
}

// end checks the last line.
func (v *verification) end(line []byte) error {
	if len(v.block) > 0 {
		return v.within(fmt.Errorf("event %d has no seal: %w", v.next(), events.ErrInvalid))
	}
	var e end
	if err := decode(line, &e); err != nil {
		return fmt.Errorf("the export's last line is damaged: %w", err)
	}
	h := v.report.Header
	v.report.Root = v.tree.Root()
	switch {
	case v.next()-1 != h.Last:
		return &Fault{v.next(), fmt.Sprintf("is missing, and all up to %d: the tail is cut", h.Last)}
	case e.End.Last != h.Last, e.End.Root != base64Of(v.report.Root[:]), e.End.SHA256 != base64Of(v.content.Sum(nil)):
		return fmt.Errorf("the export's last line is not that of what stands before it: %w", events.ErrInvalid)
	}
	v.ended = true
	return v.consistent()
}

// consistent checks that a checkpoint newer than the last event is of a log that goes on from it.
func (v *verification) consistent() error {
	c, h := v.report.Claimed, v.report.Header
	if c == nil || uint64(c.Size) <= h.Last {
		if len(h.Consistency) > 0 {
			return fmt.Errorf("header of the export: a proof of nothing: %w", events.ErrInvalid)
		}
		return nil
	}
	if h.Last == 0 {
		return nil // everything goes on from nothing
	}
	if err := tlog.CheckTree(h.Consistency, c.Size, c.Root, int64(h.Last), v.report.Root); err != nil {
		return fmt.Errorf("events 1 to %d are not the beginning of what checkpoint %d covers: %w", h.Last, c.Size, ErrRewritten)
	}
	if v.options.Key != nil {
		v.report.Proven = max(v.report.Proven, h.Last)
	}
	return nil
}

// finish is called at the end of the file.
func (v *verification) finish(err error) (Report, error) {
	switch {
	case !errors.Is(err, io.EOF) && !errors.Is(err, errCut):
		return v.report, v.within(err)
	case v.tree == nil:
		return v.report, fmt.Errorf("the export has no header: %w", errCut)
	case !v.ended && v.next()+uint64(len(v.block)) <= v.report.Header.Last:
		return v.report, v.within(&Fault{v.next() + uint64(len(v.block)), fmt.Sprintf("is missing, and all up to %d: the tail is cut", v.report.Header.Last)})
	case !v.ended || errors.Is(err, errCut):
		return v.report, fmt.Errorf("after event %d: %w", v.report.Header.Last, errCut)
	}
	return v.report, nil
}

// within looks for an earlier fault in the block that a fault was found in. What has no seal yet is only known by its sequence.
func (v *verification) within(found error) error {
	if v.tree == nil {
		return found
	}
	for i, line := range v.block {
		expected := v.next() + uint64(i)
		if sequence, ok := sequenceOf(line); !ok {
			return &Fault{expected, "cannot be read"}
		} else if sequence != expected {
			return &Fault{expected, fmt.Sprintf("is not in its place: event %d stands there", sequence)}
		}
	}
	return found
}

// sequenceOf reads the sequence out of a canonical line. It stands after the data, and no text after that can hold a bare quotation mark.
func sequenceOf(line []byte) (uint64, bool) {
	const name, digits = `"sequence":"`, 20
	at := bytes.LastIndex(line, []byte(name))
	if at < 0 || at+len(name)+digits >= len(line) || line[at+len(name)+digits] != '"' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(line[at+len(name):at+len(name)+digits]), 10, 64)
	return n, err == nil
}
