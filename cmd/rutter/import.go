package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/natsserver"
)

// importing is what `import` is to do.
type importing struct {
	data string
	nats natsFlags
	key  string
}

func newImportCommand() *cobra.Command {
	want := &importing{}
	cmd := &cobra.Command{
		Use:   "import FILE|DIR",
		Short: "Make an export the log of a new cluster",
		Long: `Fill an empty log with the events of an export: every event keeps its sequence, its id and the time at which it was first stored, so that the
state of the new cluster has the same hash, and checkpoints of the old one hold for it. The file is verified first. A log that has events is refused:
what is in a log is never changed. An import that broke off goes on when it is started again.

The nodes of the log have keys that the new cluster does not know: they are found lost, and what ran on them comes up on nodes that join under other names.

Without --nats-url the log is that of ` + "`rutter up`" + ` in --data-dir, which must not be running. With it, it is that of running servers (` + "`rutter nats`" + `), before any service is started.`,
		Example: "  rutter import backup.rutter --data-dir /var/lib/other && rutter up --data-dir /var/lib/other --node fresh\n  rutter import backup.rutter --nats-url tls://10.0.0.1:4222 --keys keys",
		Args:    args(1, 1, "the file of an export, or a directory of segments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := &cli{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
			if !cmd.Flags().Changed("nats-url") {
				want.nats.urls = nil
			}
			return c.importFile(cmd.Context(), args[0], want)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&want.data, "data-dir", dataDir(), "of the `rutter up` that is to have the log")
	want.nats.define(flags, true)
	flags.Lookup("keys").Usage = "directory made by `rutter init` (default keys in --data-dir)"
	flags.Lookup("keys").DefValue = ""
	keyFlag(cmd, &want.key)
	return cmd
}

func (c *cli) importFile(ctx context.Context, path string, want *importing) error {
	var options archive.Options
	if want.key != "" {
		key, err := c.auditKey(want.key)
		if err != nil {
			return err
		}
		options.Key = key
	}
	report, err := c.verifyExport(path, options)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if report.Header.First != 1 {
		return fmt.Errorf("%s begins with event %d: a cluster needs its whole log, from event 1", path, report.Header.First)
	}
	if report.Header.Events() == 0 {
		return fmt.Errorf("%s holds no event: start a new cluster with `rutter up`", path)
	}
	log := logrus.New()
	log.SetOutput(c.err)
	log.SetLevel(logrus.WarnLevel)
	p := &process{log: logrus.NewEntry(log)}
	if len(want.nats.urls) == 0 {
		server, err := want.ownServer(ctx, p.log)
		if err != nil {
			return err
		}
		defer server.Stop()
	}
	nc, client, err := want.nats.connect(ctx, p, auth.UserAdmin)
	if err != nil {
		return err
	}
	defer nc.Close()
	if err := c.fill(ctx, client.Log(), path, report); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "imported events 1 to %d\n%s\n", report.Header.Last, vouched(report, options))
	return nil
}

// ownServer starts the server of a `rutter up` that does not run.
func (want *importing) ownServer(ctx context.Context, log *logrus.Entry) (*natsserver.Server, error) {
	keys := filepath.Join(want.data, "keys")
	if _, err := auth.Init(keys); err != nil {
		return nil, err
	}
	server, err := startServer(&natsserver.Config{Dir: filepath.Join(want.data, "nats"), Name: "up", Port: natsserver.RandomPort, Log: log}, keys)
	if err != nil {
		return nil, err
	}
	want.nats.urls, want.nats.keys = []string{server.URL()}, keys
	if err := setUpStreams(ctx, server.URL(), keys, nil, jetstream.StreamOptions{}, log); err != nil {
		server.Stop()
		return nil, err
	}
	return server, nil
}

// fill reads the file again, which was verified, and adds its events to the log.
func (c *cli) fill(ctx context.Context, log *jetstream.Log, path string, report archive.Report) error {
	h := report.Header
	adding, err := log.NewImport(ctx, h.Last, base64.StdEncoding.EncodeToString(report.Root[:]))
	if err != nil {
		return err
	}
	show := c.newProgress()
	defer show.end()
	_, err = archive.VerifyPath(path, archive.Options{
		// The file must still be the one that was verified.
		Kept: &audit.Checkpoint{Origin: originOf(report), Size: int64(h.Last), Root: report.Root},
		Events: func(_ uint64, line []byte) error {
			r, err := cloudevent.ParseLine(line)
			if err != nil {
				return err
			}
			return adding.Add(ctx, r)
		},
		Progress: show.share("importing"),
	})
	if err != nil {
		return err
	}
	return adding.Close(ctx)
}

func originOf(report archive.Report) string {
	if report.Claimed == nil {
		return ""
	}
	return report.Claimed.Origin
}
