package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/rutter-run/rutter/events"
)

// The error codes of the JetStream API that mean something to a writer (nats-server, errors.json).
const (
	codeTooManyRequests    = 10167
	codeWrongLastSequence  = 10071 // the subject has moved on
	codeWriteInFlight      = 10164 // another write to the subject is proposed and not applied
	codeIDInProcess        = 10158 // a message with the same id is proposed and not applied
	codeBatchIncomplete    = 10176 // a message of the batch was lost, or the leader changed: nothing is stored
	codeBatchTooLarge      = 10199
	codeBatchDuplicateIDs  = 10201
	codeTooManyBatches     = 10210
	codeStoreFailed        = 10077 // at the byte limit, or the disk is full
	codeMessageTooLarge    = 10054
	codeInsufficient       = 10023
	codeAccountExceeded    = 10002
	codeNotLeader          = 10009
	codeNoMessage          = 10037
	codeStreamNotFound     = 10059
	codeConsumerNotFound   = 10014
	codeStreamOffline      = 10118
	codeClusterUnavailable = 10008
	codeNoQuorum           = 10003
)

// apiError is JetStream's answer to what it will not do.
type apiError struct {
	Status      int    `json:"code"`
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

// Error implements error.
func (e *apiError) Error() string {
	return fmt.Sprintf("JetStream error %d: %s", e.Code, e.Description)
}

// Unwrap is the error of package events that the code stands for.
func (e *apiError) Unwrap() error {
	switch e.Code {
	case codeWrongLastSequence:
		return events.ErrConflict
	case codeWriteInFlight, codeIDInProcess, codeBatchIncomplete, codeTooManyBatches, codeTooManyRequests:
		return events.ErrBusy
	case codeBatchTooLarge, codeMessageTooLarge:
		return events.ErrTooLarge
	case codeStoreFailed, codeInsufficient, codeAccountExceeded:
		return events.ErrFull
	case codeNotLeader, codeStreamOffline, codeClusterUnavailable, codeNoQuorum:
		return events.ErrUnavailable
	case codeNoMessage, codeStreamNotFound, codeConsumerNotFound:
		return events.ErrNotFound
	}
	return nil
}

// hasCode reports whether err is a JetStream answer with the code.
func hasCode(err error, code int) bool {
	var api *apiError
	return errors.As(err, &api) && api.Code == code
}

// transport says what a failure to get an answer means. sent: the request has left, so that a missing answer leaves its outcome open.
func transport(err error, sent bool) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, events.ErrDenied):
		return err
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", events.ErrTooLarge, err)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	case !sent:
		return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("%w: %w", events.ErrUnknown, err)
	}
	return fmt.Errorf("%w: %w", events.ErrUnknown, err)
}
