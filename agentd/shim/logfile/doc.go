// Package logfile keeps the log of one container run on disk: one text line for each line of output, in the format of the
// Kubernetes container runtime interface.
//
//	2026-11-23T23:10:00.123456789Z stdout F the text of the line
//
// The third field is F for a whole line and P for a part of one that goes on in the next line of the same stream. Time, stream and tag
// are always equally wide, so the text always begins at the same column. A log that has grown to its size is renamed to .1, what
// was .1 to .2, and so on. Writer and reader live together because they are the only two that know any of this.
package logfile

import (
	"fmt"
	"time"
)

// The streams of a process.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

const (
	timeLayout = "2006-01-02T15:04:05.000000000Z"
	tagAt      = len(timeLayout) + 1 + len(Stdout) + 1
	headerSize = tagAt + 2
	// maxText is the longest text of one line in the log; longer lines are split into parts.
	maxText = 16 << 10
)

// Line is one line of a log.
type Line struct {
	Time    time.Time
	Stream  string
	Partial bool
	Text    []byte // valid until the next line is read
}

func appendLine(out []byte, at time.Time, stream string, tag byte, text []byte) []byte {
	out = at.UTC().AppendFormat(out, timeLayout)
	out = append(out, ' ')
	out = append(out, stream...)
	out = append(out, ' ', tag, ' ')
	out = append(out, text...)
	return append(out, '\n')
}

// parse reads a line of the log, without its end; ok is false for one that was torn by a full disk.
func parse(raw []byte) (line Line, ok bool) {
	if len(raw) < headerSize {
		return Line{}, false
	}
	at, err := time.Parse(timeLayout, string(raw[:len(timeLayout)]))
	if err != nil {
		return Line{}, false
	}
	line = Line{Time: at, Stream: Stdout, Partial: raw[tagAt] == 'P', Text: raw[headerSize:]}
	if string(raw[len(timeLayout)+1:tagAt-1]) == Stderr {
		line.Stream = Stderr
	}
	return line, true
}

// rotated is the name of the nth older file; the 0th is the present one.
func rotated(path string, n int) string {
	if n == 0 {
		return path
	}
	return fmt.Sprintf("%s.%d", path, n)
}
