package main

import (
	"context"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/door"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/services/nodehealth"
)

// keepDoor answers nodes beside a node-health, whether it leads or not: those that ask to join, and those that have joined. open connects as
// the door, which has permissions of its own, and a connection of its own so that no report stands before a heartbeat.
func keepDoor(keys string, open func(context.Context) (*nats.Conn, *jetstream.Client, error), log *logrus.Entry) func(context.Context, *nats.Conn, decider) error {
	return func(ctx context.Context, nc *nats.Conn, d decider) error {
		trust, err := auth.LoadTrust(keys)
		if err != nil {
			return err
		}
		admission, err := auth.LoadAdmission(filepath.Join(keys, "nodes.nk"), trust)
		if err != nil {
			return err
		}
		inside, client, err := open(ctx)
		if err != nil {
			return unlessCanceled(err)
		}
		defer inside.Close()
		service := d.(*nodehealth.Service)
		// Whose a name is stands in the log.
		if err := service.WaitReady(ctx); err != nil {
			return unlessCanceled(err)
		}
		owner := func(name string) (string, uint64) { return ownerOf(service.View(), name) }
		server := door.NewServer(door.Config{
			Log: client.Log(), Commands: client.Commands(), Registry: catalog.New(), Renew: admission.Admit, Logger: log,
			Owner: func(name string) (string, bool) { key, _ := owner(name); return key, key != "" },
		})
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return auth.NewJoinServer(admission, owner, log).Run(ctx, nc) })
		group.Go(func() error { return server.Run(ctx, inside) })
		return unlessCanceled(group.Wait())
	}
}

// ownerOf is the key that a name belongs to: the one that it first joined with, until the node has left.
func ownerOf(view *projections.Cluster, name string) (key string, sequence uint64) {
	n, ok := view.Node(name)
	switch {
	case !ok:
		return "", 0
	case n.Health == projections.Left:
		return "", n.Head
	}
	return n.Key, n.Head
}
