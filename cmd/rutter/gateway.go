package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/gateway/httpapi"
	"github.com/rutter-run/rutter/gateway/images"
	"github.com/rutter-run/rutter/internal/boot"
	"github.com/rutter-run/rutter/internal/loopback"
	"github.com/rutter-run/rutter/internal/rpc"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/fingerprint"
	"github.com/rutter-run/rutter/projections/follow"
	"github.com/rutter-run/rutter/projections/past"
	"github.com/rutter-run/rutter/projections/snapshot"
)

// gatewayFlags are the settings of a gateway.
type gatewayFlags struct {
	listen  string
	tlsCert string
	tlsKey  string
	tokens  string
}

const defaultListen = "127.0.0.1:7480"

func (f *gatewayFlags) define(flags *pflag.FlagSet) {
	flags.StringVar(&f.listen, "listen", defaultListen, "address of the HTTP API; another than loopback needs --tls-cert and --tls-key")
	flags.StringVar(&f.tlsCert, "tls-cert", "", "PEM file of the gateway's certificate")
	flags.StringVar(&f.tlsKey, "tls-key", "", "PEM file of its key")
	flags.StringVar(&f.tokens, "tokens", "", "file of the tokens that may call (default tokens.yaml in --keys)")
}

// tls is nil for plain HTTP, which is for loopback alone.
func (f *gatewayFlags) tls() (*tls.Config, error) {
	if f.tlsCert != "" || f.tlsKey != "" {
		cert, err := tls.LoadX509KeyPair(f.tlsCert, f.tlsKey)
		if err != nil {
			return nil, fmt.Errorf("tls-cert and tls-key: %w", err)
		}
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}, nil
	}
	return nil, nil
}

// check refuses an address that others can reach without TLS, before anything is begun.
func (f *gatewayFlags) check() error {
	if err := loopback.Check(f.listen, f.tlsCert != "" || f.tlsKey != "", f.remedy()); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// url is where this machine's clients find the gateway.
func (f *gatewayFlags) url() string {
	if f.tlsCert != "" || f.tlsKey != "" {
		return "https://" + f.listen
	}
	return "http://" + f.listen
}

func (f *gatewayFlags) remedy() string {
	host, _, _ := net.SplitHostPort(f.listen)
	return fmt.Sprintf("its tokens would go in the clear; give --tls-cert and --tls-key (`rutter init --host %s` makes both)", cmp.Or(host, "NAME"))
}

// gatewayParts is what a gateway stands on.
type gatewayParts struct {
	nc     *nats.Conn
	client *jetstream.Client
	log    *logrus.Entry
	keys   string
}

// gateway is a gateway that can be run.
type gateway struct {
	follower *follow.Follower
	teller   *fingerprint.Teller // nil: tells nobody what it has folded
	app      *app.App
	api      *httpapi.API
	listener net.Listener
	tls      *tls.Config
	log      *logrus.Entry
}

func (f *gatewayFlags) build(g gatewayParts) (*gateway, error) {
	source := snapshot.Source{Log: g.client.Log(), Snapshots: g.client.Snapshots(), Logger: g.log}
	var follower *follow.Follower
	teller := fingerprint.NewTeller(g.client.Fingerprints(), events.ServiceGateway, hostName(), func() *projections.Cluster { return follower.View() })
	follower = follow.New(g.client.Log(), follow.From(source.Newest), follow.Checkpoints(fingerprint.Period, teller.Mark))
	a := app.New(app.Config{
		Commands: g.client.Commands(), Log: g.client.Log(), View: follower,
		Records: g.client.Log(), Vault: g.client.Vault(), Past: past.New(g.client.Log(), past.Snapshots(source), past.Live(follower.View)),
		Images: images.NewResolver(), Agents: rpc.NewCaller(g.nc),
	})
	door, err := f.serving(a, follower, cmp.Or(f.tokens, filepath.Join(g.keys, tokensFile)), httpapi.Config{Log: g.log})
	if err != nil {
		return nil, err
	}
	door.teller = teller
	return door, nil
}

// serving puts the HTTP API before use cases.
func (f *gatewayFlags) serving(a *app.App, follower *follow.Follower, tokensFile string, c httpapi.Config) (*gateway, error) {
	config, err := f.tls()
	if err != nil {
		return nil, err
	}
	tokens, err := httpapi.LoadTokens(tokensFile)
	if err != nil {
		return nil, err
	}
	c.App, c.Tokens, c.Metrics, c.Version = a, tokens, metrics(), version
	api, err := httpapi.New(c)
	if err != nil {
		return nil, err
	}
	listener, err := loopback.Listen(f.listen, config != nil, f.remedy())
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return &gateway{follower: follower, app: a, api: api, listener: listener, tls: config, log: c.Log}, nil
}

func (g *gateway) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return boot.Keep(ctx, g.log, "follow the log", g.follower.Run) })
	group.Go(func() error { return boot.Keep(ctx, g.log, "index the log", g.app.Run) })
	if g.teller != nil {
		group.Go(func() error { return boot.Keep(ctx, g.log, "tell fingerprints", g.teller.Run) })
	}
	group.Go(func() error { return g.api.Serve(ctx, g.listener, g.tls) })
	return unlessCanceled(group.Wait())
}

func (g *gateway) state() (uint64, string) {
	view := g.follower.View()
	return view.Sequence(), view.Hash()
}

func newGatewayCommand() *cobra.Command {
	f, conn, health := &gatewayFlags{}, &natsFlags{}, healthFlags{}
	define := func(flags *pflag.FlagSet) {
		f.define(flags)
		conn.define(flags, true)
		health.define(flags, "serve /livez, /readyz, /metrics and /state here as well, without tokens")
	}
	return newServerCommand("gateway", "Run a gateway: the HTTP API", "", define, func(ctx context.Context, p *process) error {
		if err := errors.Join(f.check(), health.check()); err != nil {
			return err
		}
		nc, client, err := conn.connect(ctx, p, events.ServiceGateway)
		if err != nil {
			return err
		}
		defer nc.Close()
		g, err := f.build(gatewayParts{nc: nc, client: client, log: p.log, keys: conn.keys})
		if err != nil {
			return err
		}
		p.log.WithField("address", g.listener.Addr()).Info("started")
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return g.run(ctx) })
		group.Go(func() error {
			ready := func() error { return g.app.Ready(ctx) }
			return health.serve(ctx, boot.Health{Ready: ready, State: g.state, Registry: metrics()})
		})
		err = group.Wait()
		p.log.Info("stopped")
		return unlessCanceled(err)
	})
}
