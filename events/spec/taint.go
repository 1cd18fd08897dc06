package spec

import (
	"fmt"
	"slices"
	"strings"
)

// TaintEffect is what a taint does to instances that do not tolerate it.
type TaintEffect string

// The effects of taints.
const (
	NoSchedule       TaintEffect = "NoSchedule"       // none is placed on the node
	PreferNoSchedule TaintEffect = "PreferNoSchedule" // none is placed on it while others will do
	NoExecute        TaintEffect = "NoExecute"        // none is placed on it, and those that run there are moved
)

// TaintEffects lists the effects.
var TaintEffects = []TaintEffect{NoSchedule, PreferNoSchedule, NoExecute}

// Taint keeps instances off a node that do not tolerate it.
type Taint struct {
	Key    string      `json:"key"`
	Value  string      `json:"value,omitempty"`
	Effect TaintEffect `json:"effect"`
}

// String is key=value:effect, or key:effect.
func (t Taint) String() string {
	text := t.Key
	if t.Value != "" {
		text += "=" + t.Value
	}
	if t.Effect != "" {
		text += ":" + string(t.Effect)
	}
	return text
}

// Validate reports every fault of the taint, with field as the path.
func (t Taint) Validate(field string) (errs Errors) {
	if !labelKey.MatchString(t.Key) {
		errs.add(field+".key", t.Key, "a key such as dedicated or example.com/gpu")
	}
	if t.Value != "" && !labelValue.MatchString(t.Value) {
		errs.add(field+".value", t.Value, "at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit")
	}
	if !slices.Contains(TaintEffects, t.Effect) {
		errs.add(field+".effect", string(t.Effect), "NoSchedule, PreferNoSchedule or NoExecute")
	}
	return errs
}

// ParseTaint reads key=value:effect and key:effect.
func ParseTaint(text string) (Taint, error) {
	left, effect, _ := strings.Cut(text, ":")
	key, value, _ := strings.Cut(left, "=")
	t := Taint{Key: key, Value: value, Effect: TaintEffect(effect)}
	if errs := t.Validate("taint"); len(errs) > 0 {
		return t, fmt.Errorf("taint %q: want key=value:effect or key:effect, such as dedicated=gpu:NoSchedule: %w", text, errs)
	}
	return t, nil
}

// SameTaint reports whether two taints are one: a node has each key with each effect once.
func SameTaint(a, b Taint) bool { return a.Key == b.Key && a.Effect == b.Effect }
