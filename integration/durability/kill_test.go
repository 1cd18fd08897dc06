package durability

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/jetstream"
)

func TestKilledInTheMidstOfBatchesTheLogLosesNothing(t *testing.T) {
	s := alone(t, t.TempDir())
	s.start(t)
	setUp(t, jetstream.StreamOptions{}, s.url())
	l := startLoad(t, 4, func() *loadLog { return &loadLog{Log: dial(t, s.url()), padding: 500} })
	for range rounds(3, 60) {
		l.await(t, 20)
		time.Sleep(rand.N(30 * time.Millisecond)) // anywhere in a batch
		s.kill()
		s.start(t)
		l.await(t, 1)
	}
	l.end()
	log := dial(t, s.url())
	before := l.hold(t, "before the last kill", log)
	s.kill()
	s.start(t)
	after := l.hold(t, "after it", dial(t, s.url()))
	requireGrown(t, before, after)
}

// A write that was under way when the machine died may stand in the file in part.
func TestATornWriteAtTheEndOfAFileIsCutOff(t *testing.T) {
	dir := t.TempDir()
	s := alone(t, dir)
	s.start(t)
	setUp(t, jetstream.StreamOptions{}, s.url())
	l := startLoad(t, 2, func() *loadLog { return &loadLog{Log: dial(t, s.url()), padding: 500} })
	for range rounds(2, 40) {
		l.await(t, 20)
		s.kill()
		tear(t, filepath.Join(dir, "jetstream", "$G", "streams", jetstream.StreamEvents, "msgs"))
		s.start(t)
		l.await(t, 1)
	}
	l.end()
	before := l.hold(t, "before the last tear", dial(t, s.url()))
	s.kill()
	tear(t, filepath.Join(dir, "jetstream", "$G", "streams", jetstream.StreamEvents, "msgs"))
	s.start(t)
	after := l.hold(t, "after it", dial(t, s.url()))
	requireGrown(t, before, after)
}

// tear adds the beginning of a record to the newest file of the log.
func tear(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.blk"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	newest := slices.MaxFunc(files, func(a, b string) int { return len(a) - len(b) })
	for _, file := range files {
		if len(file) == len(newest) && file > newest {
			newest = file
		}
	}
	data, err := os.ReadFile(newest)
	require.NoError(t, err)
	begin := bytes.Index(data, []byte("evt."))
	require.GreaterOrEqual(t, begin, 22, "the file has no record")
	record := data[begin-22:] // as records begin: length, sequence, time, length of the subject
	f, err := os.OpenFile(newest, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.Write(record[:min(len(record), 30+rand.IntN(200))])
	require.NoError(t, err)
	require.NoError(t, f.Close())
}
