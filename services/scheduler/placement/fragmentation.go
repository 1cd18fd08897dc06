package placement

import (
	"slices"

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

// measure is a set of typical tasks with their weights.
type measure struct {
	tasks   []typical
	counted int64 // the sum of the weights
}

// The measures of fragmentation.
const (
	byCount  = iota // the most frequent tasks, each as often as it is asked for
	byDemand        // all tasks, each by what it asks of GPUs: the rare large ones count as well
	measures
)

// mostTypical is the share of all tasks, in hundredths, that the typical ones make up.
const mostTypical = 95

// SetTypical says which tasks fragmentation is measured by: what is left on a node is broken as far as these could not use it.
func (p *Pool) SetTypical(asked []Typical) {
	p.measures = [measures]measure{}
	for _, one := range frequent(asked, mostTypical) {
		p.measures[byCount].add(one.Task, int64(one.Count))
	}
	for _, one := range frequent(asked, 100) {
		if g := one.Task.gpus(); g > 0 {
			p.measures[byDemand].add(one.Task, int64(one.Count)*max(1, int64(g)/100))
		}
	}
	for _, n := range p.Nodes {
		n.forget()
		for at := range p.measures {
			n.typical[at] = make([]bool, len(p.measures[at].tasks))
			for i, m := range p.measures[at].tasks {
				n.typical[at][i] = m.task.suits(n)
			}
		}
	}
}

func (m *measure) add(t *Task, weight int64) {
	one := typical{task: t, cpu: t.Requests.CPU, count: weight}
	for _, a := range t.GPUs {
		if a.Whole > 0 {
			one.whole += a.Whole
			one.share = 0
		} else if one.whole == 0 {
			one.share = max(one.share, a.Share)
		}
	}
	m.tasks, m.counted = append(m.tasks, one), m.counted+weight
}

// forget: what was reckoned of the node holds no more.
func (n *Node) forget() {
	for at := range n.breakage {
		n.breakage[at] = -1
	}
}

// fragmentation is how many thousandths of GPUs on the node are of no use to a typical task, times the tasks. A task that asks no GPU, or
// cannot run there, could use none of them; another one those devices that have as much left as it asks.
func (p *Pool) fragmentation(by int, n *Node, cpu spec.CPU, devices []spec.GPUs) (sum int64) {
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
	for at := range p.measures[by].tasks {
		m := &p.measures[by].tasks[at]
		ask := m.share
		fits := m.whole+int(m.share) > 0 && m.cpu <= cpu && n.typical[by][at]
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
func (p *Pool) descent(by int, n *Node, t *Task) (best int64, device int) {
	if n.breakage[by] < 0 {
		n.breakage[by] = p.fragmentation(by, n, n.Free.Resources.CPU, n.Free.Devices)
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
			if gain := n.breakage[by] - p.fragmentation(by, n, after, n.Free.Devices); device < 0 || gain > best {
				best, device = gain, d
			}
			n.Free.Devices[d] += want
		}
		return best, device
	}
	var room [16]spec.GPUs
	devices := append(room[:0], n.Free.Devices...)
	n.Free.pick(t, func(_ Ask, d int, share spec.GPUs) { devices[d] -= share })
	return n.breakage[by] - p.fragmentation(by, n, after, devices), -1
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
	if p.measures[byCount].counted == 0 {
		return Full / 2
	}
	gain, _ := p.descent(byCount, n, t)
	return Full / 100 * hundredths(gain/p.measures[byCount].counted)
}

// scoreDescent measures by what tasks ask of GPUs, so that the rare large ones count as well, and without steps: however small a difference, it
// counts.
func scoreDescent(p *Pool, n *Node, t *Task) int64 {
	if p.measures[byDemand].counted == 0 {
		return Full / 2
	}
	gain, _ := p.descent(byDemand, n, t)
	return squash(gain / p.measures[byDemand].counted)
}

// steps are where the sigmoid of a thousandth part passes each hundredth from 1 to 99: 1000 times the logarithm of p/(100-p). A table and not a
// formula, so that every machine decides the same.
var steps = [...]int64{
	-4595, -3892, -3476, -3178, -2944, -2752, -2587, -2442, -2314, -2197, -2091, -1992,
	-1901, -1815, -1735, -1658, -1586, -1516, -1450, -1386, -1325, -1266, -1208, -1153,
	-1099, -1046, -995, -944, -895, -847, -800, -754, -708, -663, -619, -575,
	-532, -490, -447, -405, -364, -323, -282, -241, -201, -160, -120, -80,
	-40, 0, 40, 80, 120, 160, 201, 241, 282, 323, 364, 405,
	447, 490, 532, 575, 619, 663, 708, 754, 800, 847, 895, 944,
	995, 1046, 1099, 1153, 1208, 1266, 1325, 1386, 1450, 1516, 1586, 1658,
	1735, 1815, 1901, 1992, 2091, 2197, 2314, 2442, 2587, 2752, 2944, 3178,
	3476, 3892, 4595,
}

// hundredths is the sigmoid of thousandths of GPUs in whole hundredths, as in the paper.
func hundredths(milli int64) (passed int64) {
	at, _ := slices.BinarySearch(steps[:], milli+1)
	return int64(at)
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
	by := byCount
	if t.Profile.uses("gpu-descent") {
		by = byDemand
	}
	if _, device := p.descent(by, n, t); device >= 0 {
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

// Fragmentation is what of all GPUs, in thousandths of a device, is free and of no use, over the typical tasks.
func (p *Pool) Fragmentation() float64 {
	const by = byCount
	if p.measures[by].counted == 0 {
		return 0
	}
	var sum int64
	for _, n := range p.Nodes {
		if n.breakage[by] < 0 {
			n.breakage[by] = p.fragmentation(by, n, n.Free.Resources.CPU, n.Free.Devices)
		}
		sum += n.breakage[by]
	}
	return float64(sum) / float64(p.measures[by].counted)
}
