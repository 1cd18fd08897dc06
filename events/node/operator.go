package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// CordonV1 asks for the node to get no new instances. Those on it stay.
type CordonV1 struct{}

// UncordonV1 asks for the node to take work again; a drain that is going on ends.
type UncordonV1 struct{}

// DrainV1 asks for the node to be emptied: it gets no new instances, and those on it are replaced elsewhere.
type DrainV1 struct {
	Within spec.Duration `json:"within,omitzero"` // after this the rest is stopped whatever it costs; zero: there is no hurry
}

// TaintV1 asks for taints to be set on and taken off the node.
type TaintV1 struct {
	Set    []spec.Taint `json:"set,omitempty"`
	Remove []spec.Taint `json:"remove,omitempty"` // by key and effect; without an effect: all of the key
}

// LabelV1 asks for labels to be set on and taken off the node.
type LabelV1 struct {
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}

// CordonedV1: the node gets no new instances. Those on it stay.
type CordonedV1 struct{}

// UncordonedV1: the node takes work again, and is drained no longer.
type UncordonedV1 struct{}

// DrainingV1: the node gets no new instances, and those on it are replaced elsewhere.
type DrainingV1 struct {
	Deadline time.Time `json:"deadline,omitzero"` // after this the rest is stopped whatever it costs; zero: there is no hurry
}

// DrainedV1: nothing is left on the node that is drained.
type DrainedV1 struct {
	Late bool `json:"late,omitempty"` // the deadline had passed: some may have been stopped before their replacements were ready
}

// TaintedV1: taints were set on and taken off the node.
type TaintedV1 struct {
	Set     []spec.Taint `json:"set,omitempty"`
	Removed []spec.Taint `json:"removed,omitempty"`
}

// LabelledV1: labels were set on and taken off the node by hand. They outlive its agent's own, and win over them.
type LabelledV1 struct {
	Set     map[string]string `json:"set,omitempty"`
	Removed []string          `json:"removed,omitempty"`
}

// WireType implements events.Payload.
func (CordonV1) WireType() string { return "run.rutter.node.cordon.v1" }

// WireType implements events.Payload.
func (UncordonV1) WireType() string { return "run.rutter.node.uncordon.v1" }

// WireType implements events.Payload.
func (DrainV1) WireType() string { return "run.rutter.node.drain.v1" }

// WireType implements events.Payload.
func (TaintV1) WireType() string { return "run.rutter.node.taint.v1" }

// WireType implements events.Payload.
func (LabelV1) WireType() string { return "run.rutter.node.label.v1" }

// WireType implements events.Payload.
func (CordonedV1) WireType() string { return "run.rutter.node.cordoned.v1" }

// WireType implements events.Payload.
func (UncordonedV1) WireType() string { return "run.rutter.node.uncordoned.v1" }

// WireType implements events.Payload.
func (DrainingV1) WireType() string { return "run.rutter.node.draining.v1" }

// WireType implements events.Payload.
func (DrainedV1) WireType() string { return "run.rutter.node.drained.v1" }

// WireType implements events.Payload.
func (TaintedV1) WireType() string { return "run.rutter.node.tainted.v1" }

// WireType implements events.Payload.
func (LabelledV1) WireType() string { return "run.rutter.node.labelled.v1" }

// Line implements events.Payload.
func (CordonV1) Line() string { return "cordon" }

// Line implements events.Payload.
func (UncordonV1) Line() string { return "uncordon" }

// Line implements events.Payload.
func (c DrainV1) Line() string {
	if c.Within == 0 {
		return "drain"
	}
	return fmt.Sprintf("drain within %s", c.Within)
}

// Line implements events.Payload.
func (c TaintV1) Line() string { return "taint " + changes(taints(c.Set), taints(c.Remove)) }

// Line implements events.Payload.
func (c LabelV1) Line() string { return "label " + changes(labels(c.Set), c.Remove) }

// Line implements events.Payload.
func (CordonedV1) Line() string { return "cordoned" }

// Line implements events.Payload.
func (UncordonedV1) Line() string { return "uncordoned" }

// Line implements events.Payload.
func (e DrainingV1) Line() string {
	if e.Deadline.IsZero() {
		return "draining"
	}
	return "draining until " + e.Deadline.UTC().Format(time.DateTime) + " UTC"
}

// Line implements events.Payload.
func (e DrainedV1) Line() string {
	if e.Late {
		return "drained, after the deadline"
	}
	return "drained"
}

// Line implements events.Payload.
func (e TaintedV1) Line() string { return "tainted " + changes(taints(e.Set), taints(e.Removed)) }

// Line implements events.Payload.
func (e LabelledV1) Line() string { return "labelled " + changes(labels(e.Set), e.Removed) }

func taints(all []spec.Taint) (words []string) {
	for _, t := range all {
		words = append(words, t.String())
	}
	return words
}

func labels(set map[string]string) (words []string) {
	for _, key := range slices.Sorted(maps.Keys(set)) {
		words = append(words, key+"="+set[key])
	}
	return words
}

// changes is what was set, then what was removed with a minus behind it, as one writes it on the command line.
func changes(set, removed []string) string {
	words := slices.Clone(set)
	for _, word := range removed {
		words = append(words, word+"-")
	}
	return strings.Join(words, " ")
}

func registerOperator(r *events.Registry) {
	events.Register[CordonV1](r)
	events.Register[UncordonV1](r)
	events.Register[DrainV1](r)
	events.Register[TaintV1](r)
	events.Register[LabelV1](r)
	events.Register[CordonedV1](r)
	events.Register[UncordonedV1](r)
	events.Register[DrainingV1](r)
	events.Register[DrainedV1](r)
	events.Register[TaintedV1](r)
	events.Register[LabelledV1](r)
}
