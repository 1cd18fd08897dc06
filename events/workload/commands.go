package workload

import (
	"fmt"

	"github.com/rutter-run/rutter/events/spec"
)

// ApplyV1 asks for a wished state; the gateway has pinned its images by digest.
type ApplyV1 struct {
	Workload spec.Workload `json:"workload"`
	// IfRevision refuses the command unless the workload is at this revision (0: unless it does not exist); absent: whatever it is at.
	IfRevision *int `json:"ifRevision,omitempty"`
}

// ScaleV1 asks for another number of replicas.
type ScaleV1 struct {
	Replicas int `json:"replicas"`
}

// DeleteV1 asks for the workload to go.
type DeleteV1 struct{}

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
