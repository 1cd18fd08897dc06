package nodehealth

import (
	"slices"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
)

// operate answers what operators ask of a node that is there.
func operate(n *projections.Node, c events.Command, now time.Time) decider.Decision {
	say := func(data events.Payload) decider.Decision {
		return decider.Accept(author(now).Say(decider.Caused(c), events.NodeSubject(n.Name), kindCommanded, data))
	}
	switch data := c.Data.(type) {
	case node.CordonV1:
		if n.Cordoned {
			return decider.Accept()
		}
		return say(node.CordonedV1{})
	case node.UncordonV1:
		if !n.Cordoned {
			return decider.Accept()
		}
		return say(node.UncordonedV1{})
	case node.DrainV1:
		if data.Within < 0 {
			return decider.Reject(command.CodeInvalid, "%s", spec.FieldError{Field: "within", Value: data.Within.String(), Want: "0s (no hurry) or longer"})
		}
		draining := node.DrainingV1{}
		if data.Within > 0 {
			draining.Deadline = now.Add(time.Duration(data.Within)).UTC()
		}
		if n.Drain != nil && draining.Deadline.Equal(n.Drain.Deadline) {
			return decider.Accept()
		}
		return say(draining)
	case node.TaintV1:
		return taint(n, data, say)
	case node.LabelV1:
		return label(n, data, say)
	}
	return decider.Accept()
}

func taint(n *projections.Node, data node.TaintV1, say func(events.Payload) decider.Decision) decider.Decision {
	var errs spec.Errors
	for _, t := range data.Set {
		errs = append(errs, t.Validate("set")...)
	}
	if err := errs.Err(); err != nil {
		return decider.Reject(command.CodeInvalid, "%s", err)
	}
	var change node.TaintedV1
	for _, t := range n.Taints {
		for _, gone := range data.Remove {
			if t.Key == gone.Key && (gone.Effect == "" || t.Effect == gone.Effect) {
				change.Removed = append(change.Removed, t)
				break
			}
		}
	}
	for _, t := range data.Set {
		if !slices.Contains(n.Taints, t) || slices.Contains(change.Removed, t) {
			change.Set = append(change.Set, t)
		}
	}
	for _, gone := range data.Remove {
		if !slices.ContainsFunc(change.Removed, func(t spec.Taint) bool { return t.Key == gone.Key && (gone.Effect == "" || t.Effect == gone.Effect) }) {
			return decider.Reject(command.CodeNotFound, "node %s has no taint %s", n.Name, gone)
		}
	}
	if len(change.Set)+len(change.Removed) == 0 {
		return decider.Accept()
	}
	return say(change)
}

func label(n *projections.Node, data node.LabelV1, say func(events.Payload) decider.Decision) decider.Decision {
	if err := spec.ValidateLabels("set", data.Set).Err(); err != nil {
		return decider.Reject(command.CodeInvalid, "%s", err)
	}
	change := node.LabelledV1{Set: map[string]string{}}
	for key, value := range data.Set {
		if now, ok := n.OwnLabels[key]; !ok || now != value {
			change.Set[key] = value
		}
	}
	for _, key := range data.Remove {
		_, own := n.OwnLabels[key]
		_, agents := n.AgentLabels[key]
		switch {
		case own:
			change.Removed = append(change.Removed, key)
		case agents:
			return decider.Reject(command.CodeConflict, "label %s is one that the agent of node %s registers with; take it out of the agent's configuration", key, n.Name)
		default:
			return decider.Reject(command.CodeNotFound, "node %s has no label %s", n.Name, key)
		}
	}
	if len(change.Set)+len(change.Removed) == 0 {
		return decider.Accept()
	}
	slices.Sort(change.Removed)
	return say(change)
}

// drained says that a node which is drained holds nothing any more.
func (b *bench) drained(n *projections.Node) []events.Event {
	if n.Drain == nil || n.Drain.Done || n.Instances > 0 || n.Health == projections.Left {
		return nil
	}
	return []events.Event{b.author.Say(n.Drain.Mark, events.NodeSubject(n.Name), kindDrained, node.DrainedV1{Late: n.Drain.Overdue(b.now)})}
}
