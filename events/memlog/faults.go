package memlog

import (
	"context"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Faults comes between callers and the store. Each function may be nil. They are called without locks held, from the callers'
// goroutines, and may wait.
type Faults struct {
	// Append stands in for an append; store does it. Return [events.ErrConflict] without storing, store and return [events.ErrUnknown],
	// store twice, wait before or after.
	Append func(ctx context.Context, batch events.Batch, store func() (uint64, error)) (uint64, error)
	// Send stands in for the sending of a command; store does it.
	Send func(ctx context.Context, command events.Command, store func() error) error
	// Deliver says how often a command is handed over before it counts as delivered once, beginning with attempt 1; 1 is normal,
	// 2 a duplicate delivery, 0 none this time (it comes again after [AckWait]).
	Deliver func(command events.Command, attempt int) int
	// Follow is called before each event is handed to a follower or subscriber; it may wait, to simulate one that lags.
	Follow func(ctx context.Context, e events.Event)
	// Live reports whether a live subscriber misses the event, as over a broken connection.
	Live func(e events.Event) (missed bool)
	// Beat reports whether a heartbeat is lost.
	Beat func(beat events.Heartbeat) (lost bool)
	// Renew reports whether a holder's renewal of a lease fails, as when it is cut off.
	Renew func(name, holder string) (failed bool)
}

// AckWait is how long a delivered command waits for its acknowledgement before it comes again.
const AckWait = 15 * time.Second
