package workload

import (
	"fmt"

	"github.com/rutter-run/rutter/events/spec"
)

// ApplyV1 asks for a wished state; the gateway has pinned its images by digest.
type ApplyV1 struct {
	Workload spec.Workload `json:"workload"`
	Condition
}

// Condition refuses a command where the workload has moved on since its actor looked. The zero Condition refuses nothing.
type Condition struct {
	IfRevision *int   `json:"ifRevision,omitempty"` // only at this revision; 0: only where there is no such workload
	IfSequence uint64 `json:"ifSequence,omitempty"` // only while this is the last event of the workload itself
}

// ScaleV1 asks for another number of replicas.
type ScaleV1 struct {
	Replicas int `json:"replicas"`
	Condition
}

// DeleteV1 asks for the workload to go.
type DeleteV1 struct{ Condition }

// WireType implements events.Payload.
func (ApplyV1) WireType() string { return "run.rutter.workload.apply.v1" }

// WireType implements events.Payload.
func (ScaleV1) WireType() string { return "run.rutter.workload.scale.v1" }

// WireType implements events.Payload.
func (DeleteV1) WireType() string { return "run.rutter.workload.delete.v1" }

// Line implements events.Payload.
func (c ApplyV1) Line() string { return "apply " + c.Workload.Metadata.Name }

// Line implements events.Payload.
func (c ScaleV1) Line() string { return fmt.Sprintf("scale to %d", c.Replicas) }

// Line implements events.Payload.
func (DeleteV1) Line() string { return "delete" }
