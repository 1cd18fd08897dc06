package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/agentd"
	rt "github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/boot"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
	"github.com/rutter-run/rutter/projections/snapshot"
	"github.com/rutter-run/rutter/services/nodehealth"
)

// upFlags are the settings of a whole cluster in one process.
type upFlags struct {
	data   string
	from   string
	only   bool // read-only
	port   int
	health healthFlags
	timing nodehealth.Timing
	policy string // file
	keep   snapshot.Schedule
	agent  agentFlags
	audit  auditorFlags
	door   gatewayFlags
}

func newUpCommand() *cobra.Command {
	f := &upFlags{}
	define := func(flags *pflag.FlagSet) {
		flags.StringVar(&f.data, "data-dir", dataDir(), "where everything is kept")
		flags.StringVar(&f.from, "from", "", "show the log of this export, or of a directory of segments, instead of a cluster; with --read-only")
		flags.BoolVar(&f.only, "read-only", false, "with --from: nothing is decided and nothing can be changed")
		flags.IntVar(&f.port, "nats-port", 4222, "of the embedded NATS server, on loopback")
		f.health.define(flags, "serve the reconciler's /livez, /readyz, /metrics and /state here")
		timingFlags(&f.timing, flags)
		policyFlag(&f.policy, flags)
		snapshotFlags(&f.keep, flags)
		f.agent.define(flags)
		f.audit.define(flags)
		f.door.define(flags)
	}
	long := `Run a whole cluster of one node in this process: the log, every service and an agent, all on loopback, with credentials of their own.

Ctrl-C ends it and leaves the containers running; the next up takes them back. Containers need root; --runtime sim does not.

With --from FILE --read-only there is no cluster: only a gateway over the log of an export, for study. get, why, history, events, diff, bisect, at any moment,
work as they did where it comes from.`
	return newServerCommand("up", "Run a whole cluster of one node in this process", long, define, f.run)
}

func (f *upFlags) run(ctx context.Context, p *process) error {
	if f.from != "" || f.only {
		return f.study(ctx, p)
	}
	if err := errors.Join(f.door.check(), f.health.check()); err != nil {
		return err
	}
	f.agent.data, f.agent.heartbeat = filepath.Join(f.data, "node"), f.timing.Interval
	for _, dir := range []string{f.data, f.agent.data} { // the node's may be that of an agent of its own
		release, err := boot.LockDir(dir, "up")
		if err != nil {
			return err
		}
		defer release()
	}
	keys, clientFile := filepath.Join(f.data, "keys"), filepath.Join(f.data, "client.json")
	if err := initDeployment(keys, nil, f.door.url(), clientFile); err != nil {
		return err
	}
	r, err := f.agent.runtime.build(f.agent.data, p.log.WithField("service", "agentd"))
	if err != nil {
		return err
	}
	defer closeRuntime(r, p.log)
	quiet := p.log.WithField("service", "nats")
	server, err := startServer(&natsserver.Config{Dir: filepath.Join(f.data, "nats"), Name: "up", Port: f.port, Log: quiet}, keys)
	if err != nil {
		return err
	}
	defer server.Stop()
	if err := setUpStreams(ctx, server.URL(), keys, nil, jetstream.StreamOptions{}, quiet); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return keepRoom(ctx, server, keys, nil, jetstream.StreamOptions{}, quiet) })
	u := &upParts{flags: f, process: p, group: group, url: server.URL(), keys: keys}
	for _, start := range []func(context.Context) error{u.deciders, u.gateway, u.node(r)} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	group.Go(func() error { return u.announce(ctx) })
	err = group.Wait()
	p.log.Info("stopped; the containers go on running")
	return unlessCanceled(err)
}

// upParts is what the parts of one process share.
type upParts struct {
	flags    *upFlags
	process  *process
	group    *errgroup.Group
	url      string
	keys     string
	door     *gateway
	agent    *agentd.Agent
	deciding []decider
}

func (u *upParts) log(service string) *logrus.Entry {
	return u.process.log.WithField("service", service)
}

func (u *upParts) connect(ctx context.Context, user string) (*nats.Conn, *jetstream.Client, error) {
	f := natsFlags{urls: []string{u.url}, keys: u.keys}
	nc, client, err := f.connect(ctx, &process{log: u.log(user)}, user)
	if err != nil {
		return nil, nil, err
	}
	context.AfterFunc(ctx, func() {
		// The services end first and say goodbye: leases are given up over this connection.
		time.AfterFunc(2*time.Second, nc.Close)
	})
	return nc, client, nil
}

func (u *upParts) deciders(ctx context.Context) error {
	open := func(ctx context.Context) (*nats.Conn, *jetstream.Client, error) { return u.connect(ctx, auth.UserDoor) }
	for _, s := range []struct {
		user   string
		build  func(deciderParts) (decider, error)
		beside func(context.Context, *nats.Conn, decider) error
	}{
		{events.ServiceReconciler, buildReconciler, nil},
		{events.ServiceScheduler, buildScheduler(u.flags.policy), nil},
		{events.ServiceNodeHealth, buildNodeHealth(u.flags.timing), keepDoor(u.keys, open, u.log(events.ServiceNodeHealth))},
		{events.ServiceAuditor, u.flags.audit.build(func() string { return u.keys }), nil},
	} {
		nc, client, err := u.connect(ctx, s.user)
		if err != nil {
			return err
		}
		// A lease would only make the next start wait for the last one's to run out: there is one of each in one process.
		d, err := s.build(deciderParts{client: client, log: u.log(s.user), metrics: nil, lease: false, holder: hostName(), keep: &u.flags.keep})
		if err != nil {
			return err
		}
		u.deciding = append(u.deciding, d)
		u.group.Go(func() error { return d.Run(ctx) })
		if s.beside != nil {
			u.group.Go(func() error { return s.beside(ctx, nc, d) })
		}
	}
	health := boot.Health{Ready: u.deciding[0].Ready, State: u.deciding[0].State, Registry: metrics()}
	u.group.Go(func() error { return u.flags.health.serve(ctx, health) })
	return nil
}

func (u *upParts) gateway(ctx context.Context) error {
	nc, client, err := u.connect(ctx, events.ServiceGateway)
	if err != nil {
		return err
	}
	door, err := u.flags.door.build(gatewayParts{nc: nc, client: client, log: u.log(events.ServiceGateway), keys: u.keys})
	if err != nil {
		return err
	}
	u.door = door
	u.group.Go(func() error { return door.run(ctx) })
	return nil
}

// node starts the agent on a runtime.
func (u *upParts) node(r rt.Runtime) func(context.Context) error {
	return func(ctx context.Context) error {
		token, err := os.ReadFile(filepath.Join(u.keys, "join.token"))
		if err != nil {
			return fmt.Errorf("join token: %w", err)
		}
		f := &u.flags.agent
		request := auth.JoinRequest{
			URLs: []string{u.url}, Token: string(token), Node: f.node, File: filepath.Join(f.data, "node.creds"), Log: u.log("agentd"),
		}
		key, err := admitted(ctx, request)
		if err != nil {
			return err
		}
		nc, err := natsconn.Connect(ctx, natsconn.Config{URLs: request.URLs, Name: "agentd", Creds: request.File, Log: request.Log})
		if err != nil {
			return err
		}
		ready := make(chan struct{})
		u.group.Go(func() error {
			defer nc.Close()
			return f.run(ctx, agentParts{nc: nc, key: key, join: request, log: u.log("agentd")}, r, func(a *agentd.Agent) {
				u.agent = a
				close(ready)
			})
		})
		select {
		case <-ready:
		case <-ctx.Done():
		}
		return nil
	}
}

// announce says once that the cluster takes work, and how to go on.
func (u *upParts) announce(ctx context.Context) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		n, ok := u.door.follower.View().Node(u.flags.agent.node)
		if ok && n.TakesWork() {
			u.process.log.WithFields(logrus.Fields{"gateway": "http://" + u.door.listener.Addr().String(), "nats": u.url, "node": n.Name}).
				Info("ready; in another terminal: rutter get nodes")
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
