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

// AssignedV2: the node is to run the instance.
type AssignedV2 struct {
	Instance   events.InstanceKey `json:"instance"`
	Generation uint64             `json:"generation"` // counts from 1 over the whole history of the ledger; an agent refuses an older one than it has seen
	Spec       spec.InstanceSpec  `json:"spec"`
	Policy     string             `json:"policy,omitempty"`  // the profile of scores that chose the node
	Devices    []DeviceShare      `json:"devices,omitempty"` // the GPUs that its containers get
	Scores     []Score            `json:"scores,omitempty"`  // the best nodes' scores, best first
	Considered int                `json:"considered"`        // nodes that were looked at
	Fitted     int                `json:"fitted"`            // nodes that passed every filter
}

// DeviceShare is what a container gets of one of the node's GPUs.
type DeviceShare struct {
	Container string `json:"container"`
	Device    int    `json:"device"` // counts from 0
	Milli     int64  `json:"milli"`  // thousandths of the device
}

// Score is what a node scored, in all and by plugin; the highest wins.
type Score struct {
	Node  string           `json:"node"`
	Total int64            `json:"total"`
	Parts map[string]int64 `json:"parts,omitempty"`
}

// RevokedV2: the node is to stop the instance.
type RevokedV2 struct {
	Instance   events.InstanceKey  `json:"instance"`
	Generation uint64              `json:"generation"` // of the assignment it takes back
	Cause      instance.Cause      `json:"cause"`
	Message    string              `json:"message,omitempty"`
	By         *events.InstanceKey `json:"by,omitempty"` // the instance that it makes room for, where it was preempted
	Grace      spec.Duration       `json:"grace"`
}

// WireType implements events.Payload.
func (AssignedV2) WireType() string { return "run.rutter.ledger.assigned.v2" }

// WireType implements events.Payload.
func (RevokedV2) WireType() string { return "run.rutter.ledger.revoked.v2" }

// Line implements events.Payload.
func (e AssignedV2) Line() string {
	line := fmt.Sprintf("assigned %s, generation %d, %d of %d nodes fitted", e.Instance, e.Generation, e.Fitted, e.Considered)
	if len(e.Scores) > 0 {
		line += fmt.Sprintf(", score %d", e.Scores[0].Total)
	}
	return line
}

// Line implements events.Payload.
func (e RevokedV2) Line() string {
	line := fmt.Sprintf("revoked %s (%s)", e.Instance, e.Cause)
	if e.Message != "" {
		line += ": " + e.Message
	}
	return line
}

// Register adds the package's payloads to a registry.
func Register(r *events.Registry) {
	var specs events.Shared[spec.InstanceSpec]
	events.RegisterDecoder(r, func(data []byte) (AssignedV2, error) { return decodeAssigned(data, &specs) })
	events.RegisterUpcast(r, assignedV1.up)
	events.Register[RevokedV2](r)
	events.RegisterUpcast(r, revokedV1.up)
}

// decodeAssigned reads AssignedV2 with a spec that is decoded once for all instances that have it.
func decodeAssigned(data []byte, specs *events.Shared[spec.InstanceSpec]) (AssignedV2, error) {
	type plain AssignedV2
	var wire struct {
		plain
		Spec events.SharedField[spec.InstanceSpec] `json:"spec"`
	}
	wire.Spec.From = specs
	err := json.Unmarshal(data, &wire)
	wire.plain.Spec = wire.Spec.Value
	return AssignedV2(wire.plain), err
}
