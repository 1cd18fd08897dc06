package placement

import (
	"slices"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// Node is a candidate with what is left on it, the plan's own assignments taken off.
type Node struct {
	State *projections.Node
	Size  spec.Resources // what may be given away in all: capacity times overcommit
	Free  Space

	index    int
	hash     uint64
	taken    uint64           // how many assignments there were, the plan's included
	ports    map[string]bool  // host ports that the plan itself gave away; nil: none
	kinds    map[string]int   // tasks on it by their kind of GPU use; nil: nobody asked
	images   map[string]bool  // that its instances run; nil: nobody asked
	shunned  bool             // it has a taint that not every task tolerates, or takes no work
	typical  [measures][]bool // which of the typical tasks its labels suit
	breakage [measures]int64  // the fragmentation that it has now; -1: not known
	leaving  *leaving         // see Clearance
}

// Space is an amount of resources, GPUs by device.
type Space struct {
	Resources spec.Resources
	Devices   []spec.GPUs // free of each device
}

// clone copies what later changes.
func (s Space) clone() Space { return Space{Resources: s.Resources, Devices: slices.Clone(s.Devices)} }

// holds reports whether a task fits.
func (s *Space) holds(t *Task) bool {
	return s.Resources.Holds(t.Requests) && (len(t.GPUs) == 0 || s.pick(t, nil))
}

// pick finds devices for all that the task asks of GPUs, as best fits: shares on the device that has least left, whole ones from the first that
// are free. found is called with each; it may be nil.
func (s *Space) pick(t *Task, found func(ask Ask, device int, share spec.GPUs)) bool {
	if len(t.GPUs) == 1 {
		return s.pickOne(s.Devices, t.GPUs[0], found)
	}
	left := slices.Clone(s.Devices)
	for _, a := range t.GPUs {
		if !s.pickOne(left, a, func(ask Ask, device int, share spec.GPUs) {
			left[device] -= share
			if found != nil {
				found(ask, device, share)
			}
		}) {
			return false
		}
	}
	return true
}

func (s *Space) pickOne(devices []spec.GPUs, a Ask, found func(Ask, int, spec.GPUs)) bool {
	if a.Whole == 0 {
		best := -1
		for d, free := range devices {
			if free >= a.Share && (best < 0 || free < devices[best]) {
				best = d
			}
		}
		if best >= 0 && found != nil {
			found(a, best, a.Share)
		}
		return best >= 0
	}
	wanted := a.Whole
	for _, free := range devices {
		if free >= spec.Device {
			wanted--
		}
	}
	if wanted > 0 {
		return false
	}
	if found == nil {
		return true
	}
	wanted = a.Whole
	for d := 0; wanted > 0; d++ {
		if devices[d] >= spec.Device {
			found(a, d, spec.Device)
			wanted--
		}
	}
	return true
}

// add gives back (sign 1) or takes away (sign -1) what an instance holds.
func (s *Space) add(r spec.Resources, shares []projections.DeviceShare, sign spec.GPUs) {
	if sign > 0 {
		s.Resources = s.Resources.Add(r)
	} else {
		s.Resources = s.Resources.Sub(r)
	}
	for _, share := range shares {
		if share.Device < len(s.Devices) {
			s.Devices[share.Device] += sign * share.Share
		}
	}
}

// TakesPort reports whether a host port is taken.
func (n *Node) TakesPort(port string) bool {
	_, found := slices.BinarySearch(n.State.HostPorts, port)
	return found || n.ports[port]
}

// domain is the node's value of a topology key; false where it has none.
func (n *Node) domain(key string) (string, bool) {
	if key == spec.TopologyNode {
		return n.State.Name, true
	}
	value, ok := n.State.Labels[key]
	return value, ok
}
