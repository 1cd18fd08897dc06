package workload

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
)

// FailureReason says in one word why a job has failed.
type FailureReason string

// Why jobs fail.
const (
	FailureBackoffLimit FailureReason = "BackoffLimitExceeded"
	FailureDeadline     FailureReason = "DeadlineExceeded"
)

// CompletedV1: as many instances of the job have succeeded as were to.
type CompletedV1 struct {
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"` // on the way there
}

// FailedV1: the job has failed; what still runs of it stops.
type FailedV1 struct {
	Reason    FailureReason `json:"reason"`
	Message   string        `json:"message,omitempty"`
	Succeeded int           `json:"succeeded"`
	Failed    int           `json:"failed"`
}

// WireType implements events.Payload.
func (CompletedV1) WireType() string { return "run.rutter.workload.completed.v1" }

// WireType implements events.Payload.
func (FailedV1) WireType() string { return "run.rutter.workload.failed.v1" }

// Line implements events.Payload.
func (e CompletedV1) Line() string {
	return fmt.Sprintf("completed: %d succeeded, %d failed on the way", e.Succeeded, e.Failed)
}

// Line implements events.Payload.
func (e FailedV1) Line() string { return withMessage("failed: "+string(e.Reason), e.Message) }

func registerJob(r *events.Registry) {
	events.Register[CompletedV1](r)
	events.Register[FailedV1](r)
}
