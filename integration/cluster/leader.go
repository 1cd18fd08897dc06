package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/pki"
)

// Leader is the server that leads the log's stream now.
func (c *Cluster) Leader(ctx context.Context) (*Process, error) {
	config, err := pki.Client(pki.CAFile(c.keys()))
	if err != nil {
		return nil, err
	}
	nc, err := natsconn.Connect(ctx, natsconn.Config{
		URLs: strings.Split(c.urls(), ","), Name: "cluster", Creds: filepath.Join(c.keys(), "admin.creds"), TLS: config,
	})
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, "EVENTS")
	if err != nil {
		return nil, fmt.Errorf("ask for the log's leader: %w", err)
	}
	info := stream.CachedInfo()
	if info.Cluster != nil {
		for _, p := range c.Servers {
			if p.Name == info.Cluster.Leader {
				return p, nil
			}
		}
	}
	return c.Servers[0], nil
}
