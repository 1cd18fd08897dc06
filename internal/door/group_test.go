package door

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/logtest"
)

// book is a log that lets a test hold commits up.
type book struct {
	Log
	begun chan events.Batch
	gate  chan struct{}

	mu      sync.Mutex
	heads   map[events.Subject]uint64
	at      uint64
	batches []events.Batch
}

func newBook() *book {
	return &book{begun: make(chan events.Batch, 1024), gate: make(chan struct{}), heads: map[events.Subject]uint64{}}
}

func (b *book) Commit(_ context.Context, batch events.Batch) (uint64, bool, error) {
	b.begun <- batch
	<-b.gate
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range batch {
		if b.heads[w.Subject] != w.Expect {
			return 0, false, events.ErrConflict
		}
	}
	for _, w := range batch {
		b.at += uint64(len(w.Events))
		b.heads[w.Subject] = b.at
	}
	b.batches = append(b.batches, batch)
	return b.at, true, nil
}

// largest is how many subjects the largest batch has.
func (b *book) largest() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(slices.MaxFunc(b.batches, func(x, y events.Batch) int { return len(x) - len(y) }))
}

type result struct {
	subject events.Subject
	last    uint64
	err     error
}

// crowd has n appends wait while the log takes as many as it takes at once, then lets it go on and returns what became of all.
func crowd(t *testing.T, b *book, n int, say func(i int) (events.Batch, bool)) []result {
	t.Helper()
	g := newGroup(b)
	ctx, cancel := context.WithTimeout(t.Context(), logtest.Deadline)
	var running sync.WaitGroup
	running.Go(func() { g.run(ctx) })
	defer func() { cancel(); running.Wait() }()
	results := make([]result, n)
	var asking sync.WaitGroup
	for i := range n {
		batch, again := say(i)
		asking.Go(func() {
			last, err := g.append(ctx, batch, again)
			results[i] = result{batch[0].Subject, last, err}
		})
		if i < commitsAtOnce {
			<-b.begun
		}
	}
	logtest.Eventually(t, "all to wait", func() bool { return len(g.waiting) == n-commitsAtOnce })
	close(b.gate)
	asking.Wait()
	return results
}

func one(name string, expect uint64, ids ...string) events.Batch {
	return logtest.Reports("n1", events.ReportSubject("n1", events.InstanceKey{Namespace: "default", Workload: "web", Name: name}), expect, ids...)
}

func TestThoseThatWaitLeaveTogether(t *testing.T) {
	b := newBook()
	const n = 60
	for _, r := range crowd(t, b, n, func(i int) (events.Batch, bool) {
		return one(fmt.Sprint("w", i), 0, fmt.Sprint("a", i), fmt.Sprint("b", i)), false
	}) {
		require.NoError(t, r.err)
		require.Equal(t, b.heads[r.subject], r.last, r.subject)
	}
	require.Equal(t, n-commitsAtOnce, b.largest())
	require.EqualValues(t, 2*n, b.at)
}

func TestOneThatConflictsHarmsNoOther(t *testing.T) {
	b := newBook()
	const n, wrong = 40, 33
	for i, r := range crowd(t, b, n, func(i int) (events.Batch, bool) {
		expect := uint64(0)
		if i == wrong {
			expect = 7
		}
		return one(fmt.Sprint("w", i), expect, fmt.Sprint("a", i)), false
	}) {
		if i == wrong {
			require.ErrorIs(t, r.err, events.ErrConflict)
			continue
		}
		require.NoError(t, r.err)
		require.Equal(t, b.heads[r.subject], r.last)
	}
}

func TestWhatMayBeStoredAlreadyGoesAlone(t *testing.T) {
	b := newBook()
	const n = 50
	for _, r := range crowd(t, b, n, func(i int) (events.Batch, bool) { return one(fmt.Sprint("w", i), 0, fmt.Sprint("a", i)), i%2 == 0 }) {
		require.NoError(t, r.err)
	}
	for _, batch := range b.batches {
		for _, w := range batch {
			var i int
			_, err := fmt.Sscanf(w.Subject.Instance().Name, "w%d", &i)
			require.NoError(t, err)
			require.True(t, i%2 == 1 || len(batch) == 1, "%s went with %d others", w.Subject, len(batch)-1)
		}
	}
}

func TestASubjectStandsOnceInABatch(t *testing.T) {
	b := newBook()
	const n = 40
	taken := 0
	for _, r := range crowd(t, b, n, func(i int) (events.Batch, bool) { return one(fmt.Sprint("w", i%20), 0, fmt.Sprint("a", i)), false }) {
		if r.err == nil {
			taken++
		} else {
			require.ErrorIs(t, r.err, events.ErrConflict)
		}
	}
	require.Equal(t, 20, taken)
}

func TestALargeOneWaitsForTheNextBatch(t *testing.T) {
	b := newBook()
	const n = 30
	for _, r := range crowd(t, b, n, func(i int) (events.Batch, bool) {
		ids := make([]string, 300)
		for j := range ids {
			ids[j] = fmt.Sprint("a", i, "-", j)
		}
		return one(fmt.Sprint("w", i), 0, ids...), false
	}) {
		require.NoError(t, r.err)
		require.Equal(t, b.heads[r.subject], r.last)
	}
	for _, batch := range b.batches {
		require.LessOrEqual(t, batch.Len(), events.MaxBatch)
	}
}

func TestAnAppendWaitsNoLongerThanItsAsker(t *testing.T) {
	b := newBook()
	g := newGroup(b)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { g.run(ctx) })
	once, leave := context.WithCancel(ctx)
	go func() {
		<-b.begun // the commit is under way: what becomes of it is not known
		leave()
	}()
	_, err := g.append(once, one("w", 0, "a"), false)
	require.ErrorIs(t, err, events.ErrUnknown)
	close(b.gate)
	cancel()
	running.Wait()
}
