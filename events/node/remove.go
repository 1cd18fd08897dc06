package node

import "github.com/rutter-run/rutter/events"

// RemoveV1 asks for a node to be taken out for good: one that is lost, or that was emptied by a drain. Force takes out any, although what
// it holds may still run there.
type RemoveV1 struct {
	Force   bool   `json:"force,omitempty"`
	Message string `json:"message,omitempty"`
}

// WireType implements events.Payload.
func (RemoveV1) WireType() string { return "run.rutter.node.remove.v1" }

// Line implements events.Payload.
func (c RemoveV1) Line() string {
	if c.Force {
		return "remove by force"
	}
	return "remove"
}

func registerRemove(r *events.Registry) { events.Register[RemoveV1](r) }
