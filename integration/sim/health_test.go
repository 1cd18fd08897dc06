package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/follow"
	"github.com/rutter-run/rutter/projections/projectionstest"
)

// calm is a small cluster without faults in virtual time: one of each service, elected, and a few machines.
type calm struct {
	*world
	t        *testing.T
	ctx      context.Context
	running  sync.WaitGroup
	follower *follow.Follower
	machines map[string]func() // how to pull the plug
}

func newCalm(t *testing.T, machines int) (c *calm, end func()) {
	w := newWorld(t, 2) // even: leases
	w.troubled.Store(false)
	ctx, cancel := context.WithCancel(t.Context())
	c = &calm{world: w, t: t, ctx: ctx, follower: follow.New(w.log), machines: map[string]func(){}}
	c.running.Go(func() { _ = c.follower.Run(ctx) })
	for _, name := range []string{events.ServiceReconciler, events.ServiceScheduler, events.ServiceNodeHealth} {
		s := w.start(name, "a")
		c.running.Go(func() { _ = s.run(ctx) })
	}
	for n := range machines {
		name := fmt.Sprintf("n%d", n)
		a := newAgent(w, name, spec.Resources{CPU: 4000, Memory: 4 << 30}, uint64(n))
		living, kill := context.WithCancel(ctx)
		c.machines[name] = kill
		c.running.Go(func() { a.live(living, "1") })
	}
	return c, func() { cancel(); c.running.Wait() }
}

func (c *calm) await(done func(*projections.Cluster) bool) {
	c.t.Helper()
	await(c.t, c.ctx, c.follower, done)
}

func (c *calm) ready(n int) {
	c.t.Helper()
	c.await(func(view *projections.Cluster) bool {
		ready := 0
		for i := range view.Instances() {
			if i.Phase == spec.PhaseReady && i.Wished() {
				ready++
			}
		}
		return ready == n
	})
}

func (c *calm) apply(replicas int) {
	c.t.Helper()
	send(c.t, c.world, events.WorkloadCommand("default", "web"), workload.ApplyV1{Workload: projectionstest.Document("web", replicas)})
}

// judgements counts what was said of nodes' health.
func (c *calm) judgements() (suspected, lost int) {
	last, _ := c.log.Last(c.ctx)
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	_ = c.log.Follow(ctx, 1, func(e events.Event, _ uint64) error {
		switch e.Data.(type) {
		case node.SuspectedV1:
			suspected++
		case node.LostV1:
			lost++
		}
		if e.Sequence == last {
			cancel()
		}
		return nil
	})
	return suspected, lost
}

func TestWhatADeadNodeRanRunsElsewhereWithinThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, end := newCalm(t, 3)
		defer end()
		c.apply(3)
		c.ready(3)
		time.Sleep(20 * time.Second)
		c.machines["n1"]()
		died := time.Now()
		c.await(func(view *projections.Cluster) bool {
			ready := 0
			for i := range view.Instances() {
				if i.Phase == spec.PhaseReady && i.Wished() && i.Node != "n1" {
					ready++
				}
			}
			return ready == 3
		})
		if took := time.Since(died); took > 3*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestTheOnlyNodeIsFoundDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, end := newCalm(t, 1)
		defer end()
		c.apply(1)
		c.ready(1)
		c.machines["n0"]()
		c.await(func(view *projections.Cluster) bool {
			n, _ := view.Node("n0")
			return n.Health == projections.Lost
		})
	})
}

func TestAnElectionOfTheLogLosesNoNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, end := newCalm(t, 3)
		defer end()
		c.apply(3)
		c.ready(3)
		c.down.Store(true)
		time.Sleep(9 * time.Second)
		c.down.Store(false)
		time.Sleep(20 * time.Second)
		if suspected, lost := c.judgements(); suspected+lost > 0 {
			t.Errorf("%d nodes were suspected and %d lost while only the log was away", suspected, lost)
		}
	})
}

func TestANewNodeHealthGivesEverybodyAFreshPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, end := newCalm(t, 2)
		defer end()
		c.apply(2)
		c.ready(2)
		// A twin that stood by for long without a pulse of its own being needed, and is elected while nodes beat.
		s := c.start(events.ServiceNodeHealth, "b")
		c.running.Go(func() { _ = s.run(c.ctx) })
		time.Sleep(2 * events.LeaseTTL)
		if suspected, lost := c.judgements(); suspected+lost > 0 {
			t.Errorf("%d suspected, %d lost", suspected, lost)
		}
	})
}

func TestTheRouteFromACommandToARunIsOneChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, end := newCalm(t, 2)
		defer end()
		c.apply(1)
		c.ready(1)
		time.Sleep(10 * time.Second)
		c.machines[instanceNode(c.follower.View())]()
		c.await(func(view *projections.Cluster) bool {
			i, ok := view.Instance(projectionstest.Key("web", 0, 2))
			return ok && i.Phase == spec.PhaseReady
		})
		byID := map[string]events.Event{}
		last, _ := c.log.Last(c.ctx)
		ctx, cancel := context.WithCancel(c.ctx)
		var started events.Event
		_ = c.log.Follow(ctx, 1, func(e events.Event, _ uint64) error {
			byID[e.ID] = e
			if e.Subject.Instance() == projectionstest.Key("web", 0, 2) && e.Subject.Aggregate() == events.AggregateReport {
				started = e
			}
			if e.Sequence >= last {
				cancel()
			}
			return nil
		})
		var route []string
		for e, ok := started, true; ok && len(route) < 20; e, ok = byID[e.Causation] {
			route = append(route, string(e.Subject.Aggregate())+" "+shortType(e.Type))
		}
		// It started because it was assigned, because it was requested, because a node was lost, … because an agent asked to join.
		want := []string{
			"report started", "ledger assigned", "instance requested", "node lost", "node suspected", "node ready", "node joined", "command accepted",
		}
		if !slices.Equal(route, want) {
			t.Fatalf("the route is %v, want %v", route, want)
		}
	})
}

func instanceNode(view *projections.Cluster) string {
	i, _ := view.Instance(projectionstest.Key("web", 0, 1))
	return i.Node
}

// shortType is the aggregate's verb in a wire type such as run.rutter.node.lost.v1.
func shortType(wireType string) string {
	words := strings.Split(wireType, ".")
	return words[len(words)-2]
}
