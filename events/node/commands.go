package node

import "github.com/rutter-run/rutter/events/spec"

// RegisterV1 asks for the node to join, or to join again after its agent restarted.
type RegisterV1 struct {
	Incarnation string            `json:"incarnation"`
	Key         string            `json:"key"` // public key of the agent's credentials
	Address     string            `json:"address,omitempty"`
	Capacity    spec.Resources    `json:"capacity"`
	Labels      map[string]string `json:"labels,omitempty"`
	Version     string            `json:"version,omitempty"`
	Runtime     string            `json:"runtime,omitempty"`
}

// LeaveV1 asks for the node to be taken out. Its instances are replaced elsewhere.
type LeaveV1 struct {
	Message string `json:"message,omitempty"`
}

// WireType implements events.Payload.
func (RegisterV1) WireType() string { return "run.rutter.node.register.v1" }

// WireType implements events.Payload.
func (LeaveV1) WireType() string { return "run.rutter.node.leave.v1" }

// Line implements events.Payload.
func (c RegisterV1) Line() string { return "register incarnation " + c.Incarnation }

// Line implements events.Payload.
func (LeaveV1) Line() string { return "leave" }
