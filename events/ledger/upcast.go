package ledger

import (
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/spec"
)

// assignedV1 is an assignment from before GPUs could be shared: it did not say which devices its containers got, nor by which policy
// the node was chosen.
type assignedV1 struct {
	Instance   events.InstanceKey `json:"instance"`
	Generation uint64             `json:"generation"`
	Spec       spec.InstanceSpec  `json:"spec"`
	Scores     []Score            `json:"scores,omitempty"`
	Considered int                `json:"considered"`
	Fitted     int                `json:"fitted"`
}

// WireType implements events.Payload.
func (assignedV1) WireType() string { return "run.rutter.ledger.assigned.v1" }

// Line implements events.Payload.
func (e assignedV1) Line() string { return e.up().Line() }

func (e assignedV1) up() events.Payload {
	return AssignedV2{
		Instance: e.Instance, Generation: e.Generation, Spec: e.Spec, Scores: e.Scores, Considered: e.Considered, Fitted: e.Fitted,
	}
}

// revokedV1 is a revocation from before instances could be preempted: there was nothing to say beside the cause.
type revokedV1 struct {
	Instance   events.InstanceKey `json:"instance"`
	Generation uint64             `json:"generation"`
	Cause      instance.Cause     `json:"cause"`
	Grace      spec.Duration      `json:"grace"`
}

// WireType implements events.Payload.
func (revokedV1) WireType() string { return "run.rutter.ledger.revoked.v1" }

// Line implements events.Payload.
func (e revokedV1) Line() string { return e.up().Line() }

func (e revokedV1) up() events.Payload {
	return RevokedV2{Instance: e.Instance, Generation: e.Generation, Cause: e.Cause, Grace: e.Grace}
}
