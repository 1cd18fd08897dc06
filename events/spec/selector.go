package spec

import (
	"fmt"
	"slices"
	"strconv"
)

// Operator compares a label with values.
type Operator string

// The operators. Gt and Lt read the label and their one value as whole numbers.
const (
	OpIn           Operator = "In"
	OpNotIn        Operator = "NotIn"
	OpExists       Operator = "Exists"
	OpDoesNotExist Operator = "DoesNotExist"
	OpGt           Operator = "Gt"
	OpLt           Operator = "Lt"
)

// Expression is one demand on the labels of a node or of an instance.
type Expression struct {
	Key      string   `json:"key"`
	Operator Operator `json:"operator"`
	Values   []string `json:"values,omitempty"`
}

// Matches reports whether the labels are as demanded. As in Kubernetes, NotIn holds where there is no such label.
func (e Expression) Matches(labels map[string]string) bool {
	value, has := labels[e.Key]
	switch e.Operator {
	case OpIn:
		return has && slices.Contains(e.Values, value)
	case OpNotIn:
		return !has || !slices.Contains(e.Values, value)
	case OpExists:
		return has
	case OpDoesNotExist:
		return !has
	case OpGt, OpLt:
		if !has || len(e.Values) != 1 {
			return false
		}
		got, err1 := strconv.ParseInt(value, 10, 64)
		bound, err2 := strconv.ParseInt(e.Values[0], 10, 64)
		if err1 != nil || err2 != nil {
			return false
		}
		return (e.Operator == OpGt && got > bound) || (e.Operator == OpLt && got < bound)
	}
	return false
}

// String is the expression as people write it.
func (e Expression) String() string {
	switch e.Operator {
	case OpExists:
		return e.Key
	case OpDoesNotExist:
		return "!" + e.Key
	case OpGt:
		return e.Key + ">" + first(e.Values)
	case OpLt:
		return e.Key + "<" + first(e.Values)
	case OpNotIn:
		return fmt.Sprintf("%s not in %v", e.Key, e.Values)
	}
	return fmt.Sprintf("%s in %v", e.Key, e.Values)
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

func (e Expression) validate(field string) (errs Errors) {
	if !labelKey.MatchString(e.Key) {
		errs.add(field+".key", e.Key, "a label key such as zone or example.com/zone")
	}
	switch e.Operator {
	case OpIn, OpNotIn:
		if len(e.Values) == 0 {
			errs.add(field+".values", "", "a value at least")
		}
	case OpExists, OpDoesNotExist:
		if len(e.Values) > 0 {
			errs.add(field+".values", e.Values[0], "no values with %s", e.Operator)
		}
	case OpGt, OpLt:
		if len(e.Values) != 1 {
			errs.add(field+".values", strconv.Itoa(len(e.Values)), "one whole number")
		} else if _, err := strconv.ParseInt(e.Values[0], 10, 64); err != nil {
			errs.add(field+".values[0]", e.Values[0], "a whole number")
		}
	default:
		errs.add(field+".operator", string(e.Operator), "In, NotIn, Exists, DoesNotExist, Gt or Lt")
	}
	return errs
}

// LabelSelector chooses instances by their labels: those of their workload. All of it must hold; the empty selector chooses all.
type LabelSelector struct {
	MatchLabels      map[string]string `json:"matchLabels,omitempty"`
	MatchExpressions []Expression      `json:"matchExpressions,omitempty"`
}

// Matches reports whether the selector chooses what has the labels.
func (s LabelSelector) Matches(labels map[string]string) bool {
	for key, value := range s.MatchLabels {
		if got, ok := labels[key]; !ok || got != value {
			return false
		}
	}
	return matchesAll(s.MatchExpressions, labels)
}

func matchesAll(all []Expression, labels map[string]string) bool {
	return !slices.ContainsFunc(all, func(e Expression) bool { return !e.Matches(labels) })
}

func (s LabelSelector) validate(field string) Errors {
	errs := ValidateLabels(field+".matchLabels", s.MatchLabels)
	for n, e := range s.MatchExpressions {
		errs = append(errs, e.validate(fmt.Sprintf("%s.matchExpressions[%d]", field, n))...)
		if e.Operator == OpGt || e.Operator == OpLt {
			errs.add(fmt.Sprintf("%s.matchExpressions[%d].operator", field, n), string(e.Operator), "In, NotIn, Exists or DoesNotExist")
		}
	}
	return errs
}
