package placement

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
)

// learn finds out of the view what some scores need to know and others need not pay for, once a pool.
func (p *Pool) learn(f *Profile) {
	if (f.uses("gpu-fragmentation") || f.uses("gpu-descent")) && !p.learned.typical {
		p.learned.typical = true
		if p.measures[byCount].tasks == nil {
			p.SetTypical(p.asked())
		}
	}
	if (f.uses("gpu-clustering") && !p.learned.kinds) || (f.uses("image-locality") && !p.learned.images) {
		kinds, images := f.uses("gpu-clustering") && !p.learned.kinds, f.uses("image-locality") && !p.learned.images
		p.learned.kinds, p.learned.images = p.learned.kinds || kinds, p.learned.images || images
		for i := range p.view.Instances() {
			n := p.byName[i.Node]
			if n == nil || i.End != nil || i.Retired {
				continue
			}
			if asks := asksOf(&i.Spec); kinds && len(asks) > 0 {
				n.count(&Task{GPUs: asks})
			}
			for _, c := range i.Spec.Containers {
				if images {
					n.hasImage(c.Image.String())
				}
			}
		}
	}
}

// learned is what a pool has found out already.
type learned struct{ typical, kinds, images bool }

func (n *Node) hasImage(ref string) {
	if n.images == nil {
		n.images = map[string]bool{}
	}
	n.images[ref] = true
}

func asksOf(s *spec.InstanceSpec) (asks []Ask) {
	for _, c := range s.Containers {
		if g := c.Resources.Requests.GPU; g >= spec.Device {
			asks = append(asks, Ask{Container: c.Name, Whole: g.Whole()})
		} else if g > 0 {
			asks = append(asks, Ask{Container: c.Name, Share: g})
		}
	}
	return asks
}

// asked counts what the instances that are wished for ask.
func (p *Pool) asked() []Typical {
	type shape struct {
		namespace, workload string
		revision            int
	}
	byShape := map[shape]int{}
	example := map[shape]*projections.Instance{}
	for i := range p.view.Instances() {
		if i.Wished() && i.End == nil {
			s := shape{i.Key.Namespace, i.Key.Workload, i.Revision}
			byShape[s]++
			example[s] = i
		}
	}
	var all []Typical
	for s, count := range byShape {
		i := example[s]
		all = append(all, Typical{Task: NewAsk(&i.Spec), Count: count})
	}
	return all
}

// NewAsk is a task with what matters to fragmentation alone.
func NewAsk(s *spec.InstanceSpec) *Task {
	t := &Task{Requests: s.Requests(), GPUs: asksOf(s)}
	for _, key := range slices.Sorted(maps.Keys(s.NodeSelector)) {
		t.selector = append(t.selector, label{key, s.NodeSelector[key]})
	}
	if a := s.Affinity; a != nil && a.Node != nil {
		t.affinity = a.Node.Required
	}
	return t
}

// frequent are the most frequent of the tasks, as many as make up so many hundredths of all. Tasks that ask the same are one.
func frequent(all []Typical, hundredths int) []Typical {
	merged := map[string]Typical{}
	total := 0
	for _, one := range all {
		key := one.Task.fingerprint()
		one.Count += merged[key].Count
		merged[key] = one
	}
	keys := slices.Sorted(maps.Keys(merged))
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(merged[b].Count, merged[a].Count) })
	for _, key := range keys {
		total += merged[key].Count
	}
	var most []Typical
	covered := 0
	for _, key := range keys {
		if covered*100 >= total*hundredths {
			break
		}
		most = append(most, merged[key])
		covered += merged[key].Count
	}
	return most
}

func (t *Task) fingerprint() string {
	return fmt.Sprintf("%d|%v|%v|%v", t.Requests.CPU, t.GPUs, t.selector, t.affinity)
}
