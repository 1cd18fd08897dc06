package subscription

import (
	"context"
	"encoding/json"
)

// Position is where a subscriber stands in the log, and what it keeps along with that.
type Position struct {
	Sequence uint64          `json:"sequence"`        // of the last event handled; all up to it are done
	ID       string          `json:"id,omitempty"`    // of that event, by which another log is told apart
	State    json.RawMessage `json:"state,omitempty"` // what [Fold] has come to
}

// Store keeps a subscriber's position. [File] and jetstream's Position are two; a program whose events are handled in a database writes a
// third, which opens the transaction, calls handle, writes the position and commits.
type Store interface {
	// Load gives what Advance kept last; the zero Position where it never kept any.
	Load(ctx context.Context) (Position, error)
	// Advance calls handle and keeps the position that it returns: whole or not at all, and for good once Advance returns. Where handle fails
	// nothing is kept and its error comes back, wrapped or not. It fails with [events.ErrConflict] where another process keeps a position here.
	Advance(ctx context.Context, handle func(ctx context.Context) (Position, error)) error
}

// releaser is a store that holds something, such as a lock, from Load on.
type releaser interface{ Release() }

// release lets go of what a store holds.
func release(store Store) {
	if r, ok := store.(releaser); ok {
		r.Release()
	}
}
