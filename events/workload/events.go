// Package workload says what happens to workloads. The reconciler is the only writer of these events.
package workload

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// AppliedV1: the wished state was set. Images are pinned by digest.
type AppliedV1 struct {
	Revision int           `json:"revision"` // counts from 1 over the whole history of the name; a new one for every new instance spec
	Workload spec.Workload `json:"workload"`
}

// ScaledV1: only the number of replicas was changed.
type ScaledV1 struct {
	From     int `json:"from"`
	Replicas int `json:"replicas"`
}

// DeleteRequestedV1: the workload is to go; its instances stop first.
type DeleteRequestedV1 struct{}

// DeletedV1: the last instance is gone, and the workload with it.
type DeletedV1 struct{}

// WireType implements events.Payload.
func (AppliedV1) WireType() string { return "run.rutter.workload.applied.v1" }

// WireType implements events.Payload.
func (ScaledV1) WireType() string { return "run.rutter.workload.scaled.v1" }

// WireType implements events.Payload.
func (DeleteRequestedV1) WireType() string { return "run.rutter.workload.delete-requested.v1" }

// WireType implements events.Payload.
func (DeletedV1) WireType() string { return "run.rutter.workload.deleted.v1" }

// Line implements events.Payload.
func (e AppliedV1) Line() string {
	image := ""
	if c := e.Workload.Spec.Containers; len(c) > 0 {
		image = c[0].Image.Short()
	}
	replicas := 1
	if r := e.Workload.Spec.Replicas; r != nil {
		replicas = *r
	} else if j := e.Workload.Spec.Job; j != nil {
		replicas = j.Completions
	}
	return fmt.Sprintf("applied: revision %d, %d × %s", e.Revision, replicas, image)
}

// Line implements events.Payload.
func (e ScaledV1) Line() string { return fmt.Sprintf("scaled from %d to %d", e.From, e.Replicas) }

// Line implements events.Payload.
func (DeleteRequestedV1) Line() string { return "delete requested" }

// Line implements events.Payload.
func (DeletedV1) Line() string { return "deleted" }

// Register adds the package's payloads to a registry.
func Register(r *events.Registry) {
	events.Register[AppliedV1](r)
	events.Register[ScaledV1](r)
	events.RegisterShared[DeleteRequestedV1](r)
	events.RegisterShared[DeletedV1](r)
	events.Register[ApplyV1](r)
	events.Register[ScaleV1](r)
	events.Register[DeleteV1](r)
	registerRollout(r)
	registerJob(r)
}
