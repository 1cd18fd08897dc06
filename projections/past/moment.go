package past

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Moment is a point of the past as people name it: a sequence, or else a time.
type Moment struct {
	Sequence uint64
	Time     time.Time
}

// ParseMoment reads a sequence (1234), a time (RFC 3339) or how long before now (-15m). now is the clock of whoever is asked.
func ParseMoment(text string, now time.Time) (Moment, error) {
	text = strings.TrimSpace(text)
	if sequence, err := strconv.ParseUint(text, 10, 64); err == nil && sequence > 0 {
		return Moment{Sequence: sequence}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return Moment{Time: at.UTC()}, nil
	}
	if ago, ok := strings.CutPrefix(text, "-"); ok {
		if d, err := time.ParseDuration(ago); err == nil && d >= 0 {
			return Moment{Time: now.UTC().Add(-d)}, nil
		}
	}
	return Moment{}, fmt.Errorf("moment %q: want a sequence such as 1234, a time such as 2026-11-24T10:00:00Z or how long ago such as -15m: %w", text, events.ErrInvalid)
}

// String is the moment as ParseMoment reads it.
func (m Moment) String() string {
	if m.Sequence > 0 || m.Time.IsZero() {
		return strconv.FormatUint(m.Sequence, 10)
	}
	return m.Time.Format(time.RFC3339Nano)
}
