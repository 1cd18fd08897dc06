package unplaced

import "github.com/rutter-run/rutter/events"

// unplaceableV1 is from before instances could have room made for them.
type unplaceableV1 struct {
	Nodes   int      `json:"nodes"`
	Reasons []Reason `json:"reasons"`
}

// WireType implements events.Payload.
func (unplaceableV1) WireType() string { return "run.rutter.unplaced.unplaceable.v1" }

// Line implements events.Payload.
func (e unplaceableV1) Line() string { return e.up().Line() }

func (e unplaceableV1) up() events.Payload { return UnplaceableV2{Nodes: e.Nodes, Reasons: e.Reasons} }
