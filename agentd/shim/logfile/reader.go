package logfile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// Options chooses lines.
type Options struct {
	Tail  int // last lines only; below 0 all
	Since time.Time
	// Ended is closed when nothing more will be written; nil: read what there is and do not wait for more.
	Ended <-chan struct{}
}

// Read gives the lines of the log at path to emit, oldest first. It returns nil when ctx is done while it waits for more.
func Read(ctx context.Context, path string, options Options, emit func(Line) error) error {
	r := &reader{path: path, since: options.Since, emit: emit}
	defer r.close()
	var watch *watcher
	if options.Ended != nil {
		// The watch begins before the first look, so that nothing falls between the two.
		var err error
		if watch, err = watchLog(path); err != nil {
			return fmt.Errorf("watch log: %w", err)
		}
		defer watch.close()
	}
	if err := r.begin(options.Tail); err != nil {
		return err
	}
	for {
		ended := options.Ended == nil
		select {
		case <-options.Ended:
			ended = true // asked before the look: what was written before the end is read after it
		default:
		}
		if err := r.more(ctx); err != nil || ended {
			return err
		}
		select {
		case <-watch.changed:
		case <-options.Ended:
		case <-ctx.Done():
			return nil
		}
	}
}

type reader struct {
	path  string
	since time.Time
	emit  func(Line) error
	file  *os.File // the one being read; nil while there is none
	buf   *bufio.Reader
	rest  []byte // a line of it that has no end yet
}

// begin goes to the start of the log, or to that of its last lines.
func (r *reader) begin(tail int) error {
	if tail < 0 {
		return nil // more begins with the oldest
	}
	files := openAll(r.path)
	if len(files) == 0 {
		return nil
	}
	first := len(files) - 1
	for ; ; first-- {
		found, enough, err := backward(files[first], tail)
		if err != nil {
			closeAll(files)
			return err
		}
		if tail -= found; enough || first == 0 {
			break
		}
	}
	r.take(files[first])
	closeAll(slices.Delete(files, first, first+1))
	return nil
}

func (r *reader) take(f *os.File) {
	r.close()
	r.file, r.buf, r.rest = f, bufio.NewReaderSize(f, 64<<10), nil
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close() // was only read
		r.file = nil
	}
}

// more reads what was added, across rotations.
func (r *reader) more(ctx context.Context) error {
	for {
		if r.file == nil {
			first := oldest(r.path)
			if first == nil {
				return nil
			}
			r.take(first)
		}
		// Asked before the look: nothing is written to a file once there is a newer one.
		next := r.newer()
		if err := r.lines(ctx); err != nil {
			if next != nil {
				_ = next.Close()
			}
			return err
		}
		if next == nil {
			return nil
		}
		r.take(next)
	}
}

// lines gives the whole lines of the file up to its present end.
func (r *reader) lines(ctx context.Context) error {
	for {
		line, err := r.buf.ReadBytes('\n')
		if len(r.rest) > 0 {
			line = append(r.rest, line...)
			r.rest = nil
		}
		if errors.Is(err, io.EOF) {
			r.rest = line
			return nil
		}
		if err != nil {
			return err
		}
		parsed, ok := parse(line[:len(line)-1])
		if !ok || parsed.Time.Before(r.since) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil //nolint:nilerr // the reader has gone
		}
		if err := r.emit(parsed); err != nil {
			return err
		}
	}
}

// newer opens the file that came after the one being read; nil where that is the newest. One that was rotated away entirely is
// followed by the oldest that is left.
func (r *reader) newer() *os.File {
	mine, err := r.file.Stat()
	if err != nil {
		return nil
	}
	for {
		now, err := os.Stat(r.path)
		if err != nil || os.SameFile(now, mine) {
			return nil // between two names or removed, or still the newest
		}
		at := place(r.path, mine)
		if at < 0 {
			return oldest(r.path)
		}
		next, err := os.Open(rotated(r.path, at-1))
		if err != nil {
			continue // its name is free for a moment, amid a rotation
		}
		// Older files are renamed first: what still has its place had that file next to it when it was opened.
		if still, err := os.Stat(rotated(r.path, at)); err == nil && os.SameFile(still, mine) {
			return next
		}
		_ = next.Close() // was not read
	}
}

// oldest opens the oldest file of a log; nil where there is none.
func oldest(path string) *os.File {
	exists := func(n int) bool {
		_, err := os.Stat(rotated(path, n))
		return err == nil
	}
	for {
		last := 0
		for exists(last+1) || exists(last+2) { // one name may be free amid a rotation
			last++
		}
		if last == 0 && !exists(0) && !exists(1) {
			return nil
		}
		f, err := os.Open(rotated(path, last))
		if err != nil {
			continue
		}
		if !exists(last + 1) {
			return f
		}
		_ = f.Close() // it has moved on
	}
}

// place is the number of a file among the older ones of its log; -1 where it is none of them any more. Files only move on to higher numbers,
// so counting upwards misses none.
func place(path string, file os.FileInfo) int {
	for i := 1; ; i++ {
		info, err := os.Stat(rotated(path, i))
		if err == nil && os.SameFile(info, file) {
			return i
		}
		if err != nil {
			if _, err := os.Stat(rotated(path, i+1)); err != nil {
				return -1
			}
		}
	}
}

// openAll opens all files of a log, oldest first.
func openAll(path string) (files []*os.File) {
	const attempts = 100
	for attempt := 1; ; attempt++ {
		files, whole := openOnce(path)
		if whole || attempt == attempts {
			slices.Reverse(files)
			return files
		}
		closeAll(files)
	}
}

// openOnce opens all files of a log, newest first. The names move on while the log is rotated: whole says that these are all the files that
// there were at one moment.
func openOnce(path string) (files []*os.File, whole bool) {
	for i := 0; ; i++ {
		f, err := os.Open(rotated(path, i))
		if err != nil {
			// Only amid a rotation is a name free that is not the last.
			if _, err := os.Stat(rotated(path, i+1)); err == nil {
				return files, false
			}
			break
		}
		if len(files) > 0 && same(f, files[len(files)-1]) {
			_ = files[len(files)-1].Close()
			files = files[:len(files)-1]
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, true
	}
	now, err := os.Stat(path)
	if err != nil {
		return files, false
	}
	first, err := files[0].Stat()
	return files, err == nil && os.SameFile(now, first)
}

func same(a, b *os.File) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // was only read
	}
}

// backward puts f at the start of its last n lines and says how many it found, and whether another one comes before them. The parts of
// a long line count as one; the first of them may be in the file before.
func backward(f *os.File, n int) (found int, enough bool, err error) {
	const block = 64 << 10
	start, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, false, err
	}
	// seen is the beginning of what was read so far: the end of a line whose start lies further back.
	var seen []byte
	for at := start; at > 0; {
		from := max(at-block, 0)
		chunk := make([]byte, at-from, int(at-from)+len(seen))
		if _, err := f.ReadAt(chunk, from); err != nil {
			return found, false, err
		}
		chunk = append(chunk, seen...)
		for len(chunk) > 0 {
			// A line begins after the end of the one before it, or where the file does.
			i := bytes.LastIndexByte(bytes.TrimSuffix(chunk, []byte{'\n'}), '\n')
			if i < 0 && from > 0 {
				break
			}
			line := chunk[i+1:]
			if len(line) > tagAt && line[tagAt] != 'P' && line[len(line)-1] == '\n' {
				if found == n {
					_, err = f.Seek(start, io.SeekStart)
					return found, true, err
				}
				found++
			}
			chunk = chunk[:i+1]
			start = from + int64(i+1)
		}
		seen, at = chunk, from
	}
	_, err = f.Seek(0, io.SeekStart)
	return found, false, err
}
