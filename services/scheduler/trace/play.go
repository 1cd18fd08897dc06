package trace

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/services/scheduler/placement"
)

// Trace is a cluster and what arrives at it.
type Trace struct {
	Nodes []Node
	Pods  []Pod
}

// GPUs is what the nodes have of GPUs in all.
func (t Trace) GPUs() (sum spec.GPUs) {
	for _, n := range t.Nodes {
		sum += n.Capacity.GPU
	}
	return sum
}

// Arrivals are the pods in the order of their names, shuffled with the seed, and then as many drawn again as are missing until the requests
// reach ratio times the cluster's GPUs.
func (t Trace) Arrivals(seed uint64, ratio float64) []Pod {
	all := slices.SortedStableFunc(slices.Values(t.Pods), func(a, b Pod) int { return cmp.Compare(a.Name, b.Name) })
	rng := rand.New(rand.NewPCG(seed, 0x7ace))
	rng.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	wanted, asked, known := spec.GPUs(ratio*float64(t.GPUs())), spec.GPUs(0), len(all)
	for at, p := range all {
		if asked += p.Requests.GPU; asked >= wanted {
			return all[:at+1]
		}
	}
	if asked == 0 {
		return all // nothing asks for GPUs: there is no ratio to reach
	}
	for asked < wanted {
		p := all[rng.IntN(known)]
		asked += p.Requests.GPU
		all = append(all, p)
	}
	return all
}

// InOrder are the pods in the order in which they arrived.
func (t Trace) InOrder() []Pod {
	return slices.SortedStableFunc(slices.Values(t.Pods), func(a, b Pod) int {
		return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.Name, b.Name))
	})
}

// view is the cluster before anything arrived.
func (t Trace) view() *projections.Cluster {
	state := projections.NewState()
	say := func(name string, data events.Payload) {
		state.Apply(events.Event{Subject: events.NodeSubject(name), Type: data.WireType(), Data: data, Sequence: state.Sequence() + 1, Time: time.Unix(0, 0)})
	}
	for _, n := range t.Nodes {
		say(n.Name, node.JoinedV1{Capacity: n.Capacity, Labels: map[string]string{ModelLabel: n.Model}})
		say(n.Name, node.ReadyV1{})
	}
	return state.View()
}

// Point is the cluster after some arrivals.
type Point struct {
	Arrived       int     `json:"arrived"`       // what the arrivals asked of GPUs, in percent of what there is
	Allocated     float64 `json:"allocated"`     // what of it is placed, in percent of what there is: the mean over the arrivals at that percent
	Fragmentation float64 `json:"fragmentation"` // what is left and of no use to typical tasks, in percent of what there is
}

// Result is one run.
type Result struct {
	Profile  string  `json:"policy"`
	Seed     uint64  `json:"seed"`
	Arrivals int     `json:"arrivals"`
	Unplaced int     `json:"unplaced"` // when the last had arrived
	Points   []Point `json:"points"`
}

// At is the point where so many percent had arrived, or the last before; false where there is none.
func (r Result) At(percent int) (Point, bool) {
	at, _ := slices.BinarySearchFunc(r.Points, percent+1, func(p Point, want int) int { return p.Arrived - want })
	if at == 0 {
		return Point{}, false
	}
	return r.Points[at-1], true
}

// Run places the arrivals one by one by a profile of the policy. It drives the pool that the scheduler plans with.
func (t Trace) Run(arrivals []Pod, policy *placement.Policy, profile string) (Result, error) {
	f, ok := policy.Profile(profile)
	if !ok {
		return Result{}, fmt.Errorf("there is no profile %q: %w", profile, events.ErrNotFound)
	}
	total := float64(t.GPUs())
	if total == 0 {
		return Result{}, fmt.Errorf("the nodes have no GPUs, by which allocation is measured: %w", events.ErrInvalid)
	}
	pool := placement.NewPool(t.view(), policy)
	var asked []placement.Typical
	for _, p := range t.Pods {
		asked = append(asked, placement.Typical{Task: placement.NewAsk(p.instance()), Count: 1})
	}
	pool.SetTypical(asked)
	tasks := map[string]*placement.Task{}
	result := Result{Profile: profile, Seed: policy.Seed, Arrivals: len(arrivals)}
	var arrived, allocated spec.GPUs
	var sum float64
	count, percent := 0, -1
	close := func() {
		if count > 0 {
			result.Points = append(result.Points, Point{
				Arrived: percent, Allocated: sum / float64(count), Fragmentation: 100 * pool.Fragmentation() / total,
			})
		}
		sum, count = 0, 0
	}
	for n, p := range arrivals {
		shape := p.shape()
		task := tasks[shape]
		if task == nil {
			task = pool.NewTask("trace", shape, shape, p.instance(), f)
			task.Expect = len(arrivals)
			tasks[shape] = task
		}
		arrived += p.Requests.GPU
		if choice := pool.Choose(task, fmt.Sprint(n)); choice.Node != nil {
			pool.Take(choice.Node, task)
			allocated += p.Requests.GPU
		} else {
			result.Unplaced++
		}
		if now := int(math.Round(100 * float64(arrived) / total)); now != percent {
			close()
			percent = now
		}
		sum += math.Round(1e4*float64(allocated)/total) / 100
		count++
	}
	close()
	return result, nil
}
