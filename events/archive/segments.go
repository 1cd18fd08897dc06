package archive

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/audit"
)

// Segment is an export of a part of a log, among others that follow it in one directory.
type Segment struct {
	Path        string
	First, Last uint64
}

const (
	segmentPrefix = "events-"
	segmentSuffix = ".rutter"
)

// SegmentName is the file name of a segment; names sort as their events do.
func SegmentName(first, last uint64) string {
	return fmt.Sprintf("%s%012d-%012d%s", segmentPrefix, first, last, segmentSuffix)
}

// Segments lists the segments of a directory in order. Files of other names are not looked at. A segment that another, longer one begins like is left out:
// it was replaced, and whoever did so was killed before it could remove it.
func Segments(dir string) ([]Segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var all []Segment
	for _, entry := range entries {
		name, ok := strings.CutPrefix(entry.Name(), segmentPrefix)
		if !ok {
			continue
		}
		if name, ok = strings.CutSuffix(name, segmentSuffix); !ok {
			continue
		}
		from, to, _ := strings.Cut(name, "-")
		first, err1 := strconv.ParseUint(from, 10, 64)
		last, err2 := strconv.ParseUint(to, 10, 64)
		if err1 != nil || err2 != nil || entry.Name() != SegmentName(first, last) {
			continue
		}
		s := Segment{filepath.Join(dir, entry.Name()), first, last}
		if n := len(all); n > 0 && all[n-1].First == first {
			all[n-1] = s // longer: names sort
		} else {
			all = append(all, s)
		}
	}
	return all, nil
}

// parts are the files that a path stands for: one export, or the segments of a directory.
func parts(path string) ([]Segment, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []Segment{{Path: path}}, nil
	}
	all, err := Segments(path)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no segment in %s: want files that `rutter export --segments` wrote: %w", path, events.ErrNotFound)
	}
	return all, nil
}

// VerifyPath verifies an export, or the segments of a directory as the one log that they are parts of: none is missing between two, and each
// goes on from the tree of the one before.
func VerifyPath(path string, o Options) (Report, error) {
	all, err := parts(path)
	if err != nil {
		return Report{}, err
	}
	if len(all) == 1 && all[0].First == 0 {
		return verifyFile(path, o)
	}
	if err := keptWithin(all, o.Kept); err != nil {
		return Report{}, err
	}
	var whole Report
	for i, s := range all {
		own := o
		own.Kept = nil
		if k := o.Kept; k != nil && uint64(k.Size) >= s.First-1 && uint64(k.Size) <= s.Last {
			own.Kept = k
		}
		if o.Progress != nil {
			own.Progress = func(sequence, _ uint64) { o.Progress(sequence, all[len(all)-1].Last) }
		}
		report, err := verifyFile(s.Path, own)
		if err != nil {
			return report, fmt.Errorf("%s: %w", filepath.Base(s.Path), err)
		}
		if err := follows(i == 0, whole, s, report.Header); err != nil {
			return report, fmt.Errorf("%s: %w", filepath.Base(s.Path), err)
		}
		first, proven := whole.Header.First, whole.Proven
		whole = report
		if i > 0 {
			whole.Header.First, whole.Header.Peaks = first, nil
		}
		// What proves a tree proves all that it goes on from.
		whole.Proven = max(proven, report.Proven)
	}
	return whole, nil
}

func keptWithin(all []Segment, kept *audit.Checkpoint) error {
	last := all[len(all)-1].Last
	if kept != nil && uint64(kept.Size) > last {
		return &Fault{last + 1, fmt.Sprintf("is in no segment; the kept checkpoint covers 1 to %d: the tail is cut", kept.Size)}
	}
	return nil
}

// follows checks that a segment is what its name says, and goes on from those before it.
func follows(first bool, before Report, s Segment, h Header) error {
	switch {
	case h.First != s.First || h.Last != s.Last:
		return fmt.Errorf("it holds events %d to %d: it was renamed: %w", h.First, h.Last, events.ErrInvalid)
	case first:
		return nil
	case h.First != before.Header.Last+1:
		return &Fault{before.Header.Last + 1, fmt.Sprintf("is in no segment: the next begins with %d", h.First)}
	case h.Log != before.Header.Log:
		return fmt.Errorf("it is of another log than the segment before: %w", events.ErrInvalid)
	}
	tree, err := audit.Resume(int64(h.First)-1, h.Peaks)
	if err != nil {
		return err
	}
	if tree.Root() != before.Root {
		return fmt.Errorf("it goes on from other events than those of the segment before: %w", ErrRewritten)
	}
	return nil
}

func verifyFile(path string, o Options) (Report, error) {
	file, err := os.Open(path)
	if err != nil {
		return Report{}, err
	}
	report, err := Verify(file, o)
	return report, errors.Join(err, file.Close())
}
