package door

import (
	"fmt"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
)

// maxEventBytes is how long the data of one report may be.
const maxEventBytes = 64 << 10

// allowAppend says why a node may not append the batch; nil where it may.
func allowAppend(name string, batch events.Batch) error {
	for _, w := range batch {
		// The subject of the instance that it names, so that nothing else is in it.
		if own := events.ReportSubject(name, w.Subject.Instance()); w.Subject != own {
			return denied("node %s may not write %s: want evt.report.%s.<namespace>.<workload>.<instance>", name, w.Subject, name)
		}
		for _, e := range w.Events {
			if err := allowEvent(name, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func allowEvent(name string, e events.Event) error {
	switch {
	case !events.Belongs(e.Type, e.Subject):
		return fmt.Errorf("event %s: a %q cannot stand under %s: %w", e.ID, e.Type, e.Subject, events.ErrInvalid)
	case !events.OfNode(e.ID, name):
		return denied("event %q is not an id of node %s: want one that begins with %s", e.ID, name, events.NodeID(name, ""))
	case e.Source != events.NodeSource(name):
		return denied("event %s: source %q: want %q", e.ID, e.Source, events.NodeSource(name))
	case e.Actor != events.NodeActor(name):
		return denied("event %s: actor %q: want %q", e.ID, e.Actor, events.NodeActor(name))
	}
	if bad, ok := e.Data.(events.Malformed); ok {
		return fmt.Errorf("event %s is malformed: %s: %w", e.ID, bad.Problem, events.ErrInvalid)
	}
	return nil
}

// allowRead says why a node may not read a subject; nil where it may.
func allowRead(name string, subject events.Subject) error {
	switch subject {
	case events.LedgerSubject(name), events.NodeSubject(name), events.ReportSubject(name, subject.Instance()):
		return nil
	}
	return denied("node %s may not read %s", name, subject)
}

// allowRegister says why a node may not send the command; nil where it may.
func allowRegister(by caller, c events.Command) error {
	data, ok := c.Data.(node.RegisterV1)
	switch {
	case !ok || c.Type != data.WireType() || c.Subject != events.NodeCommand(by.node):
		return denied("node %s may not send a %s to %s: want a %s to %s", by.node, c.Type, c.Subject, node.RegisterV1{}.WireType(), events.NodeCommand(by.node))
	case data.Key != by.key:
		return denied("node %s registers with the key %q and asks with %s", by.node, data.Key, by.key)
	case c.Actor != events.NodeActor(by.node):
		return denied("command %s: actor %q: want %q", c.ID, c.Actor, events.NodeActor(by.node))
	case !events.OfNode(c.ID, by.node):
		return denied("command %q is not an id of node %s: want one that begins with %s", c.ID, by.node, events.NodeID(by.node, ""))
	}
	return nil
}

func denied(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), events.ErrDenied)
}
