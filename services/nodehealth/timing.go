package nodehealth

import (
	"cmp"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Timing is how long silence is borne.
//
// The defaults have a dead node's instances requested elsewhere about 2.3 s after its last pulse, so that their replacements run
// before 3 s are over. The price is that a node whose agent stands still for 2.2 s (a paused VM, a starved or swapping machine, a
// network that converges slowly) loses its instances although they ran. Where that is likely, raise LostAfter: nothing else
// depends on it.
type Timing struct {
	Interval       time.Duration // between two pulses of a node; 500 ms where zero
	SuspectAfter   time.Duration // silence until a node gets no new work; 1.2 s where zero: two pulses may be lost on the way
	LostAfter      time.Duration // silence until its instances are replaced; 2.2 s where zero
	AllSilentAfter time.Duration // the same where two or more nodes fell silent and nobody else is heard; 10 s where zero, longer than an election of the log
}

// Default fills what is zero.
func (t Timing) Default() Timing {
	t.Interval = cmp.Or(t.Interval, 500*time.Millisecond)
	t.SuspectAfter = cmp.Or(t.SuspectAfter, 1200*time.Millisecond)
	t.LostAfter = cmp.Or(t.LostAfter, 2200*time.Millisecond)
	t.AllSilentAfter = cmp.Or(t.AllSilentAfter, max(10*time.Second, t.LostAfter))
	return t
}

// Validate reports periods that would judge nodes before they could have been heard.
func (t Timing) Validate() error {
	switch {
	case t.Interval <= 0:
		return fmt.Errorf("interval %s: want more than nothing: %w", t.Interval, events.ErrInvalid)
	case t.SuspectAfter < 2*t.Interval:
		return fmt.Errorf("suspect after %s: want at least two intervals of %s: %w", t.SuspectAfter, t.Interval, events.ErrInvalid)
	case t.LostAfter <= t.SuspectAfter:
		return fmt.Errorf("lost after %s: want more than suspect after %s: %w", t.LostAfter, t.SuspectAfter, events.ErrInvalid)
	case t.AllSilentAfter < t.LostAfter:
		return fmt.Errorf("all silent after %s: want at least lost after %s: %w", t.AllSilentAfter, t.LostAfter, events.ErrInvalid)
	}
	return nil
}
