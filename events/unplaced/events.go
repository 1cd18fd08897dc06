// Package unplaced says why an instance has no node. The scheduler is the only writer of these events, and writes one only when
// the reasons change.
package unplaced

import (
	"fmt"
	"strings"

	"github.com/rutter-run/rutter/events"
)

// UnplaceableV1: no node can take the instance now.
type UnplaceableV1 struct {
	Nodes   int      `json:"nodes"` // that were looked at
	Reasons []Reason `json:"reasons"`
}

// Reason is one filter's no.
type Reason struct {
	Filter string `json:"filter"` // such as resources, host-ports, node-selector, node-ready
	Detail string `json:"detail"` // what was short, such as "memory" or "tcp/80"
	Nodes  int    `json:"nodes"`  // how many nodes it turned away
}

// WireType implements events.Payload.
func (UnplaceableV1) WireType() string { return "run.rutter.unplaced.unplaceable.v1" }

// Line implements events.Payload.
func (e UnplaceableV1) Line() string {
	if e.Nodes == 0 {
		return "unplaceable: there is no node"
	}
	parts := make([]string, len(e.Reasons))
	for i, r := range e.Reasons {
		parts[i] = fmt.Sprintf("%d %s", r.Nodes, r.Detail)
	}
	return fmt.Sprintf("unplaceable: 0 of %d nodes fit: %s", e.Nodes, strings.Join(parts, "; "))
}

// Register adds the package's payloads to a registry.
func Register(r *events.Registry) { events.Register[UnplaceableV1](r) }
