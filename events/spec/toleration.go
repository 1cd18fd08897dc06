package spec

import (
	"fmt"
	"slices"
)

// TolerationOperator compares a toleration with a taint.
type TolerationOperator string

// The operators of tolerations.
const (
	TolerateEqual  TolerationOperator = "Equal"  // key and value are the taint's
	TolerateExists TolerationOperator = "Exists" // the key is the taint's; without a key: every taint
)

// Toleration lets an instance onto nodes with a taint.
type Toleration struct {
	Key               string             `json:"key,omitempty"`
	Operator          TolerationOperator `json:"operator,omitempty"` // Equal where empty
	Value             string             `json:"value,omitempty"`
	Effect            TaintEffect        `json:"effect,omitempty"`            // every effect where empty
	TolerationSeconds *int64             `json:"tolerationSeconds,omitempty"` // of NoExecute: how long it may stay; for ever where absent
}

// Tolerates reports whether the toleration covers the taint.
func (t Toleration) Tolerates(taint Taint) bool {
	if t.Effect != "" && t.Effect != taint.Effect {
		return false
	}
	if t.Operator == TolerateExists {
		return t.Key == "" || t.Key == taint.Key
	}
	return t.Key == taint.Key && t.Value == taint.Value
}

// Validate reports every fault, with field as the path.
func (t Toleration) Validate(field string) (errs Errors) {
	if t.Key != "" && !labelKey.MatchString(t.Key) {
		errs.add(field+".key", t.Key, "the key of a taint such as dedicated or example.com/gpu")
	}
	switch t.Operator {
	case "", TolerateEqual:
		if t.Key == "" {
			errs.add(field+".key", "", "the key of a taint, or operator Exists for all of them")
		}
	case TolerateExists:
		if t.Value != "" {
			errs.add(field+".value", t.Value, "no value with Exists")
		}
	default:
		errs.add(field+".operator", string(t.Operator), "Equal or Exists")
	}
	if t.Effect != "" && !slices.Contains(TaintEffects, t.Effect) {
		errs.add(field+".effect", string(t.Effect), "NoSchedule, PreferNoSchedule, NoExecute, or none for all")
	}
	if t.TolerationSeconds != nil && (*t.TolerationSeconds < 0 || (t.Effect != "" && t.Effect != NoExecute)) {
		errs.add(field+".tolerationSeconds", fmt.Sprint(*t.TolerationSeconds), "zero or more seconds, with the effect NoExecute")
	}
	return errs
}
