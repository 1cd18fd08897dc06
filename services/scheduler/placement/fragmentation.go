package placement

import (
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// typical is a task that is often asked for, by which fragmentation is measured.
type typical struct {
	task  *Task
	cpu   spec.CPU
	whole int
	share spec.GPUs // of one device, where whole is 0
	count int64     // how often
}

// Typical is a task and how often it is asked for.
type Typical struct {
	Task  *Task
	Count int
}

// SetTypical says which tasks fragmentation is measured by: what is left on a node is broken as far as these could not use it.
func (p *Pool) SetTypical(tasks []Typical) {
	p.typical, p.counted = nil, 0
	for _, one := range tasks {
		m := typical{task: one.Task, cpu: one.Task.Requests.CPU, count: int64(one.Count)}
		for _, a := range one.Task.GPUs {
			if a.Whole > 0 {
				m.whole += a.Whole
				m.share = 0
			} else if m.whole == 0 {
				m.share = max(m.share, a.Share)
			}
		}
		p.typical = append(p.typical, m)
		p.counted += m.count
	}
	for _, n := range p.Nodes {
		n.breakage, n.typical = -1, make([]bool, len(p.typical))
		for at, m := range p.typical {
			n.typical[at] = m.task.suits(n)
		}
	}
}

// fragmentation is how many thousandths of GPUs on the node are of no use to a typical task, times the tasks. A task that asks no GPU, or
// cannot run there, could use none of them; another one those devices that have as much left as it asks.
func (p *Pool) fragmentation(n *Node, cpu spec.CPU, devices []spec.GPUs) (sum int64) {
	var total spec.GPUs
	idle := 0
	for _, free := range devices {
		total += free
		if free == spec.Device {
			idle++
		}
	}
	if total == 0 {
		return 0
	}
	for at := range p.typical {
		m := &p.typical[at]
		ask := m.share
		fits := m.whole+int(m.share) > 0 && m.cpu <= cpu && n.typical[at]
		if m.whole > 0 {
			ask, fits = spec.Device, fits && idle >= m.whole
		}
		broken, most := spec.GPUs(0), spec.GPUs(0)
		for _, free := range devices {
			if free < ask {
				broken += free
			}
			most = max(most, free)
		}
		if !fits || most < ask {
			broken = total
		}
		sum += m.count * int64(broken)
	}
	return sum
}

// descent is by how much fragmentation shrinks on a node where the task takes its devices, and on which device for a share.
func (p *Pool) descent(n *Node, t *Task) (best int64, device int) {
	if n.breakage < 0 {
		n.breakage = p.fragmentation(n, n.Free.Resources.CPU, n.Free.Devices)
	}
	after := n.Free.Resources.CPU - t.Requests.CPU
	device = -1
	if len(t.GPUs) == 1 && t.GPUs[0].Whole == 0 {
		want := t.GPUs[0].Share
		for d, free := range n.Free.Devices {
			if free < want || seenBefore(n.Free.Devices[:d], free) {
				continue
			}
			n.Free.Devices[d] -= want
			if gain := n.breakage - p.fragmentation(n, after, n.Free.Devices); device < 0 || gain > best {
				best, device = gain, d
			}
			n.Free.Devices[d] += want
		}
		return best, device
	}
	var room [16]spec.GPUs
	devices := append(room[:0], n.Free.Devices...)
	n.Free.pick(t, func(_ Ask, d int, share spec.GPUs) { devices[d] -= share })
	return n.breakage - p.fragmentation(n, after, devices), -1
}

// seenBefore: devices with as much left are alike.
func seenBefore(devices []spec.GPUs, free spec.GPUs) bool {
	for _, d := range devices {
		if d == free {
			return true
		}
	}
	return false
}

// scoreFragmentation: the more fragmentation shrinks the better; half of Full where it stays.
func scoreFragmentation(p *Pool, n *Node, t *Task) int64 {
	if p.counted == 0 {
		return Full / 2
	}
	gain, _ := p.descent(n, t)
	return squash(gain / p.counted)
}

// squash brings thousandths of GPUs between 0 and Full, without end on both sides: x/(1+|x|), moved.
func squash(milli int64) int64 {
	if milli >= 0 {
		return Full/2 + Full/2*milli/(1000+milli)
	}
	return Full/2 - Full/2*-milli/(1000-milli)
}

// devices are chosen for a task that was given to a node.
type deviceChoice func(*Pool, *Node, *Task) []projections.DeviceShare

// fittest takes the device that has least left for a share.
func fittest(_ *Pool, n *Node, t *Task) (shares []projections.DeviceShare) {
	n.Free.pick(t, func(a Ask, device int, share spec.GPUs) {
		shares = append(shares, projections.DeviceShare{Container: a.Container, Device: device, Share: share})
	})
	return shares
}

// leastBroken takes the device on which a share breaks least.
func leastBroken(p *Pool, n *Node, t *Task) []projections.DeviceShare {
	if _, device := p.descent(n, t); device >= 0 {
		return []projections.DeviceShare{{Container: t.GPUs[0].Container, Device: device, Share: t.GPUs[0].Share}}
	}
	return fittest(p, n, t)
}

// anyDevice takes one by the hash of the task and how often the node was chosen.
func anyDevice(p *Pool, n *Node, t *Task) []projections.DeviceShare {
	if len(t.GPUs) != 1 || t.GPUs[0].Whole > 0 {
		return fittest(p, n, t)
	}
	best, device := uint64(0), -1
	for d, free := range n.Free.Devices {
		if drawn := mix(t.seed ^ n.hash ^ n.taken<<8 ^ uint64(d)); free >= t.GPUs[0].Share && (device < 0 || drawn > best) {
			best, device = drawn, d
		}
	}
	return []projections.DeviceShare{{Container: t.GPUs[0].Container, Device: device, Share: t.GPUs[0].Share}}
}
