package memlog

import (
	"context"
	"sync"

	"github.com/rutter-run/rutter/events"
)

// Fingerprints implements [events.Fingerprints] in memory.
type Fingerprints struct {
	mu      sync.Mutex
	hearing map[chan events.Fingerprint]bool
}

var _ events.Fingerprints = (*Fingerprints)(nil)

// NewFingerprints makes one that nobody hears yet.
func NewFingerprints() *Fingerprints {
	return &Fingerprints{hearing: map[chan events.Fingerprint]bool{}}
}

// fingerprintBuffer is how many may wait for a hearer; what is beyond is lost.
const fingerprintBuffer = 256

// Tell implements events.Fingerprints.
func (f *Fingerprints) Tell(ctx context.Context, told events.Fingerprint) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.hearing {
		select {
		case c <- told:
		default:
		}
	}
	return ctx.Err()
}

// Hear implements events.Fingerprints.
func (f *Fingerprints) Hear(ctx context.Context, handle func(events.Fingerprint)) error {
	c := make(chan events.Fingerprint, fingerprintBuffer)
	f.mu.Lock()
	f.hearing[c] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.hearing, c)
	}()
	for {
		select {
		case told := <-c:
			handle(told)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
