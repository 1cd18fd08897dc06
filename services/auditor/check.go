package auditor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/audit"
)

var errChecked = errors.New("checked")

// check compares the events from index from (of the leaf) on with the tree of a checkpoint. It fails with [audit.ErrForked], and names the first event that is
// missing or is not what was signed.
func (s *Service) check(ctx context.Context, c audit.Checkpoint, from int64) error {
	if from >= c.Size {
		return nil
	}
	if err := s.reach(ctx, uint64(c.Size)); err != nil {
		return err
	}
	signed, stop := iter.Pull2(s.leaves(ctx, c, from))
	defer stop()
	expected := uint64(from) + 1
	err := s.config.Records.Records(ctx, expected, func(r events.Record, _ uint64) error {
		if r.Sequence != expected {
			return fmt.Errorf("event %d is missing: the log goes on with %d: %w", expected, r.Sequence, audit.ErrForked)
		}
		hash, err, _ := signed()
		if err != nil {
			return err
		}
		if hash != audit.Leaf(r) {
			return fmt.Errorf("event %d is not what was signed: %w", r.Sequence, audit.ErrForked)
		}
		if expected++; r.Sequence == uint64(c.Size) {
			return errChecked
		}
		return nil
	})
	if errors.Is(err, errChecked) {
		return nil
	}
	return err
}

// again is how often a log that ends too early is looked at.
const again = 100 * time.Millisecond

// reach waits until the log has so many events. One that ends too early is given time: a new leader may not have applied all that it has.
func (s *Service) reach(ctx context.Context, size uint64) error {
	began, ticker := time.Now(), time.NewTicker(again)
	defer ticker.Stop()
	for {
		last, err := s.config.Log.Last(ctx)
		switch {
		case err != nil:
			return err
		case last >= size:
			return nil
		case time.Since(began) >= s.config.Patience:
			return fmt.Errorf("the log ends at event %d and was signed up to %d: its tail is gone: %w", last, size, audit.ErrForked)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errStopped = errors.New("stopped")

// leaves are the hashes that were signed.
func (s *Service) leaves(ctx context.Context, c audit.Checkpoint, from int64) iter.Seq2[tlog.Hash, error] {
	return func(yield func(tlog.Hash, error) bool) {
		err := audit.Leaves(ctx, s.config.Vault, c, from, func(_ int64, h tlog.Hash) error {
			if !yield(h, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(tlog.Hash{}, err)
		}
	}
}
