// Package node says what happens to nodes. Node-health is the only writer of these events.
package node

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// JoinedV1: an agent has registered the node; it is not ready yet. A restarted agent registers again.
type JoinedV1 struct {
	Incarnation string            `json:"incarnation"` // of the agent process
	Key         string            `json:"key"`         // public key that the name belongs to
	Address     string            `json:"address,omitempty"`
	Capacity    spec.Resources    `json:"capacity"`
	Labels      map[string]string `json:"labels,omitempty"`
	Version     string            `json:"version,omitempty"` // of the agent
	Runtime     string            `json:"runtime,omitempty"` // such as "runc 1.1.5"
}

// ReadyV1: the node has initialised and takes work.
type ReadyV1 struct{}

// NotReadyV1: the agent itself says that the node cannot take work.
type NotReadyV1 struct {
	Message string `json:"message"`
}

// SuspectedV1: nothing was heard of the node for a while. It gets no new work and keeps what it has.
type SuspectedV1 struct {
	Silent spec.Duration `json:"silent"` // since the last heartbeat, by node-health's clock
}

// LostV1: nothing was heard of the node for so long that its instances are replaced.
type LostV1 struct {
	Silent spec.Duration `json:"silent"`
}

// ReturnedV1: a suspected or lost node is heard of again.
type ReturnedV1 struct {
	Incarnation string `json:"incarnation"`
	WasLost     bool   `json:"wasLost"`
}

// LeftV1: the node has said goodbye or was removed; it holds nothing any more.
type LeftV1 struct {
	Message string `json:"message,omitempty"`
}

// WireType implements events.Payload.
func (JoinedV1) WireType() string { return "run.rutter.node.joined.v1" }

// WireType implements events.Payload.
func (ReadyV1) WireType() string { return "run.rutter.node.ready.v1" }

// WireType implements events.Payload.
func (NotReadyV1) WireType() string { return "run.rutter.node.not-ready.v1" }

// WireType implements events.Payload.
func (SuspectedV1) WireType() string { return "run.rutter.node.suspected.v1" }

// WireType implements events.Payload.
func (LostV1) WireType() string { return "run.rutter.node.lost.v1" }

// WireType implements events.Payload.
func (ReturnedV1) WireType() string { return "run.rutter.node.returned.v1" }

// WireType implements events.Payload.
func (LeftV1) WireType() string { return "run.rutter.node.left.v1" }

// Line implements events.Payload.
func (e JoinedV1) Line() string {
	return fmt.Sprintf("joined with %s cpu, %s memory", e.Capacity.CPU, e.Capacity.Memory)
}

// Line implements events.Payload.
func (ReadyV1) Line() string { return "ready" }

// Line implements events.Payload.
func (e NotReadyV1) Line() string { return "not ready: " + e.Message }

// Line implements events.Payload.
func (e SuspectedV1) Line() string { return fmt.Sprintf("suspected after %s of silence", e.Silent) }

// Line implements events.Payload.
func (e LostV1) Line() string { return fmt.Sprintf("lost after %s of silence", e.Silent) }

// Line implements events.Payload.
func (e ReturnedV1) Line() string {
	if e.WasLost {
		return "returned after it was lost"
	}
	return "returned"
}

// Line implements events.Payload.
func (e LeftV1) Line() string {
	if e.Message == "" {
		return "left"
	}
	return "left: " + e.Message
}

// Register adds the package's payloads to a registry.
func Register(r *events.Registry) {
	events.Register[JoinedV1](r)
	events.RegisterShared[ReadyV1](r)
	events.RegisterShared[NotReadyV1](r)
	events.Register[SuspectedV1](r)
	events.Register[LostV1](r)
	events.Register[ReturnedV1](r)
	events.Register[LeftV1](r)
	events.Register[RegisterV1](r)
	events.Register[LeaveV1](r)
	registerRemove(r)
	registerOperator(r)
}
