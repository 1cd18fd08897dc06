package events

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// SnapshotInfo says what a snapshot is of. It is small and kept beside the data, so that a list of snapshots costs little.
type SnapshotInfo struct {
	Version  int       `json:"version"`  // of the projection: one that folds otherwise cannot use it
	Sequence uint64    `json:"sequence"` // of the last event folded in
	Event    string    `json:"event"`    // id of that event
	Log      time.Time `json:"log"`      // when the log was made: a snapshot of another log is of no use
	Hash     string    `json:"hash"`     // of the state
	Size     int       `json:"size"`     // of the data, in bytes
}

// Name is the snapshot's: the same for every snapshot of one state.
func (i SnapshotInfo) Name() string {
	hash := strings.TrimPrefix(i.Hash, "sha256:")
	return fmt.Sprintf("v%d-%020d-%s", i.Version, i.Sequence, hash[:min(len(hash), 16)])
}

// Snapshots keeps states of projections, so that nobody has to fold the whole log. It holds nothing that the log does not: whatever
// is lost from it is made again.
type Snapshots interface {
	// Put stores a snapshot, in the place of one of the same name. Readers see all of it or nothing.
	Put(ctx context.Context, info SnapshotInfo, data []byte) error
	// List is what there is, of all versions, highest sequence first.
	List(ctx context.Context) ([]SnapshotInfo, error)
	// Get is a snapshot's data; [ErrNotFound] where it is gone. What a fault of the store has changed is an error as well.
	Get(ctx context.Context, info SnapshotInfo) ([]byte, error)
	// Delete removes a snapshot. One that is not there is none to remove.
	Delete(ctx context.Context, info SnapshotInfo) error
}
