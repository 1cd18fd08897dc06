package memlog

import (
	"context"
	"sync"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Leases implements [events.Leases] in memory.
type Leases struct {
	ttl    time.Duration
	faults Faults

	mu      sync.Mutex
	held    map[string]*holding
	changed chan struct{}
}

// holding is who holds a lease until when.
type holding struct {
	holder string
	until  time.Time
}

var _ events.Leases = (*Leases)(nil)

// NewLeases makes leases that live for ttl without renewal ([events.LeaseTTL] where 0) and are renewed every third of it.
func NewLeases(ttl time.Duration, faults Faults) *Leases {
	if ttl == 0 {
		ttl = events.LeaseTTL
	}
	return &Leases{ttl: ttl, faults: faults, held: map[string]*holding{}, changed: make(chan struct{})}
}

// Hold implements events.Leases.
func (l *Leases) Hold(ctx context.Context, name, holder string, lead func(context.Context) error) error {
	for first := true; ; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, changed := l.acquire(name, holder, first)
		if h != nil {
			_ = l.lead(ctx, name, h, lead)
			changed = nil // others first
		}
		timer := time.NewTimer(l.ttl / 3)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// acquire takes the lease where nobody holds it, and at the first try also where the process before this one of the same name does.
func (l *Leases) acquire(name, holder string, first bool) (*holding, chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if h, ok := l.held[name]; ok && now.Before(h.until) && (h.holder != holder || !first) {
		return nil, l.changed
	}
	if l.faults.Renew != nil && l.faults.Renew(name, holder) {
		return nil, l.changed
	}
	h := &holding{holder: holder, until: now.Add(l.ttl)}
	l.held[name] = h
	return h, nil
}

// lead runs the leader and renews the lease until the leader returns, ctx is done or the lease is lost.
func (l *Leases) lead(ctx context.Context, name string, h *holding, lead func(context.Context) error) error {
	leading, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- lead(leading) }()
	ticker := time.NewTicker(l.ttl / 3)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			l.release(name, h)
			return err
		case <-ticker.C:
			if !l.renew(name, h) {
				stop()
				return <-ended
			}
		}
	}
}

// renew reports whether the lease is still held.
func (l *Leases) renew(name string, h *holding) bool {
	failed := l.faults.Renew != nil && l.faults.Renew(name, h.holder)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.held[name] != h || !now.Before(h.until) {
		return false
	}
	if !failed {
		h.until = now.Add(l.ttl)
	}
	return true
}

func (l *Leases) release(name string, h *holding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[name] == h {
		delete(l.held, name)
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

// Holder implements events.Leases.
func (l *Leases) Holder(_ context.Context, name string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h, ok := l.held[name]; ok && time.Now().Before(h.until) {
		return h.holder, nil
	}
	return "", nil
}
