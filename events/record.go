package events

import (
	"context"
	"time"
)

// Record is an event as the log stores it, before anybody reads it as one: what audits and exports are made of.
type Record struct {
	Subject  Subject
	Header   map[string][]string // with what the log's server and its client have added
	Data     []byte
	Sequence uint64
	// Recorded is when the log stored it; of an event that was imported, when the first log did.
	Recorded time.Time
}

// Records is a log that can be read as it is stored.
type Records interface {
	// Records calls handle with every record from sequence from on (1 and 0: the first), in order, as [Log.Follow] does with events. Nobody may change
	// a record.
	Records(ctx context.Context, from uint64, handle func(r Record, pending uint64) error) error
}

// Vault keeps small values beside the log, for what is made of it. A value is replaced only by who knows its present revision.
type Vault interface {
	// Get is the value of a key and its revision, [ErrNotFound] where there is none.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Put stores a value whose key is at the revision (0: has no value) and returns its new one; [ErrConflict] where the key has moved on.
	// Keys are dot-separated words of letters, digits, '-' and '_'.
	Put(ctx context.Context, key string, value []byte, revision uint64) (uint64, error)
}
