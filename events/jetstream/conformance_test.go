package jetstream_test

import (
	"testing"

	"github.com/rutter-run/rutter/events/logtest"
)

func TestConformance(t *testing.T) {
	onBoth(t, func(t *testing.T, s *servers) { logtest.Run(t, s.fixture()) })
}
