package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/gateway/httpapi"
	"github.com/rutter-run/rutter/gateway/images"
	"github.com/rutter-run/rutter/internal/rpc"
	"github.com/rutter-run/rutter/projections/follow"
	"github.com/rutter-run/rutter/projections/past"
)

// study runs a gateway over the log of an export, and nothing else.
func (f *upFlags) study(ctx context.Context, p *process) error {
	switch {
	case f.from == "":
		return errors.New("read-only: want the export to be shown, by --from FILE")
	case !f.only:
		return errors.New("from: an export is only shown: add --read-only, or make it the log of a new cluster by `rutter import`")
	}
	p.log.WithField("file", f.from).Info("verifies the export")
	log, err := archive.Open(f.from, catalog.New(), archive.Options{})
	if err != nil {
		return err
	}
	defer log.Close()
	dir, err := os.MkdirTemp("", "rutter-study-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	door, clientFile, err := f.studyDoor(log, dir, p)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return door.run(ctx) })
	group.Go(func() error {
		if err := door.follower.WaitLive(ctx); err != nil {
			return nil // told to end before it began
		}
		view := door.follower.View()
		p.log.WithField("sequence", view.Sequence()).WithField("hash", view.Hash()).Info("ready; in another terminal: export " + client.EnvConfig + "=" + clientFile)
		return nil
	})
	err = group.Wait()
	p.log.Info("stopped")
	return unlessCanceled(err)
}

// studyDoor makes the gateway, with a token of its own that dies with it.
func (f *upFlags) studyDoor(log *archive.Log, dir string, p *process) (*gateway, string, error) {
	secret, entry := httpapi.NewToken("reader", httpapi.RoleAdmin) // who asks to change something is told why not
	tokens := filepath.Join(dir, tokensFile)
	if err := httpapi.SaveTokens(tokens, entry); err != nil {
		return nil, "", err
	}
	h := log.Report().Header
	why := fmt.Sprintf("this is a copy of a log, events %d to %d of %s: nothing can be changed here; `rutter import` makes it the log of a new cluster", h.First, h.Last, f.from)
	follower := follow.New(log)
	a := app.New(app.Config{
		Commands: noCommands{why}, Log: log, Records: log, View: follower, Past: past.New(log, past.Live(follower.View)), Images: images.NewResolver(), Agents: noAgents{},
	})
	door, err := f.door.serving(a, follower, tokens, httpapi.Config{Log: p.log, ReadOnly: why})
	if err != nil {
		return nil, "", err
	}
	clientFile := filepath.Join(dir, "client.json")
	scheme := "http://"
	if door.tls != nil {
		scheme = "https://"
	}
	return door, clientFile, client.Config{Address: scheme + door.listener.Addr().String(), Token: secret}.Save(clientFile)
}

// noCommands takes no command.
type noCommands struct{ why string }

func (n noCommands) Send(context.Context, events.Command) error {
	return fmt.Errorf("%s: %w", n.why, events.ErrReadOnly)
}

func (n noCommands) Consume(ctx context.Context, _ string, _ func(events.Delivery)) error {
	<-ctx.Done()
	return ctx.Err()
}

// noAgents are the nodes behind a copy of a log.
type noAgents struct{}

var errNoNodes = fmt.Errorf("there are no nodes behind a copy of a log: what containers wrote and use is not in it: %w", events.ErrReadOnly)

func (noAgents) Logs(context.Context, string, rpc.LogsRequest, func(rpc.LogLine) error) error {
	return errNoNodes
}

func (noAgents) Exec(context.Context, string, rpc.ExecRequest, rpc.ExecStreams) (int, error) {
	return 0, errNoNodes
}

func (noAgents) Stats(context.Context, string, rpc.StatsRequest) ([]rpc.ContainerStats, error) {
	return nil, errNoNodes
}
