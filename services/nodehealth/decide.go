package nodehealth

import (
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
)

// Decide turns a command about a node into the events that carry it out, or turns it down. Asking for what is so already is
// accepted and changes nothing.
func Decide(view *projections.Cluster, c events.Command, now time.Time) decider.Decision {
	name := events.Subject(c.Subject).Node()
	old, known := view.Node(name)
	if known && old.Health == projections.Left {
		known = false
	}
	say := func(data events.Payload) decider.Decision {
		return decider.Accept(author(now).Say(decider.Caused(c), events.NodeSubject(name), kindCommanded, data))
	}
	switch data := c.Data.(type) {
	case node.RegisterV1:
		if err := validate(name, data); err != nil {
			return decider.Reject(command.CodeInvalid, "%s", err)
		}
		switch {
		case known && old.Key != data.Key:
			return decider.Reject(command.CodeConflict, "the name %s belongs to another key; choose another name, or let the node leave first", name)
		case known && old.Incarnation == data.Incarnation:
			return decider.Accept()
		}
		return say(node.JoinedV1{
			Incarnation: data.Incarnation, Key: data.Key, Address: data.Address, Capacity: data.Capacity, Labels: data.Labels,
			Version: data.Version, Runtime: data.Runtime,
		})
	case node.LeaveV1:
		switch {
		case known:
			return say(node.LeftV1{Message: data.Message})
		case old != nil:
			return decider.Accept()
		}
		return decider.Reject(command.CodeNotFound, "there is no node %s", name)
	case node.RemoveV1:
		switch {
		case known:
			return remove(old, data, say)
		case old != nil:
			return decider.Accept()
		}
		return decider.Reject(command.CodeNotFound, "there is no node %s", name)
	case node.CordonV1, node.UncordonV1, node.DrainV1, node.TaintV1, node.LabelV1:
		if !known {
			return decider.Reject(command.CodeNotFound, "there is no node %s", name)
		}
		return operate(old, c, now)
	default:
		return decider.Reject(command.CodeInvalid, "node-health does not handle %s; want register, leave, remove, cordon, uncordon, drain, taint or label of a node", c.Type)
	}
}

func validate(name string, data node.RegisterV1) error {
	errs := spec.ValidateName("node", name)
	if data.Incarnation == "" {
		errs = append(errs, spec.FieldError{Field: "incarnation", Want: "a name that is drawn anew at every start of the agent"})
	}
	errs = append(errs, data.Capacity.Validate("capacity")...)
	errs = append(errs, spec.ValidateLabels("labels", data.Labels)...)
	return errs.Err()
}

// The kinds of events that one cause can bring about on one node: they keep derived ids apart.
const (
	kindCommanded = iota
	kindReady
	kindNotReady
	kindSuspected
	kindLost
	kindReturned
	kindRejoined
	kindDrained
)

func author(now time.Time) decider.Author {
	return decider.Author{Service: events.ServiceNodeHealth, Now: now}
}
