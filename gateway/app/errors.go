package app

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
)

// Rejection is the no of the service that decided on a command. It is [events.ErrRejected], and also the error of its code.
type Rejection struct {
	Code      command.Code
	Message   string
	Service   string
	Operation string // id of the command
}

// Error implements error.
func (r *Rejection) Error() string { return fmt.Sprintf("%s rejected it: %s", r.Service, r.Message) }

// Is implements errors.Is.
func (r *Rejection) Is(target error) bool {
	switch target {
	case events.ErrRejected:
		return true
	case events.ErrInvalid:
		return r.Code == command.CodeInvalid
	case events.ErrNotFound:
		return r.Code == command.CodeNotFound
	case events.ErrConflict:
		return r.Code == command.CodeConflict
	case events.ErrDenied:
		return r.Code == command.CodeDenied
	}
	return false
}

// NotReadyError says why the gateway cannot answer yet. It is [events.ErrUnavailable].
type NotReadyError struct {
	What string
	Err  error
}

// Error implements error.
func (e *NotReadyError) Error() string {
	if e.Err != nil {
		return e.What + ": " + e.Err.Error()
	}
	return e.What
}

// Is implements errors.Is.
func (e *NotReadyError) Is(target error) bool { return target == events.ErrUnavailable }

// Unwrap implements errors.Unwrap.
func (e *NotReadyError) Unwrap() error { return e.Err }

// refusal is a no in the use cases' own words that is also one of the errors of package events. It does not repeat that error's
// text, which speaks of the log.
type refusal struct {
	text string
	is   error
}

// Error implements error.
func (r *refusal) Error() string { return r.text }

// Unwrap implements errors.Unwrap.
func (r *refusal) Unwrap() error { return r.is }

func refuse(is error, format string, args ...any) error {
	return &refusal{text: fmt.Sprintf(format, args...), is: is}
}

// notFound is [events.ErrNotFound] with what was looked for.
func notFound(format string, args ...any) error { return refuse(events.ErrNotFound, format, args...) }
