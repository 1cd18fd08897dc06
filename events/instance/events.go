// Package instance says what is wished of instances. The reconciler is the only writer of these events; where an instance
// runs is said by package ledger and what became of it by package report.
package instance

import (
	"encoding/json"
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// Cause says why an instance is wished for or no longer is.
type Cause string

// The causes.
const (
	CauseApplied    Cause = "Applied"    // the workload was applied
	CauseScaled     Cause = "Scaled"     // the workload was scaled
	CauseDeleted    Cause = "Deleted"    // the workload is to go
	CauseRolledOut  Cause = "RolledOut"  // a new revision takes the slot
	CauseNodeLost   Cause = "NodeLost"   // the node of the instance before is lost
	CauseFailed     Cause = "Failed"     // the instance before ended or could not be run
	CauseByHand     Cause = "ByHand"     // somebody asked for this instance to stop
	CauseSuperseded Cause = "Superseded" // another instance holds the slot
	CauseDrained    Cause = "Drained"    // its node is drained
	CauseFinished   Cause = "Finished"   // it came to its end, or the job that it belongs to did
	CausePreempted  Cause = "Preempted"  // the scheduler made room for an instance of higher priority
)

// RequestedV1: an instance is wished for. It never moves; a failed or lost one is followed by the next attempt at its slot.
type RequestedV1 struct {
	Slot     int               `json:"slot"`    // place among the replicas, from 0
	Attempt  int               `json:"attempt"` // counts from 1 over the whole history of the slot
	Revision int               `json:"revision"`
	Spec     spec.InstanceSpec `json:"spec"`
	Cause    Cause             `json:"cause"`
	Replaces string            `json:"replaces,omitempty"` // name of the instance before at this slot, where this one takes its place
}

// StopRequestedV1: the instance is no longer wished for.
type StopRequestedV1 struct {
	Cause   Cause         `json:"cause"`
	Message string        `json:"message,omitempty"`
	Grace   spec.Duration `json:"grace"`
}

// RetiredV1: nothing of the instance is left anywhere, or will ever be heard of.
type RetiredV1 struct {
	Phase   spec.Phase `json:"phase"` // how it ended: Succeeded, Failed or Lost
	Message string     `json:"message,omitempty"`
}

// WireType implements events.Payload.
func (RequestedV1) WireType() string { return "run.rutter.instance.requested.v1" }

// WireType implements events.Payload.
func (StopRequestedV1) WireType() string { return "run.rutter.instance.stop-requested.v1" }

// WireType implements events.Payload.
func (RetiredV1) WireType() string { return "run.rutter.instance.retired.v1" }

// Line implements events.Payload.
func (e RequestedV1) Line() string {
	line := fmt.Sprintf("requested: slot %d, attempt %d, revision %d (%s)", e.Slot, e.Attempt, e.Revision, e.Cause)
	if e.Replaces != "" {
		line += ", replaces " + e.Replaces
	}
	return line
}

// Line implements events.Payload.
func (e StopRequestedV1) Line() string {
	return withMessage("stop requested: "+string(e.Cause), e.Message)
}

// Line implements events.Payload.
func (e RetiredV1) Line() string { return withMessage("retired: "+string(e.Phase), e.Message) }

func withMessage(line, message string) string {
	if message == "" {
		return line
	}
	return line + ", " + message
}

// Register adds the package's payloads to a registry.
func Register(r *events.Registry) {
	var specs events.Shared[spec.InstanceSpec]
	events.RegisterDecoder(r, func(data []byte) (RequestedV1, error) { return decodeRequested(data, &specs) })
	events.RegisterShared[StopRequestedV1](r)
	events.RegisterShared[RetiredV1](r)
	events.Register[StopV1](r)
}

// decodeRequested reads RequestedV1 with a spec that is decoded once for all instances that have it.
func decodeRequested(data []byte, specs *events.Shared[spec.InstanceSpec]) (RequestedV1, error) {
	type plain RequestedV1
	var wire struct {
		plain
		Spec events.SharedField[spec.InstanceSpec] `json:"spec"`
	}
	wire.Spec.From = specs
	err := json.Unmarshal(data, &wire)
	wire.plain.Spec = wire.Spec.Value
	return RequestedV1(wire.plain), err
}
