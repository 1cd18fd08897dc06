package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/spec"
)

// Export is a part of the log that is ready to be written.
type Export struct {
	Header archive.Header
	app    *App
}

// Export prepares an export of the events from one sequence to another. from 0 is the first; to 0 is the last now, or what the newest checkpoint
// covers where that is more, so that what is exported is vouched for.
func (a *App) Export(ctx context.Context, from, to uint64) (*Export, error) {
	x, err := a.Log.Extent(ctx)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	h := archive.Header{Log: x.Created.UTC().Format(time.RFC3339Nano), First: max(from, 1), Last: to}
	if to == 0 {
		h.Last = x.Last
	}
	if h.Last > x.Last || h.First > h.Last+1 || h.First < max(x.First, 1) && !x.Empty() {
		return nil, spec.Errors{{Field: "from", Value: fmt.Sprintf("%d, to %d", h.First, h.Last), Want: fmt.Sprintf("a part of %d to %d, which the log has", max(x.First, 1), x.Last)}}
	}
	c, signed, err := a.covering(ctx, h.Last, signPatience)
	if err != nil && !errors.Is(err, events.ErrNotFound) {
		return nil, fmt.Errorf("export: %w", err)
	}
	if err == nil {
		if err := a.vouch(ctx, &h, c, signed, to == 0); err != nil {
			return nil, fmt.Errorf("export: %w", err)
		}
	} else if h.First > 1 {
		return nil, refuse(events.ErrConflict, "an export that begins with event %d needs a checkpoint that covers what comes before, and none is signed: does `rutter auditor` run?", h.First)
	}
	return &Export{Header: h, app: a}, nil
}

// vouch puts the checkpoint into the header, and what holds the events to it.
func (a *App) vouch(ctx context.Context, h *archive.Header, c audit.Checkpoint, signed []byte, open bool) (err error) {
	size := uint64(c.Size)
	if open && size > h.Last {
		h.Last = size
	}
	h.Checkpoint = string(signed)
	if h.First > 1 {
		if size < h.First-1 {
			return refuse(events.ErrConflict, "the newest checkpoint covers 1 to %d: want a first event of at most %d", size, size+1)
		}
		if h.Peaks, err = audit.PeaksAt(ctx, a.Vault, c, int64(h.First)-1); err != nil {
			return err
		}
	}
	if size > h.Last && h.Last > 0 {
		_, h.Consistency, err = audit.Head(ctx, a.Vault, c, int64(h.Last))
	}
	return err
}

// Write writes the export. What it writes before it fails has no end, by which a reader knows.
func (e *Export) Write(ctx context.Context, out io.Writer) error {
	w, err := archive.NewWriter(out, e.Header)
	if err != nil {
		return err
	}
	if e.Header.Events() > 0 {
		err = e.app.Records.Records(ctx, e.Header.First, func(r events.Record, _ uint64) error {
			if err := w.Write(r); err != nil {
				return err
			}
			if r.Sequence == e.Header.Last {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			return fmt.Errorf("export: %w", err)
		}
	}
	return w.Close()
}
