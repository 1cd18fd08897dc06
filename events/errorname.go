package events

import "errors"

// names are the errors that keep their identity when they are told from one process to another.
var names = []struct {
	name string
	err  error
}{
	{"conflict", ErrConflict},
	{"busy", ErrBusy},
	{"unknown", ErrUnknown},
	{"too-large", ErrTooLarge},
	{"full", ErrFull},
	{"unavailable", ErrUnavailable},
	{"denied", ErrDenied},
	{"not-found", ErrNotFound},
	{"exists", ErrExists},
	{"invalid", ErrInvalid},
	{"rejected", ErrRejected},
	{"no-image", ErrNoImage},
	{"read-only", ErrReadOnly},
}

// ErrorName is the name by which an error of this package is told to another process; empty where it is none.
func ErrorName(err error) string {
	for _, n := range names {
		if errors.Is(err, n.err) {
			return n.name
		}
	}
	return ""
}

// ErrorNamed is the error of this package with the name; nil where none has it.
func ErrorNamed(name string) error {
	for _, n := range names {
		if n.name == name {
			return n.err
		}
	}
	return nil
}
