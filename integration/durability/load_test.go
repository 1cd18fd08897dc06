package durability

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
)

// load is writers that append batches as fast as they can, each batch again under the same ids until its outcome is known.
type load struct {
	mu     sync.Mutex
	acked  map[string]uint64 // batches by name → sequence of their last event, as the log acknowledged it
	refuse map[string]int    // errors by their kind

	stop context.CancelFunc
	done sync.WaitGroup
}

// startLoad sets writers going, each with a log of its own and subjects that nobody else writes.
func startLoad(t *testing.T, writers int, open func() *loadLog) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{acked: map[string]uint64{}, refuse: map[string]int{}, stop: cancel}
	for w := range writers {
		log, name := open(), fmt.Sprintf("w%d-%s", w, strings.ToLower(fmt.Sprintf("%x", rand.Uint32())))
		rng := rand.New(rand.NewPCG(uint64(w), 7))
		l.done.Go(func() { l.write(ctx, log, name, rng) })
	}
	t.Cleanup(l.end)
	return l
}

// loadLog is what a writer needs of a log.
type loadLog struct {
	events.Log
	padding int // bytes of each event
}

// end stops the writers; what had no outcome by then is not counted.
func (l *load) end() {
	l.stop()
	l.done.Wait()
}

func (l *load) write(ctx context.Context, log *loadLog, name string, rng *rand.Rand) {
	heads := map[events.Subject]uint64{}
	for n := 0; ctx.Err() == nil; n++ {
		batch, id := l.batch(log, name, n, heads, rng)
		for ctx.Err() == nil {
			once, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
			last, err := log.Append(once, batch)
			cancel()
			if err == nil {
				l.acknowledged(id, last, batch, heads)
				break
			}
			l.note(err)
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// batch is the nth of a writer: one event, or several on up to three subjects. Each event says how many belong together.
func (l *load) batch(log *loadLog, name string, n int, heads map[events.Subject]uint64, rng *rand.Rand) (events.Batch, string) {
	id, size := fmt.Sprintf("%s-b%d", name, n), 1+rng.IntN(20)*rng.IntN(2)
	var batch events.Batch
	for i := range size {
		e := events.Event{
			ID: fmt.Sprintf("%s.%d", id, i), Source: "/rutter/durability", Time: time.Now(),
			Data: node.NotReadyV1{Message: fmt.Sprintf("%d of them %s", size, strings.Repeat("x", rng.IntN(log.padding+1)))},
		}
		subject := events.NodeSubject(fmt.Sprintf("%s-%d", name, i%3))
		if i < 3 {
			batch = append(batch, events.Write{Subject: subject, Expect: heads[subject]})
		}
		batch[i%3].Events = append(batch[i%3].Events, e)
	}
	return batch, id
}

func (l *load) acknowledged(id string, last uint64, batch events.Batch, heads map[events.Subject]uint64) {
	l.mu.Lock()
	l.acked[id] = last
	l.mu.Unlock()
	// Writes of a batch stand one after the other, so each subject's head follows from the last sequence.
	for i := len(batch) - 1; i >= 0; i-- {
		heads[batch[i].Subject] = last
		last -= uint64(len(batch[i].Events))
	}
}

func (l *load) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, kind := range []error{events.ErrConflict, events.ErrUnknown, events.ErrUnavailable, events.ErrFull, events.ErrBusy} {
		if errors.Is(err, kind) {
			l.refuse[kind.Error()]++
			return
		}
	}
	l.refuse[err.Error()]++
}

// refused is how often which error came.
func (l *load) refused() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.refuse)
}

// count is how many batches are acknowledged.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

// await returns once so many more batches are acknowledged.
func (l *load) await(t *testing.T, more int) {
	t.Helper()
	want := l.count() + more
	require.Eventually(t, func() bool { return l.count() >= want }, deadline, 5*time.Millisecond, "%d batches more", more)
}

// record is an event as far as these tests look at it.
type record struct {
	id      string
	subject events.Subject
	size    int // of its batch
}

// contents reads a whole log.
func contents(t *testing.T, log events.Log) []record {
	t.Helper()
	all, err := read(bounded(t), log)
	require.NoError(t, err)
	return all
}

func read(ctx context.Context, log events.Log) (all []record, err error) {
	last, err := log.Last(ctx)
	if err != nil || last == 0 {
		return nil, err
	}
	// Where a batch is in part for good nothing follows it: that ends the reading as well, and shows.
	ctx, cancel := context.WithTimeout(ctx, deadline*2/3)
	defer cancel()
	batch, left, enough := "", 0, errors.New("enough")
	err = log.Follow(ctx, 1, func(e events.Event, _ uint64) error {
		if e.Sequence != uint64(len(all))+1 {
			return fmt.Errorf("sequence %d follows %d", e.Sequence, len(all))
		}
		data, ok := e.Data.(node.NotReadyV1)
		if !ok {
			return fmt.Errorf("event %d is a %T: %s", e.Sequence, e.Data, e.Data.Line())
		}
		r := record{id: e.ID, subject: e.Subject}
		if _, err := fmt.Sscanf(data.Message, "%d of them", &r.size); err != nil {
			return fmt.Errorf("event %d: %w", e.Sequence, err)
		}
		// A server that is alone says where the log ends in the midst of a batch, and hands nothing of the batch over before all of it is stored.
		if name, _, _ := strings.Cut(r.id, "."); name != batch {
			batch, left = name, r.size
		}
		left--
		if all = append(all, r); e.Sequence >= last && left == 0 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) && !(left > 0 && errors.Is(err, context.DeadlineExceeded)) {
		return all, fmt.Errorf("read up to %d of %d: %w", len(all), last, err)
	}
	return all, nil
}

// hashOf is the hash of a log.
func hashOf(all []record) string {
	h := sha256.New()
	for _, r := range all {
		fmt.Fprintf(h, "%s %s\n", r.subject, r.id)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// losses says what a log lacks of what was acknowledged, and what it has that must not be there. Nothing is what is promised.
func (l *load) losses(all []record) (faults []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := map[string]uint64{}
	ids := map[string]bool{}
	for n := 0; n < len(all); {
		name, _, _ := strings.Cut(all[n].id, ".")
		size := all[n].size
		for i := range size {
			if n+i >= len(all) || !strings.HasPrefix(all[n+i].id, name+".") {
				faults = append(faults, fmt.Sprintf("batch %s has %d of %d events at %d", name, i, size, n+1))
				size = i
				break
			}
			if ids[all[n+i].id] {
				faults = append(faults, fmt.Sprintf("event %s stands twice", all[n+i].id))
			}
			ids[all[n+i].id] = true
		}
		n += size
		at[name] = uint64(n)
	}
	for name, last := range l.acked {
		if got, ok := at[name]; !ok {
			faults = append(faults, fmt.Sprintf("batch %s is lost; it was acknowledged at %d", name, last))
		} else if got != last {
			faults = append(faults, fmt.Sprintf("batch %s ends at %d and was acknowledged at %d", name, got, last))
		}
	}
	return faults
}

// hold reads the log, prints its sequence and hash, and holds it to what was acknowledged.
func (l *load) hold(t *testing.T, when string, log events.Log) []record {
	t.Helper()
	all := contents(t, log)
	t.Logf("%s: sequence %d, hash %s, %d batches acknowledged", when, len(all), hashOf(all), l.count())
	faults := l.losses(all)
	if len(faults) > 0 {
		t.Errorf("%d faults, among them\n%s", len(faults), strings.Join(faults[:min(len(faults), 10)], "\n"))
	}
	return all
}

// requireGrown holds that a log is as it was, with at most something added: what was under way without an outcome may still come.
func requireGrown(t *testing.T, before, after []record) {
	t.Helper()
	require.GreaterOrEqual(t, len(after), len(before))
	require.Equal(t, hashOf(before), hashOf(after[:len(before)]))
}
