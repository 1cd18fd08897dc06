package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/agentd"
	rt "github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/boot"
	"github.com/rutter-run/rutter/internal/door"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/rpc"
)

// agentFlags are the settings of an agent.
type agentFlags struct {
	node      string
	data      string
	address   string
	labels    map[string]string
	heartbeat time.Duration
	lease     time.Duration
	parallel  int
	runtime   runtimeFlags
}

func (f *agentFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.node, "node", nodeName(), "name of the node, unique in the cluster")
	flags.StringVar(&f.address, "node-address", "", "where other hosts reach the node")
	flags.StringToStringVar(&f.labels, "node-label", nil, "labels of the node, such as zone=a,disk=ssd")
	flags.DurationVar(&f.lease, "partition-lease", spec.MaxPartitionLease, "cut off from the log for longer, instances with onPartition: stop are stopped; at most "+spec.MaxPartitionLease.String())
	flags.IntVar(&f.parallel, "parallel-starts", max(4, 2*runtime.NumCPU()), "containers started at once")
	f.runtime.define(flags)
}

// nodeName is the host's name as far as it can name a node.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil {
		return "node"
	}
	short, _, _ := strings.Cut(strings.ToLower(host), ".")
	if spec.ValidateName("node", short).Err() != nil {
		return "node"
	}
	return short
}

// agentParts is what an agent stands on.
type agentParts struct {
	nc   *nats.Conn
	key  string
	join auth.JoinRequest // with which it was admitted, and may be again
	log  *logrus.Entry
}

// run runs the agent and serves its streams until ctx is done.
func (f *agentFlags) run(ctx context.Context, parts agentParts, r rt.Runtime, started func(*agentd.Agent)) error {
	if err := spec.ValidateName("node", f.node).Err(); err != nil {
		return err
	}
	if err := spec.ValidateLabels("node-label", f.labels).Err(); err != nil {
		return err
	}
	if f.lease <= 0 || f.lease > spec.MaxPartitionLease {
		return fmt.Errorf("partition-lease: %s: want more than 0s and at most %s, which the reconciler waits for before it asks for a second instance with onPartition: stop",
			f.lease, spec.MaxPartitionLease)
	}
	log := door.Open(parts.nc, f.node, parts.key, catalog.New(), jetstream.Logger(parts.log))
	agent, err := agentd.New(agentd.Config{
		Node: f.node, Key: parts.key, Incarnation: uuid.NewString(), Address: f.address, Labels: f.labels, Version: version, DataDir: f.data,
		Heartbeat: f.heartbeat, PartitionLease: f.lease, ParallelStarts: f.parallel,
	}, r, agentd.Connections{
		Log: log.Log(), Commands: log.Commands(), Heartbeats: log.Heartbeats(), Reach: log.Ping,
	}, parts.log)
	if err != nil {
		return err
	}
	started(agent)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return agent.Run(ctx) })
	group.Go(func() error { return keepAdmitted(ctx, log, parts) })
	group.Go(func() error { return rpc.Serve(ctx, parts.nc, f.node, agent.Handlers()) })
	return unlessCanceled(group.Wait())
}

func newAgentdCommand() *cobra.Command {
	f, conn := &agentFlags{}, &natsFlags{}
	var health healthFlags
	var token string
	define := func(flags *pflag.FlagSet) {
		f.define(flags)
		conn.define(flags, false)
		flags.StringVar(&f.data, "data-dir", filepath.Join(dataDir(), "node"), "where the node keeps images, containers and what it has to remember")
		flags.DurationVar(&f.heartbeat, "heartbeat-interval", 500*time.Millisecond, "between two pulses")
		flags.StringVar(&token, "join-token-file", "", "file with the join token, needed the first time")
		health.define(flags, "serve /livez, /readyz and /metrics here")
	}
	return newServerCommand("agentd", "Run a node's agent", "", define, func(ctx context.Context, p *process) error {
		if err := health.check(); err != nil {
			return err
		}
		release, err := boot.LockDir(f.data, "agentd")
		if err != nil {
			return err
		}
		defer release()
		request, err := joinRequest(p, conn, f, token)
		if err != nil {
			return err
		}
		key, err := admitted(ctx, request)
		if err != nil {
			return err
		}
		nc, err := natsconn.Connect(ctx, natsconn.Config{URLs: conn.urls, Name: "agentd " + f.node, Creds: request.File, TLS: request.TLS, Log: p.log})
		if err != nil {
			return err
		}
		defer nc.Close()
		r, err := f.runtime.build(f.data, p.log)
		if err != nil {
			return err
		}
		defer closeRuntime(r, p.log)
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			return f.run(ctx, agentParts{nc: nc, key: key, join: request, log: p.log}, r, func(a *agentd.Agent) {
				group.Go(func() error {
					ready := func() error {
						if ok, why := a.Ready(); !ok {
							return errors.New(why)
						}
						return nil
					}
					return health.serve(ctx, boot.Health{Ready: ready, Registry: metrics()})
				})
			})
		})
		p.log.WithField("node", f.node).Info("started")
		err = group.Wait()
		p.log.Info("stopped; its containers go on running")
		return err
	})
}

func closeRuntime(r rt.Runtime, log *logrus.Entry) {
	if err := r.Close(); err != nil {
		log.WithError(err).Warn("the runtime did not close")
	}
}

// parseSubnet reads a subnet.
func parseSubnet(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("subnet: %q: want one such as 10.87.0.0/24", text)
	}
	return p, nil
}
