package memlog

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/rutter-run/rutter/events"
)

// Vault implements [events.Vault] in memory.
type Vault struct {
	mu       sync.Mutex
	values   map[string]kept
	revision uint64
}

type kept struct {
	value    []byte
	revision uint64
}

var _ events.Vault = (*Vault)(nil)

// NewVault makes an empty vault.
func NewVault() *Vault { return &Vault{values: map[string]kept{}} }

// Get implements events.Vault.
func (v *Vault) Get(_ context.Context, key string) ([]byte, uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.values[key]
	if !ok {
		return nil, 0, fmt.Errorf("value of %s: %w", key, events.ErrNotFound)
	}
	return slices.Clone(k.value), k.revision, nil
}

// Put implements events.Vault.
func (v *Vault) Put(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if at := v.values[key].revision; at != revision {
		return 0, fmt.Errorf("put %s: it is at %d, expected %d: %w", key, at, revision, events.ErrConflict)
	}
	v.revision++
	v.values[key] = kept{value: slices.Clone(value), revision: v.revision}
	return v.revision, nil
}
