package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
)

func problemType(kind string) string { return "urn:rutter:problem:" + kind }

// kinds is where errors become status codes; the first that an error is wins.
var kinds = []struct {
	is     error
	status int
	kind   string
	title  string
}{
	{errBody, http.StatusBadRequest, "malformed", "the request is malformed"},
	{errBodyTooLarge, http.StatusRequestEntityTooLarge, "too-large", "the request is too large"},
	{events.ErrNoImage, http.StatusUnprocessableEntity, "no-image", "an image cannot be resolved"},
	{events.ErrNotFound, http.StatusNotFound, "not-found", "not found"},
	{events.ErrConflict, http.StatusConflict, "conflict", "it is not in the state for that"},
	{events.ErrExists, http.StatusConflict, "exists", "it is there already"},
	{events.ErrReadOnly, http.StatusForbidden, "read-only", "nothing can be changed here"},
	{events.ErrDenied, http.StatusForbidden, "denied", "not allowed"},
	{events.ErrInvalid, http.StatusUnprocessableEntity, "invalid", "the request is not valid"},
	{events.ErrTooLarge, http.StatusRequestEntityTooLarge, "too-large", "the request is too large"},
	{events.ErrRejected, http.StatusConflict, "rejected", "rejected"},
	{events.ErrFull, http.StatusInsufficientStorage, "log-full", "the event log is full"},
	{events.ErrBusy, http.StatusServiceUnavailable, "busy", "too busy now: try again"},
	{events.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "cannot be reached now"},
	{events.ErrUnknown, http.StatusGatewayTimeout, "unknown", "the outcome is not known: ask again with the same Idempotency-Key"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout", "it took too long"},
	{context.Canceled, statusClientGone, "cancelled", "the client went away"},
}

// statusClientGone is what nginx calls "client closed request"; only the access log sees it.
const statusClientGone = 499

// problemOf is an error as the client sees it.
func problemOf(err error) *api.Problem {
	var p *api.Problem
	if errors.As(err, &p) {
		return p
	}
	var rejection *app.Rejection
	operation := ""
	if errors.As(err, &rejection) {
		operation = rejection.Operation
	}
	if faults := faultsIn(err); len(faults) > 0 {
		return &api.Problem{
			Type: problemType("invalid"), Title: "the request is not valid", Status: http.StatusUnprocessableEntity, Detail: err.Error(),
			Errors: faults, Operation: operation,
		}
	}
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return &api.Problem{Type: problemType(k.kind), Title: k.title, Status: k.status, Detail: err.Error(), Operation: operation}
		}
	}
	return &api.Problem{
		Type: problemType("internal"), Title: "an error of the gateway", Status: http.StatusInternalServerError, Detail: err.Error(), Operation: operation,
	}
}

// faultsIn collects the field errors of everything that err joins or wraps.
func faultsIn(err error) (faults spec.Errors) {
	switch e := err.(type) {
	case nil:
	case spec.Errors:
		return e
	case spec.FieldError:
		return spec.Errors{e}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			faults = append(faults, faultsIn(inner)...)
		}
	case interface{ Unwrap() error }:
		return faultsIn(e.Unwrap())
	}
	return faults
}
