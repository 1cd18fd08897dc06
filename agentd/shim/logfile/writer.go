package logfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Writer writes a log. It is safe for use by several streams at once.
type Writer struct {
	path     string
	maxSize  int64 // 0: never rotated
	maxFiles int   // the present one included

	mu   sync.Mutex
	file *os.File
	size int64
	lost int64 // bytes that could not be written
	torn bool  // the last write ended within a line
}

// Create opens the log at path for appending.
func Create(path string, maxSize int64, maxFiles int) (*Writer, error) {
	w := &Writer{path: path, maxSize: maxSize, maxFiles: max(maxFiles, 1)}
	return w, w.open()
}

func (w *Writer) open() error {
	file, err := os.OpenFile(w.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	w.file, w.size = file, info.Size()
	return nil
}

// Copy writes the lines of r to the log until r ends. It never stops reading: a full disk must not block the container.
func (w *Writer) Copy(stream string, r io.Reader) {
	buf := make([]byte, maxText)
	var out []byte
	held := 0 // bytes of a line without its end at the start of buf
	for {
		n, err := r.Read(buf[held:])
		now := time.Now()
		data := buf[:held+n]
		out = out[:0]
		for {
			i := bytes.IndexByte(data, '\n')
			if i < 0 {
				break
			}
			out = appendLine(out, now, stream, 'F', data[:i])
			data = data[i+1:]
		}
		switch {
		case err != nil && len(data) > 0: // the last line has no end
			out = appendLine(out, now, stream, 'F', data)
		case len(data) == len(buf):
			out = appendLine(out, now, stream, 'P', data)
			data = nil
		}
		w.write(out)
		if err != nil {
			return
		}
		held = copy(buf, data)
	}
}

// write never fails: what a full disk costs is said in the log itself, once there is room again.
func (w *Writer) write(lines []byte) {
	if len(lines) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.maxSize > 0 && w.size > 0 && w.size+int64(len(lines)) > w.maxSize {
		w.rotate()
	}
	if w.torn || w.lost > 0 {
		var note []byte
		if w.torn {
			note = append(note, '\n')
		}
		text := fmt.Appendf(nil, "[%d bytes of log are lost: the disk was full]", w.lost)
		lines = append(appendLine(note, time.Now(), Stderr, 'F', text), lines...)
	}
	n, err := w.file.Write(lines)
	w.size += int64(n)
	if err == nil {
		w.lost, w.torn = 0, false
		return
	}
	w.lost += int64(len(lines) - n)
	if n > 0 {
		w.torn = lines[n-1] != '\n'
	}
}

// rotate renames the files, oldest first, and opens a new one. Where that fails the old one is written on.
func (w *Writer) rotate() {
	if w.maxFiles == 1 {
		if w.file.Truncate(0) == nil {
			w.size = 0
		}
		return
	}
	for i := w.maxFiles - 1; i > 0; i-- {
		if err := os.Rename(rotated(w.path, i-1), rotated(w.path, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return
		}
	}
	old := w.file
	if w.open() == nil {
		_ = old.Close() // what was written to it is in the page cache
	}
}

// Close closes the log.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.file.Close()
}
