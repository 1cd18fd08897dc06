package events

import "errors"

// The errors that callers tell apart with errors.Is. Whoever returns one wraps it with what was attempted; what HTTP status each
// has is known in gateway/httpapi alone.
var (
	// ErrConflict: a subject has moved past the sequence that the writer decided on. Catch up and decide again.
	ErrConflict = errors.New("conflict: the log has moved on")
	// ErrBusy: another write to the same subject is in flight, or too many batches are open. Retry with jitter.
	ErrBusy = errors.New("busy: another write is in flight")
	// ErrUnknown: the outcome is not known (time-out). Catch up and look for your own ids.
	ErrUnknown = errors.New("outcome unknown")
	// ErrTooLarge: the batch or an event is above the log's limits.
	ErrTooLarge = errors.New("too large")
	// ErrFull: the log is at its byte limit and refuses writes; nothing is lost.
	ErrFull = errors.New("log is full")
	// ErrReadOnly: what is shown is a copy of a log, to which nothing can be added.
	ErrReadOnly = errors.New("read-only")
	// ErrUnavailable: the log cannot be reached now.
	ErrUnavailable = errors.New("log unavailable")
	// ErrDenied: the credentials do not allow it.
	ErrDenied = errors.New("permission denied")
	// ErrNotFound: there is no such thing.
	ErrNotFound = errors.New("not found")
	// ErrExists: there is such a thing already.
	ErrExists = errors.New("already exists")
	// ErrInvalid: the request is malformed; the wrapped error names the field and what would be right.
	ErrInvalid = errors.New("invalid")
	// ErrRejected: the deciding service said no; the wrapped error says why.
	ErrRejected = errors.New("rejected")
	// ErrGap: events that a reader asked for are not in the log any more.
	ErrGap = errors.New("events are missing")
	// ErrOtherLog: a position that was kept is of another log, or of a later state of it than the one that is there.
	ErrOtherLog = errors.New("another log")
	// ErrNoImage: an image reference cannot be resolved.
	ErrNoImage = errors.New("image cannot be resolved")
)
