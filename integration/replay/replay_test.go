package replay

import (
	"flag"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/workload"
)

var update = flag.Bool("update", false, "write the hashes of this version")

// Every history that was ever recorded leads to the facts that it led to then, and to the same hash as long as the state has the same shape.
func TestRecordedHistories(t *testing.T) {
	names, err := Check("testdata", *update)
	require.NoError(t, err)
	t.Logf("%q", names)
}

// The test itself finds what it is there to find.
func TestAChangedFactIsFound(t *testing.T) {
	all, err := Read(filepath.Join("testdata", "first.jsonl.zst"))
	require.NoError(t, err)
	whole := Fold(all)
	require.Equal(t, whole, Fold(all))
	for _, leave := range []events.Payload{node.LostV1{}, workload.DeletedV1{}} {
		var rest []events.Event
		for _, e := range all {
			if e.Type != leave.WireType() {
				rest = append(rest, e)
			}
		}
		require.Less(t, len(rest), len(all), leave.WireType())
		without := Fold(rest)
		require.NotEqual(t, whole.Hash, without.Hash)
		without.Facts.Events, without.Facts.Sequence = whole.Facts.Events, whole.Facts.Sequence
		require.NotEmpty(t, difference(whole.Facts, without.Facts), leave.WireType())
	}
}
