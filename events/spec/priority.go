package spec

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Priority says who goes first where there is not room for all: instances of a higher one are placed first, and may have those of a lower
// one stopped to make room. In documents it is a class (low, normal, high, critical) or a whole number.
type Priority int32

// The classes of priority.
const (
	PriorityLow      Priority = -1000 // what can be done later
	PriorityNormal   Priority = 0
	PriorityHigh     Priority = 1000
	PriorityCritical Priority = 1_000_000 // what the cluster itself cannot do without
)

// MaxPriority bounds priorities on both sides.
const MaxPriority Priority = 1_000_000_000

var priorityClasses = map[string]Priority{
	"low": PriorityLow, "normal": PriorityNormal, "high": PriorityHigh, "critical": PriorityCritical,
}

const wantPriority = "low, normal, high, critical or a whole number, the higher the sooner"

// String implements fmt.Stringer with the class, or the number where there is none.
func (p Priority) String() string {
	switch p {
	case PriorityLow:
		return "low"
	case PriorityNormal:
		return "normal"
	case PriorityHigh:
		return "high"
	case PriorityCritical:
		return "critical"
	}
	return strconv.Itoa(int(p))
}

// MarshalJSON implements json.Marshaler.
func (p Priority) MarshalJSON() ([]byte, error) {
	name := p.String()
	if _, class := priorityClasses[name]; class {
		return json.Marshal(name)
	}
	return []byte(name), nil
}

// UnmarshalJSON implements json.Unmarshaler. It refuses what is neither a class nor a number.
func (p *Priority) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if n, err := strconv.ParseInt(string(data), 10, 32); err == nil {
		*p = Priority(n)
		return nil
	}
	var class string
	if err := json.Unmarshal(data, &class); err != nil {
		return notA(data, wantPriority)
	}
	known, ok := priorityClasses[class]
	if !ok {
		return notA(data, wantPriority)
	}
	*p = known
	return nil
}

// Validate reports a priority out of bounds.
func (p Priority) Validate(field string) (errs Errors) {
	if p < -MaxPriority || p > MaxPriority {
		errs.add(field, fmt.Sprint(int(p)), "%d to %d", int(-MaxPriority), int(MaxPriority))
	}
	return errs
}

// JSONSchemaBytes describes the two forms in documents.
func (Priority) JSONSchemaBytes() ([]byte, error) {
	return []byte(`{"type":["string","integer"],"description":"low, normal, high, critical or a whole number"}`), nil
}
