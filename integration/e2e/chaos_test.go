package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/integration/cluster"
)

var seed = flag.Uint64("chaos.seed", uint64(time.Now().UnixNano()), "of the moments and victims of TestEverythingDiesInTurn")

// kill is one way to hurt the cluster.
type kill struct {
	what string
	do   func(*chaos) error
}

var kills = []kill{
	{"reconciler", func(c *chaos) error { return c.service("reconciler") }},
	{"scheduler", func(c *chaos) error { return c.service("scheduler") }},
	{"node-health", func(c *chaos) error { return c.service("node-health") }},
	{"gateway", func(c *chaos) error { return c.service("gateway") }},
	{"agent", func(c *chaos) error {
		n := c.node()
		n.Agent.Kill()
		return n.Agent.Start()
	}},
	{"container process", func(c *chaos) error { return c.running(func(r cluster.Running) int { return r.PID }) }},
	{"shim", func(c *chaos) error { return c.running(func(r cluster.Running) int { return r.Shim }) }},
	{"NATS leader", func(c *chaos) error {
		p, err := c.cluster.Leader(c.t.Context())
		if err != nil {
			return err
		}
		p.Kill()
		return p.Start()
	}},
	{"whole node", func(c *chaos) error {
		n := c.node()
		if err := n.Die(); err != nil {
			return err
		}
		return n.Agent.Start()
	}},
}

// chaos is a cluster under fire.
type chaos struct {
	t       *testing.T
	cluster *cluster.Cluster
	api     *client.Client
	random  *rand.Rand

	mu     sync.Mutex
	acked  []string        // ids of the operations that were acknowledged
	wished map[string]int  // replicas by workload, after the last acknowledged change; 0: deleted
	unsure map[string]bool // the last change of the workload was not answered
}

func (c *chaos) service(name string) error {
	p := c.cluster.Services[name]
	p.Kill()
	return p.Start()
}

func (c *chaos) node() *cluster.Node { return c.cluster.Nodes[c.random.IntN(len(c.cluster.Nodes))] }

func (c *chaos) running(pid func(cluster.Running) int) error {
	var all []cluster.Running
	for _, n := range c.cluster.Nodes {
		all = append(all, n.Running()...)
	}
	if len(all) == 0 {
		return nil
	}
	return cluster.KillProcess(pid(all[c.random.IntN(len(all))]))
}

var workloads = []string{"alpha", "beta", "gamma"}

// change asks for something at random and keeps book of what was acknowledged.
func (c *chaos) change(ctx context.Context, random *rand.Rand) {
	name := workloads[random.IntN(len(workloads))]
	replicas := 1 + random.IntN(4)
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	key := fmt.Sprintf("%s-%d", name, random.Uint64())
	var result api.Result
	var err error
	switch random.IntN(6) {
	case 0:
		replicas = 0
		result, err = c.api.Delete(ctx, spec.DefaultNamespace, name, client.Options{IdempotencyKey: key})
	case 1, 2:
		result, err = c.api.Apply(ctx, document(c.t, name, replicas), client.Options{IdempotencyKey: key})
	default:
		result, err = c.api.Scale(ctx, spec.DefaultNamespace, name, replicas, client.Options{IdempotencyKey: key})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var problem *api.Problem
	switch {
	case err == nil:
		c.acked = append(c.acked, key)
		c.wished[name], c.unsure[name] = replicas, result.Verdict == api.VerdictPending
	case errors.As(err, &problem) && problem.Status < 500:
		// Rejected: nothing to scale or delete, or a workload that is being deleted.
	default:
		c.unsure[name] = true
	}
}

func document(t *testing.T, name string, replicas int) spec.Workload {
	t.Helper()
	image, err := spec.ParseImage(registry + "/web:1")
	if err != nil {
		t.Fatal(err)
	}
	w := spec.Workload{
		APIVersion: spec.APIVersion, Kind: spec.KindWorkload, Metadata: spec.Metadata{Name: name},
		Spec: spec.WorkloadSpec{
			Replicas: &replicas, GracePeriod: spec.Duration(time.Second),
			Containers: []spec.Container{{Name: "web", Image: image, Resources: spec.Requirements{Limits: spec.Resources{Memory: 32 << 20}}}},
		},
	}
	w.Default()
	return w
}

// TestEverythingDiesInTurn: every kind of process is killed outright at a random moment under a stream of apply, scale and delete. At the end what runs
// is exactly what the log says, nothing is doubled, every acknowledged command has its outcome, and all services hold the same state.
func TestEverythingDiesInTurn(t *testing.T) {
	t.Logf("seed %d", *seed)
	c := &chaos{
		t: t, cluster: start(t, cluster.Options{Servers: 3, Nodes: 3}), random: rand.New(rand.NewPCG(*seed, 1)),
		wished: map[string]int{}, unsure: map[string]bool{},
	}
	var err error
	if c.api, err = c.cluster.Client(); err != nil {
		t.Fatal(err)
	}
	changing, stop := context.WithCancel(t.Context())
	var stream sync.WaitGroup
	stream.Go(func() {
		random := rand.New(rand.NewPCG(*seed, 2))
		for changing.Err() == nil {
			c.change(changing, random)
			// The pace of the stream, not a wait for anything.
			pause(changing, time.Duration(random.IntN(300))*time.Millisecond)
		}
	})
	order := slices.Clone(kills)
	c.random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for _, k := range order {
		pause(t.Context(), time.Duration(500+c.random.IntN(2000))*time.Millisecond)
		t.Logf("kill -9 %s", k.what)
		if err := k.do(c); err != nil {
			t.Errorf("kill %s: %v", k.what, err)
		}
	}
	stop()
	stream.Wait()
	c.checkOutcomes() // first: a command that a killed reconciler had in hand is decided when it is delivered again
	c.settle()
	c.checkContainers()
	c.checkStates()
	if out, err := c.cluster.CLI(t.Context(), "replay", "--verify"); err != nil {
		t.Errorf("replay: %v\n%s", err, out)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// settle waits until every workload is as wished for, all nodes are back and nothing is on its way.
func (c *chaos) settle() {
	c.t.Helper()
	err := cluster.Until(c.t.Context(), 3*time.Minute, "quiet", func(ctx context.Context) error {
		nodes, err := c.api.Nodes(ctx, client.Selection{})
		if err != nil {
			return err
		}
		for _, n := range nodes.Items {
			if n.State != "Ready" {
				return fmt.Errorf("%s is %s (%s)", n.Name, n.State, n.Message)
			}
		}
		list, err := c.api.Workloads(ctx, client.Selection{})
		if err != nil {
			return err
		}
		for _, w := range list.Items {
			if w.Status.State != api.WorkloadReady {
				return fmt.Errorf("%s is %s: %s", w.Metadata.Name, w.Status.State, w.Status.Message)
			}
			c.mu.Lock()
			want, unsure := c.wished[w.Metadata.Name], c.unsure[w.Metadata.Name]
			c.mu.Unlock()
			if !unsure && w.Status.Wished != want {
				return fmt.Errorf("%s wishes for %d, and %d were acknowledged last", w.Metadata.Name, w.Status.Wished, want)
			}
		}
		instances, err := c.api.Instances(ctx, client.Selection{})
		if err != nil {
			return err
		}
		for _, i := range instances.Items {
			if !i.Wished && !i.Retired {
				return fmt.Errorf("%s is %s: %s", i.Name, i.Phase, i.Reason)
			}
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// checkContainers holds what the kernel runs against what the log says.
func (c *chaos) checkContainers() {
	c.t.Helper()
	err := cluster.Until(c.t.Context(), 30*time.Second, "the kernel and the log to agree", func(ctx context.Context) error {
		list, err := c.api.Instances(ctx, client.Selection{})
		if err != nil {
			return err
		}
		want, got := []string{}, []string{}
		for _, i := range list.Items {
			if i.Wished {
				want = append(want, fmt.Sprintf("%s/%s on %s pid %d", i.Namespace, i.Name, i.Node, i.Containers[0].PID))
			}
		}
		for _, n := range c.cluster.Nodes {
			for _, r := range n.Running() {
				got = append(got, fmt.Sprintf("%s on %s pid %d", r.Instance, n.Name, r.PID))
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("the kernel runs %q, the log says %q", got, want)
		}
		return nil
	})
	if err != nil {
		c.t.Error(err)
	}
}

// checkOutcomes waits until every acknowledged command has its outcome. That takes as long as a command may be in the hand of a process that is
// dead: until then it is not delivered again, and a gateway that was killed does not know it.
func (c *chaos) checkOutcomes() {
	c.t.Helper()
	if len(c.acked) == 0 {
		c.t.Error("nothing was acknowledged: the test shows nothing")
	}
	for _, id := range c.acked {
		err := cluster.Until(c.t.Context(), 3*time.Minute, "the outcome of "+id, func(ctx context.Context) error {
			o, err := c.api.Operation(ctx, id)
			if err == nil && o.State == api.OperationPending {
				err = fmt.Errorf("operation %s is %s", id, o.State)
			}
			return err
		})
		if err != nil {
			c.t.Errorf("acknowledged command %s has no outcome: %v", id, err)
		}
	}
	c.t.Logf("%d commands were acknowledged, each has its outcome", len(c.acked))
}

// checkStates holds the services' states against each other, at one sequence.
func (c *chaos) checkStates() {
	c.t.Helper()
	err := cluster.Until(c.t.Context(), 30*time.Second, "all services to be at one sequence", func(ctx context.Context) error {
		states := map[string]cluster.State{}
		for name := range c.cluster.Services {
			s, err := c.cluster.State(ctx, name)
			if err != nil {
				return err
			}
			states[name] = s
		}
		for name, s := range states {
			if s != states["gateway"] {
				return fmt.Errorf("%s is at %+v, the gateway at %+v", name, s, states["gateway"])
			}
		}
		c.t.Logf("all at %+v", states["gateway"])
		return nil
	})
	if err != nil {
		c.t.Error(err)
	}
}
