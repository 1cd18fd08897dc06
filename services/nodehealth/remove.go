package nodehealth

import (
	"cmp"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
)

// remove takes a node out where that stops nothing that runs: it is lost, or empty and cordoned so that it stays so.
func remove(n *projections.Node, data node.RemoveV1, say func(events.Payload) decider.Decision) decider.Decision {
	switch {
	case data.Force, n.Health == projections.Lost, n.Cordoned && n.Instances == 0:
		return say(node.LeftV1{Message: cmp.Or(data.Message, "removed")})
	case n.Cordoned:
		return decider.Reject(command.CodeConflict,
			"node %s still holds %d instances: wait until its drain is done, or remove it by force", n.Name, n.Instances)
	}
	return decider.Reject(command.CodeConflict, "node %s is %s and holds %d instances: drain it first, or remove it by force", n.Name, n.State(), n.Instances)
}
