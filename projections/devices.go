package projections

import (
	"slices"

	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/spec"
)

// devicesOf is which GPUs an assignment takes. One from before assignments named them takes the first that are free.
func (n *Node) devicesOf(data ledger.AssignedV2) (shares []DeviceShare) {
	for _, d := range data.Devices {
		shares = append(shares, DeviceShare{Container: d.Container, Device: d.Device, Share: spec.GPUs(d.Milli)})
	}
	if len(shares) > 0 {
		return shares
	}
	taken := slices.Clone(n.Devices)
	for _, c := range data.Spec.Containers {
		for left, device := c.Resources.Requests.GPU, 0; left > 0 && device < maxDevices; device++ {
			want := min(left, spec.Device)
			for len(taken) <= device {
				taken = append(taken, 0)
			}
			if taken[device]+want > spec.Device {
				continue
			}
			taken[device] += want
			left -= want
			shares = append(shares, DeviceShare{Container: c.Name, Device: device, Share: want})
		}
	}
	return shares
}

// holdDevices notes what is taken of each GPU, or given back.
func (n *Node) holdDevices(shares []DeviceShare, sign spec.GPUs) {
	if len(shares) == 0 {
		return
	}
	n.Devices = slices.Clone(n.Devices)
	for _, s := range shares {
		if s.Device < 0 || s.Device >= maxDevices {
			continue // no such device: whoever wrote that erred
		}
		for len(n.Devices) <= s.Device {
			n.Devices = append(n.Devices, 0)
		}
		n.Devices[s.Device] += sign * s.Share
	}
	for len(n.Devices) > 0 && n.Devices[len(n.Devices)-1] == 0 {
		n.Devices = n.Devices[:len(n.Devices)-1]
	}
	if len(n.Devices) == 0 {
		n.Devices = nil
	}
}

// maxDevices bounds what a node can have of GPUs.
const maxDevices = 1 << 10
