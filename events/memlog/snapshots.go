package memlog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/rutter-run/rutter/events"
)

// Snapshots implements [events.Snapshots] in memory.
type Snapshots struct {
	mu   sync.Mutex
	kept map[string]snapshot
}

type snapshot struct {
	info events.SnapshotInfo
	data []byte
}

var _ events.Snapshots = (*Snapshots)(nil)

// NewSnapshots makes an empty store.
func NewSnapshots() *Snapshots { return &Snapshots{kept: map[string]snapshot{}} }

// Put implements events.Snapshots.
func (s *Snapshots) Put(ctx context.Context, info events.SnapshotInfo, data []byte) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put snapshot %s: %w: %w", info.Name(), events.ErrUnavailable, err)
	}
	info.Size = len(data)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[info.Name()] = snapshot{info, slices.Clone(data)}
	return nil
}

// List implements events.Snapshots.
func (s *Snapshots) List(context.Context) ([]events.SnapshotInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]events.SnapshotInfo, 0, len(s.kept))
	for _, kept := range s.kept {
		all = append(all, kept.info)
	}
	slices.SortFunc(all, func(a, b events.SnapshotInfo) int {
		return cmp.Or(cmp.Compare(b.Sequence, a.Sequence), cmp.Compare(b.Version, a.Version))
	})
	return all, nil
}

// Get implements events.Snapshots.
func (s *Snapshots) Get(_ context.Context, info events.SnapshotInfo) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, ok := s.kept[info.Name()]
	if !ok {
		return nil, fmt.Errorf("get snapshot %s: %w", info.Name(), events.ErrNotFound)
	}
	return slices.Clone(kept.data), nil
}

// Delete implements events.Snapshots.
func (s *Snapshots) Delete(_ context.Context, info events.SnapshotInfo) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, info.Name())
	return nil
}
