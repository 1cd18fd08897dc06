package events

import (
	"fmt"
	"unicode/utf8"
)

// What the log takes at most. A command is so much smaller than an event that what follows from it, its record and the wished state, fits
// into events.
const (
	// MaxEvent is how many bytes one event takes, headers included: nats-server's max_payload where nobody changed it.
	MaxEvent = 1 << 20
	// MaxCommand is how many bytes one command takes, headers included.
	MaxCommand = 512 << 10
	// MaxBatchBytes is how many bytes the events of one batch take together.
	MaxBatchBytes = 16 * MaxEvent
	// MaxCommandID is how long a command's id is.
	MaxCommandID = 256
)

const (
	maxAttribute = 512  // bytes of any other attribute of a command
	maxReason    = 4096 // bytes
)

// OutcomeID is the id of the event that says what became of a command; what the command brings about names it as its cause. A command's
// id is whatever its client chose: the prefix, which no derived id has, keeps it apart from the ids of events.
func OutcomeID(command string) string { return "command:" + command }

// Bounded is the command with every attribute cut to what a log takes, and an error that names the first that was too long. An id is never
// cut: see [MaxCommandID].
func (c Command) Bounded() (Command, error) {
	var problem error
	for _, a := range []struct {
		name  string
		value *string
		most  int
	}{
		{"actor", &c.Actor, maxAttribute}, {"reason", &c.Reason, maxReason}, {"type", &c.Type, maxAttribute},
		{"correlation", &c.Correlation, maxAttribute}, {"traceparent", &c.TraceParent, maxAttribute},
	} {
		if len(*a.value) <= a.most {
			continue
		}
		if problem == nil {
			problem = fmt.Errorf("the %s is %d bytes long, at most %d: %w", a.name, len(*a.value), a.most, ErrInvalid)
		}
		cut := a.most
		for cut > 0 && !utf8.RuneStart((*a.value)[cut]) {
			cut--
		}
		*a.value = (*a.value)[:cut]
	}
	return c, problem
}
