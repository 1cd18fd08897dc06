package api

import (
	"encoding/json"
	"time"
)

// OperationState is how far a command is.
type OperationState string

// The states of an operation.
const (
	OperationPending  OperationState = "pending"
	OperationAccepted OperationState = "accepted"
	OperationRejected OperationState = "rejected"
)

// Operation is a command and what became of it.
type Operation struct {
	ID       string          `json:"id" description:"the idempotency key of the request, or drawn"`
	State    OperationState  `json:"state" enum:"pending,accepted,rejected"`
	Type     string          `json:"type"`
	Subject  string          `json:"subject"`
	Actor    string          `json:"actor"`
	Reason   string          `json:"reason,omitempty"`
	Asked    time.Time       `json:"asked"`
	Decided  time.Time       `json:"decided,omitzero"`
	Service  string          `json:"service,omitempty" description:"who decided"`
	Sequence uint64          `json:"sequence,omitempty" description:"of the decision in the event log"`
	Events   []string        `json:"events,omitempty" description:"ids of the events that it brought about"`
	Code     string          `json:"code,omitempty" description:"why it was rejected, in one word"`
	Message  string          `json:"message,omitempty"`
	Data     json.RawMessage `json:"data,omitempty" description:"the command as it was sent"`
}
