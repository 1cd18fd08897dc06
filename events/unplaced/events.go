// Package unplaced says why an instance has no node. The scheduler is the only writer of these events, and writes one only when
// the reasons change.
package unplaced

import (
	"fmt"
	"strings"

	"github.com/rutter-run/rutter/events"
)

// UnplaceableV2: no node can take the instance now.
type UnplaceableV2 struct {
	Nodes   int      `json:"nodes"` // that were looked at
	Reasons []Reason `json:"reasons"`
	Awaits  string   `json:"awaits,omitempty"` // the node that will have room for it once what stops there is gone
}

// Reason is one filter's no.
type Reason struct {
	Filter string `json:"filter"` // such as resources, host-ports, node-selector, node-ready
	Detail string `json:"detail"` // what was short, such as "memory" or "tcp/80"
	Nodes  int    `json:"nodes"`  // how many nodes it turned away
}

// WireType implements events.Payload.
func (UnplaceableV2) WireType() string { return "run.rutter.unplaced.unplaceable.v2" }

// Line implements events.Payload.
func (e UnplaceableV2) Line() string {
	if e.Nodes == 0 {
		return "unplaceable: there is no node"
	}
	parts := make([]string, len(e.Reasons))
	for i, r := range e.Reasons {
		parts[i] = fmt.Sprintf("%d %s", r.Nodes, r.Detail)
	}
	line := fmt.Sprintf("unplaceable: 0 of %d nodes fit: %s", e.Nodes, strings.Join(parts, "; "))
	if e.Awaits != "" {
		line += "; awaits room on " + e.Awaits
	}
	return line
}

// Register adds the package's payloads to a registry.
func Register(r *events.Registry) {
	events.Register[UnplaceableV2](r)
	events.RegisterUpcast(r, unplaceableV1.up)
}
