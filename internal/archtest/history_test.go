package archtest

import (
	"testing"

	"github.com/rutter-run/rutter/integration/replay"
)

// TestOldLogsAreReadForEver stands here as well as in integration/replay because every change of a payload or of the state can break it.
func TestOldLogsAreReadForEver(t *testing.T) {
	if _, err := replay.Check("../../integration/replay/testdata", false); err != nil {
		t.Error(err)
	}
}
