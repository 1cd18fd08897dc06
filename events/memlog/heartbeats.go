package memlog

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/rutter-run/rutter/events"
)

// Heartbeats implements [events.Heartbeats] in memory.
type Heartbeats struct {
	faults Faults

	mu        sync.Mutex
	last      map[string]events.Heartbeat
	listeners []*listener // in the order they came
}

// listener is one Listen and the pulses that wait for it.
type listener struct {
	waiting []events.Heartbeat
	woken   chan struct{}
}

var _ events.Heartbeats = (*Heartbeats)(nil)

// NewHeartbeats makes the pulse of no node yet.
func NewHeartbeats(faults Faults) *Heartbeats {
	return &Heartbeats{faults: faults, last: map[string]events.Heartbeat{}}
}

// Beat implements events.Heartbeats.
func (h *Heartbeats) Beat(ctx context.Context, beat events.Heartbeat) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if h.faults.Beat != nil && h.faults.Beat(beat) {
		return nil
	}
	beat.Usage = maps.Clone(beat.Usage)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last[beat.Node] = beat
	for _, l := range h.listeners {
		l.waiting = append(l.waiting, beat)
		select {
		case l.woken <- struct{}{}:
		default:
		}
	}
	return nil
}

// Listen implements events.Heartbeats.
func (h *Heartbeats) Listen(ctx context.Context, handle func(events.Heartbeat, bool)) error {
	l := &listener{woken: make(chan struct{}, 1)}
	h.mu.Lock()
	var known []events.Heartbeat
	for _, node := range slices.Sorted(maps.Keys(h.last)) {
		known = append(known, h.last[node])
	}
	h.listeners = append(h.listeners, l)
	h.mu.Unlock()
	defer h.leave(l)
	for _, beat := range known {
		handle(beat, true)
	}
	for {
		h.mu.Lock()
		waiting := l.waiting
		l.waiting = nil
		h.mu.Unlock()
		for _, beat := range waiting {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			handle(beat, false)
		}
		select {
		case <-l.woken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *Heartbeats) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners = slices.DeleteFunc(h.listeners, func(other *listener) bool { return other == l })
}
