package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
	"github.com/rutter-run/rutter/internal/pki"
)

func newNATSCommand() *cobra.Command {
	var config natsserver.Config
	var keys, data string
	var replicas int
	var maxLog int64
	define := func(flags *pflag.FlagSet) {
		flags.StringVar(&data, "data-dir", filepath.Join(dataDir(), "nats"), "where the log is kept")
		flags.StringVar(&keys, "keys", filepath.Join(dataDir(), "keys"), "directory made by `rutter init`")
		flags.StringVar(&config.Name, "name", "", "of this server, one of its own for each (default the host's)")
		flags.StringVar(&config.Host, "host", "127.0.0.1", "to listen on for clients; another than loopback uses the certificate in --keys")
		flags.IntVar(&config.Port, "port", 4222, "for clients")
		flags.StringVar(&config.ClusterName, "cluster-name", "rutter", "the same for all servers of a cluster")
		flags.IntVar(&config.ClusterPort, "cluster-port", 0, "for the other servers; 0 for a server that is alone")
		flags.StringSliceVar(&config.Routes, "route", nil, "the other servers, such as nats://10.0.0.2:6222")
		flags.IntVar(&replicas, "replicas", 1, "copies of the log: 1, or 3 or 5 in a cluster")
		flags.Int64Var(&maxLog, "max-log-bytes", 0, "the log refuses writes above it and loses nothing; 0: no limit")
	}
	long := "Run the embedded NATS server alone, with the streams that Rutter needs. Every write is on disk before it is acknowledged."
	return newServerCommand("nats", "Run the log server: an embedded NATS with JetStream", long, define, func(ctx context.Context, p *process) error {
		config.Dir, config.Log = data, p.log
		server, err := startServer(&config, keys)
		if err != nil {
			return err
		}
		p.log.WithField("url", server.URL()).Info("started")
		options := jetstream.StreamOptions{Replicas: replicas, MaxEventBytes: maxLog}
		if err := setUpStreams(ctx, server.URL(), keys, config.TLS, options, p.log); err != nil && ctx.Err() == nil {
			server.Stop()
			return err
		}
		var beside errgroup.Group
		if config.ClusterPort == 0 {
			beside.Go(func() error { return keepRoom(ctx, server, keys, config.TLS, options, p.log) })
		}
		<-ctx.Done()
		if err := beside.Wait(); err != nil {
			p.log.WithError(err).Warn("the disk was not watched")
		}
		if config.ClusterPort != 0 {
			server.Drain() // hands what it leads to the others first
		} else {
			server.Stop()
		}
		p.log.Info("stopped")
		return nil
	})
}

// startServer starts a server that trusts the keys, with TLS where they come with a certificate and others can reach it.
func startServer(config *natsserver.Config, keys string) (*natsserver.Server, error) {
	trust, err := auth.LoadTrust(keys)
	if err != nil {
		return nil, err
	}
	config.Auth = trust
	if _, err := os.Stat(pki.CAFile(keys)); !errors.Is(err, fs.ErrNotExist) {
		if config.TLS, err = pki.Server(keys); err != nil {
			return nil, err
		}
		if config.ClusterTLS, err = pki.Peer(keys); err != nil {
			return nil, err
		}
	}
	return natsserver.Start(*config)
}

// setUpStreams makes the streams, or waits until the cluster can.
func setUpStreams(ctx context.Context, url, keys string, server *tls.Config, options jetstream.StreamOptions, log *logrus.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	nc, err := connectAdmin(ctx, url, keys, server, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	return jetstream.Setup(ctx, nc, options)
}

func connectAdmin(ctx context.Context, url, keys string, server *tls.Config, log *logrus.Entry) (*nats.Conn, error) {
	connect := natsconn.Config{URLs: []string{url}, Name: "setup", Creds: filepath.Join(keys, "admin.creds"), Log: log}
	if server != nil {
		config, err := pki.Client(pki.CAFile(keys))
		if err != nil {
			return nil, err
		}
		connect.TLS = config
	}
	return natsconn.Connect(ctx, connect)
}

// keepRoom closes the log of a server that is alone while its disk is nearly full, until ctx is done.
func keepRoom(ctx context.Context, server *natsserver.Server, keys string, config *tls.Config, options jetstream.StreamOptions, log *logrus.Entry) error {
	nc, err := connectAdmin(ctx, server.URL(), keys, config, log)
	if err != nil {
		return unlessCanceled(err)
	}
	defer nc.Close()
	return unlessCanceled(jetstream.KeepRoom(ctx, nc, options, server.Disk, log))
}
