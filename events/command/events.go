// Package command says what became of commands. The service that handled a command is the only writer; the event's id is
// [events.OutcomeID] of the command's.
package command

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
)

// Record is the whole command as it was decided on.
type Record struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Subject string          `json:"subject"`
	Actor   string          `json:"actor"`
	Reason  string          `json:"reason,omitempty"`
	Time    time.Time       `json:"time"`
	Data    json.RawMessage `json:"data"`
	Omitted *Omitted        `json:"omitted,omitempty"` // what stands for the data where they were left out
}

// Omitted is what is kept of data that the log could not take.
type Omitted struct {
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"` // of the data, in hex
}

// Abridged is the record without its data.
func (r Record) Abridged() Record {
	sum := sha256.Sum256(r.Data)
	r.Omitted = &Omitted{Bytes: len(r.Data), SHA256: hex.EncodeToString(sum[:])}
	r.Data = json.RawMessage("null")
	return r
}

// AcceptedV1: the command was carried out; what follows from it stands in the same batch.
type AcceptedV1 struct {
	Command Record   `json:"command"`
	Events  []string `json:"events,omitempty"` // ids of the events of the same decision; none: there was nothing to change
}

// Code says in one word why a command was rejected.
type Code string

// The codes of rejection.
const (
	CodeInvalid    Code = "Invalid"    // malformed; it can never be accepted
	CodeNotFound   Code = "NotFound"   // it speaks of a thing that is not there
	CodeConflict   Code = "Conflict"   // the thing has moved on since the actor looked
	CodeDenied     Code = "Denied"     // the actor may not
	CodeDeadLetter Code = "DeadLetter" // it was tried too often without an outcome
)

// RejectedV1: the command was turned down and changed nothing.
type RejectedV1 struct {
	Command Record `json:"command"`
	Code    Code   `json:"code"`
	Message string `json:"message"` // names the field or thing and what would be right
}

// RecordOf is the record of a command. Its data always encode: they were read from JSON or are plain structs.
func RecordOf(c events.Command) Record {
	data, err := json.Marshal(c.Data)
	if err != nil {
		data, _ = json.Marshal(err.Error())
	}
	return Record{ID: c.ID, Type: c.Type, Subject: c.Subject, Actor: c.Actor, Reason: c.Reason, Time: c.Time, Data: data}
}

// DryRunV1: somebody asked what a command would do. It was not sent to the service that would decide on it, and changed nothing; the gateway says
// it, under its own name, so that the audit log has it.
type DryRunV1 struct {
	Command Record `json:"command"`
	Answer  string `json:"answer"` // what the asker was told, in words
}

// WireType implements events.Payload.
func (DryRunV1) WireType() string { return "run.rutter.command.dry-run.v1" }

// Line implements events.Payload.
func (e DryRunV1) Line() string {
	return fmt.Sprintf("dry run of %s by %s: %s", e.Command.what(), e.Command.Actor, e.Answer)
}

// WireType implements events.Payload.
func (AcceptedV1) WireType() string { return "run.rutter.command.accepted.v1" }

// WireType implements events.Payload.
func (RejectedV1) WireType() string { return "run.rutter.command.rejected.v1" }

// Line implements events.Payload.
func (e AcceptedV1) Line() string {
	return fmt.Sprintf("accepted %s by %s", e.Command.what(), e.Command.Actor)
}

// Line implements events.Payload.
func (e RejectedV1) Line() string {
	return fmt.Sprintf("rejected %s by %s: %s: %s", e.Command.what(), e.Command.Actor, e.Code, e.Message)
}

func (r Record) what() string { return r.Type + " of " + r.Subject }

// Register adds the package's payloads to a registry.
func Register(r *events.Registry) {
	events.Register[AcceptedV1](r)
	events.Register[RejectedV1](r)
	events.Register[DryRunV1](r)
}
