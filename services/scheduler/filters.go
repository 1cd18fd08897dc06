package scheduler

import (
	"strings"

	"github.com/rutter-run/rutter/projections"
)

// filter turns nodes away and says why in a few words that are the same for every node with that fault; empty: it lets the node
// through.
type filter struct {
	name    string
	refuses func(*candidate, *demand) string
}

// filters are asked in this order; the first one that refuses gives the reason.
var filters = []filter{
	{"node-ready", notReady},
	{"node-selector", notSelected},
	{"resources", tooSmall},
	{"host-ports", portTaken},
}

func notReady(c *candidate, _ *demand) string {
	switch {
	case c.node.TakesWork():
		return ""
	case c.node.Health == projections.Healthy && !c.node.Ready:
		return "not ready"
	case c.node.Health == projections.Healthy:
		return "cordoned"
	default:
		return strings.ToLower(c.node.State())
	}
}

func notSelected(c *candidate, d *demand) string {
	for _, l := range d.selector {
		if value, ok := c.node.Labels[l.key]; !ok || value != l.value {
			return "without label " + l.key + "=" + l.value
		}
	}
	return ""
}

func tooSmall(c *candidate, d *demand) string {
	short := c.free.Short(d.requests)
	if len(short) == 0 && c.leaving != nil {
		short = c.later().Short(d.requests) // what is free now may be kept for an instance that waits for the rest
	}
	if len(short) == 0 {
		return ""
	}
	return "short of " + strings.Join(short, ", ")
}

func portTaken(c *candidate, d *demand) string {
	var taken []string
	for _, port := range d.ports {
		if c.takes(port) {
			taken = append(taken, port)
		}
	}
	if len(taken) == 0 {
		return ""
	}
	return "without free port " + strings.Join(taken, ", ")
}

func fits(c *candidate, d *demand) bool {
	for _, f := range filters {
		if f.refuses(c, d) != "" {
			return false
		}
	}
	return true
}
