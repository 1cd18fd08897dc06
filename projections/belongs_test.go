package projections_test

import (
	"testing"

	"github.com/rutter-run/rutter/events"
	"pgregory.net/rapid"
)

func TestWhatStandsUnderAnotherAggregateSaysNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		history := anyHistory(t)
		silent := make([]events.Event, len(history))
		for n, e := range history {
			if moved := anyEvent(t, e.Sequence); rapid.Bool().Draw(t, "misplace") && !events.Belongs(moved.Type, e.Subject) {
				moved.Subject = e.Subject
				history[n] = moved
			}
			silent[n] = history[n]
			if !events.Belongs(history[n].Type, history[n].Subject) {
				silent[n].Data = events.Unknown{Type: history[n].Type}
			}
		}
		if a, b := replay(history).Hash(), replay(silent).Hash(); a != b {
			t.Fatal("an event under another aggregate's subject changed the state")
		}
	})
}
