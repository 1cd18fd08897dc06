package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/gateway/client"
)

// exportSegments adds to a directory of segments what the log has beyond them.
func (c *cli) exportSegments(ctx context.Context, gateway *client.Client, dir string, want exporting) error {
	if want.from > 0 || want.to > 0 || want.size == 0 {
		return usagef("segments hold the log from event 1 to its end, in files of at least one event: leave out --from and --to")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	all, err := archive.Segments(dir)
	if err != nil {
		return err
	}
	next, replaced := uint64(1), ""
	if n := len(all); n > 0 {
		newest := all[n-1]
		if next = newest.Last + 1; newest.Last-newest.First+1 < want.size {
			next, replaced = newest.First, newest.Path
		}
	}
	state, err := gateway.State(ctx, 0)
	if err != nil {
		return err
	}
	written := 0
	for last := min(next+want.size-1, state.Sequence); next <= last; last = min(next+want.size-1, state.Sequence) {
		path := filepath.Join(dir, archive.SegmentName(next, last))
		if path == replaced {
			break // nothing is new
		}
		part := want
		part.from, part.to, part.segments = next, last, false
		if err := c.export(ctx, gateway, path, part); err != nil {
			return err
		}
		if replaced != "" {
			if err := os.Remove(replaced); err != nil {
				return err
			}
			replaced = ""
		}
		written++
		next = last + 1
	}
	if written == 0 {
		fmt.Fprintf(c.out, "%s has all %d events already\n", dir, state.Sequence)
	}
	return nil
}
