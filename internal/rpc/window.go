package rpc

import (
	"context"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
)

// window counts the chunks that are under way and holds the sender while they are too many.
type window struct {
	mu       sync.Mutex
	underWay int
	freed    chan struct{} // closed when there is room again, nil while nobody waits
}

// take waits for room for one chunk.
func (w *window) take(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		w.mu.Lock()
		if w.underWay < Window {
			w.underWay++
			w.mu.Unlock()
			return nil
		}
		if w.freed == nil {
			w.freed = make(chan struct{})
		}
		freed := w.freed
		w.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
}

// acknowledged makes room by an ack's count.
func (w *window) acknowledged(ack *nats.Msg) {
	n, err := strconv.Atoi(string(ack.Data))
	if err != nil || n < 0 {
		return // the stream then stands still and the other side's silence ends it
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.underWay = max(0, w.underWay-n)
	if w.freed != nil && w.underWay < Window {
		close(w.freed)
		w.freed = nil
	}
}
