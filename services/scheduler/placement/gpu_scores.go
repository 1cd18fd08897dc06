package placement

import "github.com/rutter-run/rutter/events/spec"

// The scores of this file judge nodes by what is left of their GPUs, each as it is known from the literature on packing.

// freeGPU is what is left of all devices of a node.
func freeGPU(n *Node) (sum spec.GPUs) {
	for _, free := range n.Free.Devices {
		sum += free
	}
	return sum
}

// percent cuts a score to whole hundredths: nodes that are nearly as good as each other are then as good, and the tie decides.
func percent(score int64) int64 { return score / (Full / 100) * (Full / 100) }

// scoreBestFit: of processor and GPUs, how little would be left, each against the largest node.
func scoreBestFit(p *Pool, n *Node, t *Task) int64 {
	cpu := share(int64(n.Free.Resources.CPU-t.Requests.CPU), int64(p.largest.CPU))
	if p.largest.GPU == 0 {
		return percent(Full - cpu)
	}
	return percent(Full - (cpu+share(int64(freeGPU(n)-t.gpus()), int64(p.largest.GPU)))/2)
}

// scoreDotProduct: the request times what is left, as vectors of processor and GPUs; the less the better.
func scoreDotProduct(p *Pool, n *Node, t *Task) int64 {
	dot := share(int64(n.Free.Resources.CPU), int64(p.largest.CPU)) * share(int64(t.Requests.CPU), int64(p.largest.CPU)) / Full
	if p.largest.GPU > 0 {
		dot += share(int64(freeGPU(n)), int64(p.largest.GPU)) * share(int64(t.gpus()), int64(p.largest.GPU)) / Full
	}
	return percent(Full - dot/2)
}

// scoreGPUPacking: shared devices first, the fuller the better; then free devices of a node that is in use; a node with all devices free last.
func scoreGPUPacking(_ *Pool, n *Node, t *Task) int64 {
	const part = Full / 100
	if len(t.GPUs) == 0 {
		return 0
	}
	idle := int64(0)
	for _, free := range n.Free.Devices {
		if free == spec.Device {
			idle++
		}
	}
	if int(idle) == len(n.Free.Devices) {
		return part * max(33-idle, idle)
	}
	opened, slack := int64(0), int64(0)
	n.Free.pick(t, func(_ Ask, device int, _ spec.GPUs) {
		if n.Free.Devices[device] == spec.Device {
			opened++
		}
		slack += int64(n.Free.Devices[device]) / 10
	})
	if opened > 0 {
		return part * max(50-opened, 33)
	}
	return part * max(100-slack/10, 50)
}

// scoreGPUClustering: nodes with the same kind of tasks alone, then those with this kind among others, then unused ones; of each the fuller.
func scoreGPUClustering(p *Pool, n *Node, t *Task) int64 {
	if len(t.GPUs) == 0 {
		return 0
	}
	const quarter = 25
	score := int64(0)
	if p.largest.GPU > 0 {
		score = quarter * int64(p.largest.GPU-freeGPU(n)) / int64(p.largest.GPU)
	}
	switch same := n.kinds[t.kind()] > 0; {
	case same && len(n.kinds) == 1:
		score += 3 * quarter
	case same:
		score += 2 * quarter
	case len(n.kinds) == 0:
		score += quarter
	}
	return score * (Full / 100)
}
