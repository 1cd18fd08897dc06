package main

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/boot"
	"github.com/rutter-run/rutter/projections/snapshot"
	"github.com/rutter-run/rutter/services/nodehealth"
	"github.com/rutter-run/rutter/services/reconciler"
	"github.com/rutter-run/rutter/services/scheduler"
)

// decider is a service that decides, as far as its process is concerned.
type decider interface {
	Run(context.Context) error
	State() (sequence uint64, hash string)
	Ready() error
}

// deciderParts is what a decider is made of.
type deciderParts struct {
	client  *jetstream.Client
	log     *logrus.Entry
	metrics prometheus.Registerer
	lease   bool
	holder  string
	keep    *snapshot.Schedule // when to write snapshots; nil: never
}

// deciderFlags are the settings of a process that runs one decider.
type deciderFlags struct {
	nats   natsFlags
	health healthFlags
	lease  bool
	holder string
	keep   *snapshot.Schedule // nil: this one writes no snapshots
}

func (f *deciderFlags) define(flags *pflag.FlagSet) {
	f.nats.define(flags, true)
	f.health.define(flags, "serve /livez, /readyz, /metrics and /state here, such as 127.0.0.1:7490")
	flags.StringVar(&f.holder, "holder", hostName(), "who this is in the lease; started again under the same name it leads at once, so give two on one host two names")
	flags.BoolVar(&f.lease, "lease", true, "decide only while holding the service's lease; without it two may decide at once, which is safe and wasteful")
}

// metrics makes a process's registry.
func metrics() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// serve runs a decider with its health until ctx is done. beside, which may be nil, runs with it.
func (f *deciderFlags) serve(ctx context.Context, p *process, user string, build func(deciderParts) (decider, error), beside func(context.Context, *nats.Conn, decider) error) error {
	if err := f.health.check(); err != nil {
		return err
	}
	nc, client, err := f.nats.connect(ctx, p, user)
	if err != nil {
		return err
	}
	defer nc.Close()
	registry := metrics()
	d, err := build(deciderParts{client: client, log: p.log, metrics: registry, lease: f.lease, holder: f.holder, keep: f.keep})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.Run(ctx) })
	group.Go(func() error {
		return f.health.serve(ctx, boot.Health{Ready: d.Ready, State: d.State, Registry: registry})
	})
	if beside != nil {
		group.Go(func() error { return beside(ctx, nc, d) })
	}
	p.log.Info("started")
	err = group.Wait()
	p.log.Info("stopped")
	return unlessCanceled(err)
}

// unlessCanceled drops the error of an orderly end.
func unlessCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func buildReconciler(d deciderParts) (decider, error) {
	return reconciler.New(reconciler.Config{
		Log: d.client.Log(), Commands: d.client.Commands(), Leases: d.client.Leases(), LeaderLease: d.lease, Holder: d.holder,
		Logger: d.log, Metrics: d.metrics, Snapshots: d.client.Snapshots(), Keep: d.keep, Fingerprints: d.client.Fingerprints(),
	})
}

// buildScheduler makes a scheduler that decides by the policy in a file; by the built-in one where none is named.
func buildScheduler(file string) func(deciderParts) (decider, error) {
	return func(d deciderParts) (decider, error) {
		policy, err := readPolicy(file)
		if err != nil {
			return nil, err
		}
		return scheduler.New(scheduler.Config{
			Log: d.client.Log(), Leases: d.client.Leases(), LeaderLease: d.lease, Holder: d.holder, Logger: d.log, Metrics: d.metrics,
			Snapshots: d.client.Snapshots(), Fingerprints: d.client.Fingerprints(), Policy: policy,
		})
	}
}

func policyFlag(file *string, flags *pflag.FlagSet) {
	flags.StringVar(file, "scheduling-policy", "", "file (YAML or JSON) with the scheduler's policy; the built-in one where empty")
}

func buildNodeHealth(timing nodehealth.Timing) func(deciderParts) (decider, error) {
	return func(d deciderParts) (decider, error) {
		return nodehealth.New(nodehealth.Config{
			Log: d.client.Log(), Commands: d.client.Commands(), Heartbeats: d.client.Heartbeats(), Leases: d.client.Leases(),
			LeaderLease: d.lease, Holder: d.holder, Timing: timing, Logger: d.log, Metrics: d.metrics,
			Snapshots: d.client.Snapshots(), Fingerprints: d.client.Fingerprints(),
		})
	}
}

func timingFlags(t *nodehealth.Timing, flags *pflag.FlagSet) {
	*t = nodehealth.Timing{}.Default()
	flags.DurationVar(&t.Interval, "heartbeat-interval", t.Interval, "between two pulses of a node")
	flags.DurationVar(&t.SuspectAfter, "suspect-after", t.SuspectAfter, "silence until a node gets no new work")
	flags.DurationVar(&t.LostAfter, "lost-after", t.LostAfter, "silence until a node's instances are replaced elsewhere; raise it where machines stall")
	flags.DurationVar(&t.AllSilentAfter, "all-silent-after", t.AllSilentAfter, "the same where all nodes fell silent at once")
}

// snapshotFlags say when the reconciler that leads writes snapshots.
func snapshotFlags(s *snapshot.Schedule, flags *pflag.FlagSet) {
	*s = snapshot.Schedule{}.Default()
	flags.Uint64Var(&s.Events, "snapshot-events", s.Events, "take a snapshot of the state after so many events")
	flags.DurationVar(&s.Interval, "snapshot-interval", s.Interval, "and after so long, where a thousand events or more have come")
	flags.IntVar(&s.Ladder.Newest, "snapshots-newest", s.Ladder.Newest, "newest snapshots kept of each projection version")
	flags.IntVar(&s.Ladder.Rungs, "snapshots-older", s.Ladder.Rungs, "older ones kept, spread evenly over the log: more of them make reading the past faster")
}

func newReconcilerCommand() *cobra.Command {
	f := &deciderFlags{keep: &snapshot.Schedule{}}
	define := func(flags *pflag.FlagSet) {
		f.define(flags)
		snapshotFlags(f.keep, flags)
	}
	return newServerCommand("reconciler", "Run a reconciler: wished state into instances", "", define, func(ctx context.Context, p *process) error {
		return f.serve(ctx, p, events.ServiceReconciler, buildReconciler, nil)
	})
}

func newSchedulerCommand() *cobra.Command {
	f, policy := &deciderFlags{}, ""
	define := func(flags *pflag.FlagSet) {
		f.define(flags)
		policyFlag(&policy, flags)
	}
	return newServerCommand("scheduler", "Run a scheduler: instances onto nodes", "", define, func(ctx context.Context, p *process) error {
		return f.serve(ctx, p, events.ServiceScheduler, buildScheduler(policy), nil)
	})
}

func newNodeHealthCommand() *cobra.Command {
	f, timing := &deciderFlags{}, &nodehealth.Timing{}
	define := func(flags *pflag.FlagSet) {
		f.define(flags)
		timingFlags(timing, flags)
	}
	return newServerCommand("node-health", "Run a node-health: who is there, and who is lost", "", define, func(ctx context.Context, p *process) error {
		doorkeeper := f.nats
		doorkeeper.creds = "" // the door has its own
		open := func(ctx context.Context) (*nats.Conn, *jetstream.Client, error) {
			return doorkeeper.connect(ctx, p, auth.UserDoor)
		}
		return f.serve(ctx, p, events.ServiceNodeHealth, buildNodeHealth(*timing), keepDoor(f.nats.keys, open, p.log))
	})
}
