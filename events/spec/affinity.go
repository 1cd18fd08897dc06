package spec

import (
	"fmt"
	"strconv"
)

// Affinity says near what an instance is to run, and far from what.
type Affinity struct {
	Node         *NodeAffinity     `json:"node,omitempty"`
	Instance     *InstanceAffinity `json:"instance,omitempty"`     // near others
	InstanceAnti *InstanceAffinity `json:"instanceAnti,omitempty"` // away from others
}

// NodeAffinity is what an instance demands and wishes of the labels of its node.
type NodeAffinity struct {
	Required  []NodeTerm          `json:"required,omitempty"` // one of them must hold
	Preferred []PreferredNodeTerm `json:"preferred,omitempty"`
}

// NodeTerm is a set of demands on a node's labels: all must hold.
type NodeTerm struct {
	MatchExpressions []Expression `json:"matchExpressions"`
}

// Matches reports whether a node's labels are as demanded.
func (t NodeTerm) Matches(labels map[string]string) bool {
	return matchesAll(t.MatchExpressions, labels)
}

// PreferredNodeTerm is a wish with its weight, from 1 to 100.
type PreferredNodeTerm struct {
	Weight           int          `json:"weight"`
	MatchExpressions []Expression `json:"matchExpressions"`
}

// InstanceAffinity is what an instance demands and wishes of the others around it.
type InstanceAffinity struct {
	Required  []InstanceTerm          `json:"required,omitempty"` // all must hold
	Preferred []PreferredInstanceTerm `json:"preferred,omitempty"`
}

// InstanceTerm speaks of instances that run in the same domain: on nodes with the same value of a label.
type InstanceTerm struct {
	LabelSelector LabelSelector `json:"labelSelector"`
	TopologyKey   string        `json:"topologyKey"`          // such as zone; rutter.run/node: the node itself
	Namespaces    []string      `json:"namespaces,omitempty"` // the instance's own where empty
}

// PreferredInstanceTerm is a wish with its weight, from 1 to 100.
type PreferredInstanceTerm struct {
	Weight int          `json:"weight"`
	Term   InstanceTerm `json:"term"`
}

// TopologyNode is the topology key of the node itself: every node is a domain of its own, whatever its labels.
const TopologyNode = "rutter.run/node"

// Validate reports every fault, with field as the path.
func (a *Affinity) Validate(field string) (errs Errors) {
	if a == nil {
		return nil
	}
	if a.Node != nil {
		for n, t := range a.Node.Required {
			errs = append(errs, validateExpressions(fmt.Sprintf("%s.node.required[%d]", field, n), t.MatchExpressions)...)
		}
		for n, t := range a.Node.Preferred {
			at := fmt.Sprintf("%s.node.preferred[%d]", field, n)
			errs = append(errs, validateWeight(at, t.Weight)...)
			errs = append(errs, validateExpressions(at, t.MatchExpressions)...)
		}
	}
	errs = append(errs, a.Instance.validate(field+".instance")...)
	return append(errs, a.InstanceAnti.validate(field+".instanceAnti")...)
}

func (a *InstanceAffinity) validate(field string) (errs Errors) {
	if a == nil {
		return nil
	}
	for n, t := range a.Required {
		errs = append(errs, t.validate(fmt.Sprintf("%s.required[%d]", field, n))...)
	}
	for n, t := range a.Preferred {
		at := fmt.Sprintf("%s.preferred[%d]", field, n)
		errs = append(errs, validateWeight(at, t.Weight)...)
		errs = append(errs, t.Term.validate(at+".term")...)
	}
	return errs
}

func (t InstanceTerm) validate(field string) Errors {
	errs := t.LabelSelector.validate(field + ".labelSelector")
	errs = append(errs, validateTopologyKey(field, t.TopologyKey)...)
	for n, name := range t.Namespaces {
		errs = append(errs, ValidateName(fmt.Sprintf("%s.namespaces[%d]", field, n), name)...)
	}
	return errs
}

func validateTopologyKey(field, key string) (errs Errors) {
	if !labelKey.MatchString(key) {
		errs.add(field+".topologyKey", key, "the key of a node label such as zone, or %s", TopologyNode)
	}
	return errs
}

func validateWeight(field string, weight int) (errs Errors) {
	if weight < 1 || weight > 100 {
		errs.add(field+".weight", strconv.Itoa(weight), "1 to 100")
	}
	return errs
}

func validateExpressions(field string, all []Expression) (errs Errors) {
	if len(all) == 0 {
		errs.add(field+".matchExpressions", "", "an expression at least")
	}
	for n, e := range all {
		errs = append(errs, e.validate(fmt.Sprintf("%s.matchExpressions[%d]", field, n))...)
	}
	return errs
}
