package events

import "strings"

// TypePrefix heads every wire type of Rutter; the aggregate follows, then what happened to it: run.rutter.workload.applied.v1.
const TypePrefix = "run.rutter."

// Belongs reports whether an event of the type may stand under the subject: a type stands under the subjects of its own aggregate and
// nowhere else. Whoever may write one aggregate can then say nothing about another.
func Belongs(wireType string, subject Subject) bool {
	rest, ok := strings.CutPrefix(wireType, TypePrefix)
	if !ok {
		return false
	}
	aggregate := string(subject.Aggregate())
	return aggregate != "" && len(rest) > len(aggregate)+1 && rest[:len(aggregate)] == aggregate && rest[len(aggregate)] == '.'
}

// NodeID makes an id that only the node's agent can use: its name stands before the derived id. No client's idempotency key and no
// derived id begins with the sign, and the door takes from a node only ids with its own name.
func NodeID(node, id string) string { return nodeIDSign + node + "." + id }

// OfNode reports whether an id is one that the node's agent may use.
func OfNode(id, node string) bool {
	rest, ok := strings.CutPrefix(id, nodeIDSign+node+".")
	return ok && rest != ""
}

// NodeSource is what a node's agent says its events come from.
func NodeSource(node string) string { return "/rutter/agentd/" + node }

// NodeActor is as whom a node's agent acts.
func NodeActor(node string) string { return "node:" + node }

// nodeIDSign heads the ids of what nodes say. It is no letter and no digit, which every other id begins with.
const nodeIDSign = "@"
