package past

import (
	"errors"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
)

// What is wrong with a moment that the log does not cover.
var (
	ErrBeforeFirst = errors.New("before the first event")
	ErrPastEnd     = errors.New("past the end of the log")
)

// RangeError is a moment that the log does not cover. It is [ErrBeforeFirst] or [ErrPastEnd], and [events.ErrInvalid].
type RangeError struct {
	Asked  string // the moment as it was asked for
	Side   error  // ErrBeforeFirst or ErrPastEnd
	Bounds events.Extent
}

// Error implements error.
func (e *RangeError) Error() string {
	if e.Bounds.Empty() {
		return fmt.Sprintf("%s is %v: the log is empty", e.Asked, e.Side)
	}
	return fmt.Sprintf("%s is %v: it has events %d to %d, recorded from %s to %s", e.Asked, e.Side,
		e.Bounds.First, e.Bounds.Last, e.Bounds.Began.Format(time.RFC3339), e.Bounds.Ended.Format(time.RFC3339))
}

// Unwrap implements errors.Is.
func (e *RangeError) Unwrap() []error { return []error{e.Side, events.ErrInvalid} }
