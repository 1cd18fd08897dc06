// Package ledger says which instances a node is to run. The scheduler is the only writer of these events; a node's agent
// needs nothing else to know its wished state.
package ledger

import (
	"encoding/json"
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/spec"
)

// AssignedV1: the node is to run the instance.
type AssignedV1 struct {
	Instance   events.InstanceKey `json:"instance"`
	Generation uint64             `json:"generation"` // counts from 1 over the whole history of the ledger; an agent refuses an older one than it has seen
	Spec       spec.InstanceSpec  `json:"spec"`
	Scores     []Score            `json:"scores,omitempty"` // the best nodes' scores, best first
	Considered int                `json:"considered"`       // nodes that were looked at
	Fitted     int                `json:"fitted"`           // nodes that passed every filter
}

// Score is what a node scored, in all and by plugin; the highest wins.
type Score struct {
	Node  string           `json:"node"`
	Total int64            `json:"total"`
	Parts map[string]int64 `json:"parts,omitempty"`
}

// RevokedV1: the node is to stop the instance.
type RevokedV1 struct {
	Instance   events.InstanceKey `json:"instance"`
	Generation uint64             `json:"generation"` // of the assignment it takes back
	Cause      instance.Cause     `json:"cause"`
	Grace      spec.Duration      `json:"grace"`
}

// WireType implements events.Payload.
func (AssignedV1) WireType() string { return "run.rutter.ledger.assigned.v1" }

// WireType implements events.Payload.
func (RevokedV1) WireType() string { return "run.rutter.ledger.revoked.v1" }

// Line implements events.Payload.
func (e AssignedV1) Line() string {
	line := fmt.Sprintf("assigned %s, generation %d, %d of %d nodes fitted", e.Instance, e.Generation, e.Fitted, e.Considered)
	if len(e.Scores) > 0 {
		line += fmt.Sprintf(", score %d", e.Scores[0].Total)
	}
	return line
}

// Line implements events.Payload.
func (e RevokedV1) Line() string { return fmt.Sprintf("revoked %s (%s)", e.Instance, e.Cause) }

// Register adds the package's payloads to a registry.
func Register(r *events.Registry) {
	var specs events.Shared[spec.InstanceSpec]
	events.RegisterDecoder(r, func(data []byte) (AssignedV1, error) { return decodeAssigned(data, &specs) })
	events.Register[RevokedV1](r)
}

// decodeAssigned reads AssignedV1 with a spec that is decoded once for all instances that have it.
func decodeAssigned(data []byte, specs *events.Shared[spec.InstanceSpec]) (AssignedV1, error) {
	type plain AssignedV1
	var wire struct {
		plain
		Spec json.RawMessage `json:"spec"`
	}
	err := json.Unmarshal(data, &wire)
	if err == nil && len(wire.Spec) > 0 {
		wire.plain.Spec, err = specs.Decode(wire.Spec)
	}
	return AssignedV1(wire.plain), err
}
