package auditor

import (
	"context"
	"errors"
	"fmt"
	"iter"

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
	last, err := s.config.Log.Last(ctx)
	if err != nil {
		return err
	}
	if last < uint64(c.Size) {
		return fmt.Errorf("the log ends at event %d and was signed up to %d: its tail is gone: %w", last, c.Size, audit.ErrForked)
	}
	signed, stop := iter.Pull2(s.leaves(ctx, c, from))
	defer stop()
	expected := uint64(from) + 1
	err = s.config.Records.Records(ctx, expected, func(r events.Record, _ uint64) error {
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
