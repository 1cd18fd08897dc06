package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/services/nodehealth"
	"github.com/rutter-run/rutter/services/reconciler"
	"github.com/rutter-run/rutter/services/scheduler"
	"golang.org/x/sync/errgroup"
)

// world is everything outside the services.
type world struct {
	t          *testing.T
	seed       uint64
	log        *memlog.Log
	commands   *memlog.Commands
	heartbeats *memlog.Heartbeats
	leases     *memlog.Leases
	elect      bool        // services hold leases; without them all instances of a service decide at once
	troubled   atomic.Bool // faults are injected
	down       atomic.Bool // the log takes no writes

	mu       sync.Mutex
	rng      *rand.Rand // of the faults
	running  map[string]map[events.InstanceKey]spec.InstanceSpec
	problems []string

	fates map[string][]events.Payload // by name of an instance: what its agent reports of it
}

// fault notes a broken promise.
func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.problem(format, args...)
}

func (w *world) problem(format string, args ...any) {
	if len(w.problems) < 10 {
		w.problems = append(w.problems, fmt.Sprintf(format, args...))
	}
}

// chance is true once in n times, while there is trouble.
func (w *world) chance(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.troubled.Load() && w.rng.IntN(n) == 0
}

func (w *world) within(most time.Duration) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Duration(w.rng.Int64N(int64(most)))
}

// starts notes that containers of an instance really run on a machine, and checks that the machine can bear it.
func (w *world) starts(machine string, capacity spec.Resources, a ledger.AssignedV2) {
	w.mu.Lock()
	defer w.mu.Unlock()
	on := w.running[machine]
	if on == nil {
		on = map[events.InstanceKey]spec.InstanceSpec{}
		w.running[machine] = on
	}
	on[a.Instance] = a.Spec
	var sum spec.Resources
	ports := map[string]events.InstanceKey{}
	for k, s := range on {
		sum = sum.Add(s.Requests())
		for _, p := range s.HostPorts() {
			name := projections.PortName(p.Protocol, p.HostPort)
			if other, taken := ports[name]; taken {
				w.problem("%s: %s and %s really share host port %s", machine, k, other, name)
			}
			ports[name] = k
		}
	}
	if short := capacity.Short(sum); len(short) > 0 {
		w.problem("%s really runs more than it can bear: %v", machine, short)
	}
}

func (w *world) stops(machine string, k events.InstanceKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running[machine], k)
}

// newWorld makes the world of a seed.
func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), running: map[string]map[events.InstanceKey]spec.InstanceSpec{}}
	w.elect = seed%2 == 0
	w.troubled.Store(true)
	f := memlog.Faults{
		Append: func(ctx context.Context, _ events.Batch, store func() (uint64, error)) (uint64, error) {
			switch {
			case w.down.Load():
				return 0, fmt.Errorf("no leader: %w", events.ErrUnavailable)
			case w.chance(40):
				return 0, fmt.Errorf("injected: %w", events.ErrConflict)
			case w.chance(40):
				return 0, fmt.Errorf("injected: %w", events.ErrBusy)
			case w.chance(40):
				return 0, fmt.Errorf("injected, not stored: %w", events.ErrUnknown)
			case w.chance(40):
				_, _ = store()
				return 0, fmt.Errorf("injected, stored: %w", events.ErrUnknown)
			case w.chance(40):
				_, _ = store()
				return store()
			case w.chance(4):
				sleep(ctx, w.within(50*time.Millisecond))
			}
			return store()
		},
		Deliver: func(events.Command, int) int {
			switch {
			case w.chance(15):
				return 2
			case w.chance(15):
				return 0
			}
			return 1
		},
		Follow: func(ctx context.Context, _ events.Event) {
			if w.chance(10) {
				sleep(ctx, w.within(40*time.Millisecond))
			}
		},
		Beat: func(events.Heartbeat) bool { return w.chance(20) },
	}
	w.log = memlog.New(catalog.New(), memlog.WithFaults(f))
	w.commands = memlog.NewCommands(catalog.New(), f)
	w.heartbeats, w.leases = memlog.NewHeartbeats(f), memlog.NewLeases(0, f)
	return w
}

// service is one running process of a service.
type service struct {
	loop *decider.Loop
	run  func(context.Context) error
}

func (w *world) start(name, holder string) service {
	var s service
	var err error
	switch name {
	case events.ServiceReconciler:
		var r *reconciler.Service
		r, err = reconciler.New(reconciler.Config{Log: w.log, Commands: w.commands, Leases: w.leases, LeaderLease: w.elect, Holder: holder})
		if err == nil {
			s = service{r.Loop, r.Run}
		}
	case events.ServiceScheduler:
		var r *scheduler.Service
		r, err = scheduler.New(scheduler.Config{Log: w.log, Leases: w.leases, LeaderLease: w.elect, Holder: holder})
		if err == nil {
			s = service{r.Loop, r.Run}
		}
	case events.ServiceNodeHealth:
		var r *nodehealth.Service
		r, err = nodehealth.New(nodehealth.Config{
			Log: w.log, Commands: w.commands, Heartbeats: w.heartbeats, Leases: w.leases, LeaderLease: w.elect, Holder: holder,
		})
		if err == nil {
			s = service{r.Loop, r.Run}
		}
	}
	if err != nil {
		panic(err)
	}
	return s
}

// keep runs a service process after process until ctx is done: while there is trouble each is killed at some moment. The last one is
// handed to last when the trouble is over.
func (w *world) keep(ctx context.Context, name, holder string, rng *rand.Rand, last func(service)) {
	for life := 0; ctx.Err() == nil; life++ {
		s := w.start(name, fmt.Sprintf("%s-%d", holder, life))
		living, kill := context.WithCancel(ctx)
		if w.troubled.Load() {
			go func() {
				if !sleep(living, time.Duration(rng.Int64N(int64(40*time.Second)))) {
					return
				}
				if w.troubled.Load() {
					kill()
				}
			}()
		}
		last(s)
		_ = s.run(living)
		kill()
		sleep(ctx, time.Duration(rng.Int64N(int64(3*time.Second))))
	}
}

// node keeps one machine: its agent is restarted, the machine dies and comes back, with or without its disk, or leaves and joins again.
func (w *world) node(ctx context.Context, a *agent, rng *rand.Rand) {
	for life := 0; ctx.Err() == nil; life++ {
		living, kill := context.WithCancel(ctx)
		var g errgroup.Group
		g.Go(func() error {
			a.live(living, fmt.Sprintf("life%d", life))
			return nil
		})
		for w.troubled.Load() && sleep(living, time.Duration(rng.Int64N(int64(30*time.Second)))) {
			if rng.IntN(2) == 0 {
				break
			}
		}
		if !w.troubled.Load() {
			<-ctx.Done()
		}
		kill()
		_ = g.Wait()
		switch rng.IntN(4) {
		case 0: // only the agent restarts: the containers go on
		case 1:
			a.die(false)
		case 2:
			a.die(true)
		case 3:
			a.die(true)
			id := fmt.Sprintf("leave-%s-%d", a.name, life)
			_ = w.commands.Send(ctx, events.Command{
				ID: id, Subject: events.NodeCommand(a.name), Actor: "user:op", Time: time.Now(), Data: node.LeaveV1{Message: "simulated"},
			})
			// The operator waits for the outcome: a leave that comes after the node has joined again takes it out again.
			for !w.decided(ctx, events.ServiceNodeHealth, id) && sleep(ctx, 100*time.Millisecond) {
			}
		}
		sleep(ctx, time.Duration(rng.Int64N(int64(8*time.Second))))
	}
}

func (w *world) decided(ctx context.Context, service, id string) (found bool) {
	_ = w.log.Read(ctx, events.CommandSubject(service), 1, func(e events.Event) error {
		found = found || e.ID == events.OutcomeID(id)
		return nil
	})
	return found
}

// people send commands at random.
func (w *world) people(ctx context.Context, rng *rand.Rand) {
	for n := 0; w.troubled.Load() && sleep(ctx, time.Duration(rng.Int64N(int64(4*time.Second)))); n++ {
		name := []string{"web", "api", "db"}[rng.IntN(3)]
		c := events.Command{
			ID: fmt.Sprintf("cmd-%d", n), Subject: events.WorkloadCommand("default", name), Actor: "user:ada", Time: time.Now(),
		}
		switch rng.IntN(10) {
		case 0:
			c.Data = workload.DeleteV1{}
		case 1, 2:
			c.Data = workload.ScaleV1{Replicas: rng.IntN(6)}
		case 3:
			c.Data = workload.RolloutV1{Action: workload.RolloutActions[rng.IntN(len(workload.RolloutActions))]}
		default:
			c.Data = workload.ApplyV1{Workload: document(name, rng)}
		}
		for w.commands.Send(ctx, c) != nil {
			if !sleep(ctx, 100*time.Millisecond) {
				return
			}
		}
		if rng.IntN(4) == 0 { // the client did not hear back and asks again
			_ = w.commands.Send(ctx, c)
		}
	}
}

// operators cordon and drain machines at random, and always give them back.
func (w *world) operators(ctx context.Context, rng *rand.Rand) {
	ask := func(id, name string, data events.Payload) {
		c := events.Command{ID: id, Subject: events.NodeCommand(name), Actor: "user:op", Time: time.Now(), Data: data}
		for w.commands.Send(ctx, c) != nil && sleep(ctx, 100*time.Millisecond) {
		}
	}
	for n := 0; w.troubled.Load() && sleep(ctx, time.Duration(rng.Int64N(int64(20*time.Second)))); n++ {
		name, id := fmt.Sprintf("n%d", rng.IntN(4)), fmt.Sprintf("op-%d", n)
		switch rng.IntN(3) {
		case 0:
			ask(id, name, node.CordonV1{})
		case 1:
			ask(id, name, node.DrainV1{})
		default:
			ask(id, name, node.DrainV1{Within: spec.Duration(time.Duration(rng.Int64N(int64(15 * time.Second))))})
		}
		for !w.decided(ctx, events.ServiceNodeHealth, id) && sleep(ctx, 100*time.Millisecond) {
		}
		sleep(ctx, time.Duration(rng.Int64N(int64(30*time.Second))))
		ask(id+"-back", name, node.UncordonV1{})
		for !w.decided(ctx, events.ServiceNodeHealth, id+"-back") && sleep(ctx, 100*time.Millisecond) {
		}
	}
}

// weather takes the log down now and then, as an election does.
func (w *world) weather(ctx context.Context, rng *rand.Rand) {
	for w.troubled.Load() && sleep(ctx, time.Duration(rng.Int64N(int64(60*time.Second)))) {
		w.down.Store(w.troubled.Load())
		sleep(ctx, time.Duration(rng.Int64N(int64(7*time.Second))))
		w.down.Store(false)
	}
	w.down.Store(false)
}

func document(name string, rng *rand.Rand) spec.Workload {
	replicas := rng.IntN(6)
	c := spec.Container{
		Name: "main", Image: spec.ImageRef{Registry: "docker.io", Repository: "library/" + name, Tag: fmt.Sprintf("v%d", rng.IntN(3))},
		Resources: spec.Requirements{Requests: spec.Resources{CPU: spec.CPU(100 * (1 + rng.IntN(12))), Memory: spec.Bytes(64<<20) * spec.Bytes(1+rng.IntN(8))}},
	}
	if name == "web" {
		c.Ports = []spec.Port{{ContainerPort: 80, HostPort: 8080, Protocol: spec.TCP}}
	}
	if name == "db" {
		c.Resources.Requests.GPU = spec.Device
	}
	priority := spec.PriorityNormal
	if name == "api" {
		priority = []spec.Priority{spec.PriorityLow, spec.PriorityNormal, spec.PriorityHigh}[replicas%3]
	}
	w := spec.Workload{
		APIVersion: spec.APIVersion, Kind: spec.KindWorkload, Metadata: spec.Metadata{Name: name, Namespace: "default"},
		Spec: spec.WorkloadSpec{Replicas: &replicas, Containers: []spec.Container{c}, RestartPolicy: spec.RestartNever, Priority: priority},
	}
	w.Spec.Strategy = strategies[rng.IntN(len(strategies))]
	if w.Spec.Strategy != nil {
		own := *w.Spec.Strategy
		w.Spec.Strategy = &own
	}
	w.Default()
	return w
}

// strategies are what workloads are rolled out by. None pauses by itself or waits for somebody: at quiet all has to be over.
var strategies = []*spec.Strategy{
	nil, {MaxUnavailable: "2"}, {MaxSurge: "1"}, {MaxSurge: "50%", MaxUnavailable: "25%"}, {Type: spec.Recreate},
	{MaxSurge: "2", ProgressDeadline: spec.Duration(30 * time.Second)}, {Type: spec.Canary, MaxSurge: "1", ProgressDeadline: spec.Duration(time.Minute)},
}
