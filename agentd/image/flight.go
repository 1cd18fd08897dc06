package image

import (
	"context"
	"sync"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

// flights are the pulls under way: one for each image, however many wait for it. A pull ends when nobody waits for it any more.
type flights struct {
	mu  sync.Mutex
	all map[string]*flight
}

type flight struct {
	waiting int
	cancel  context.CancelFunc
	done    chan struct{} // closed when the result is there
	result  *record
	err     error

	mu      sync.Mutex
	last    runtime.PullProgress
	hearers map[int]func(runtime.PullProgress)
	next    int
}

// join waits for the image together with whoever waits for it already. pull is called for the first.
func (f *flights) join(
	ctx context.Context, ref spec.ImageRef, progress func(runtime.PullProgress),
	pull func(context.Context, func(runtime.PullProgress)) (*record, error),
) (*record, error) {
	name := ref.String()
	f.mu.Lock()
	one, ok := f.all[name]
	if !ok {
		// Who asks first may go first: the pull is no one's in particular.
		pulling, cancel := context.WithCancel(context.WithoutCancel(ctx))
		one = &flight{cancel: cancel, done: make(chan struct{}), hearers: map[int]func(runtime.PullProgress){}}
		if f.all == nil {
			f.all = map[string]*flight{}
		}
		f.all[name] = one
		go func() {
			defer cancel()
			one.result, one.err = pull(pulling, one.tell)
			f.forget(name, one)
			close(one.done)
		}()
	}
	one.waiting++
	f.mu.Unlock()
	stop := one.hear(progress)
	defer stop()
	select {
	case <-one.done:
		return one.result, one.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if one.waiting--; one.waiting == 0 {
		if f.all[name] == one {
			delete(f.all, name) // who comes now begins anew
		}
		one.cancel()
	}
	return nil, ctx.Err()
}

func (f *flights) forget(name string, one *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all[name] == one {
		delete(f.all, name)
	}
}

// tell tells everybody who waits how far the pull is.
func (f *flight) tell(p runtime.PullProgress) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = p
	for _, hear := range f.hearers {
		hear(p)
	}
}

// hear has progress called, at once and until stop.
func (f *flight) hear(progress func(runtime.PullProgress)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.next
	f.next++
	f.hearers[id] = progress
	progress(f.last)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.hearers, id)
	}
}
