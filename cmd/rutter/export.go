package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events/archive"
	"github.com/rutter-run/rutter/gateway/client"
)

// exporting is what `export` is to do.
type exporting struct {
	from, to uint64
	force    bool
	key      string
	segments bool   // the argument is a directory of segments
	size     uint64 // events in a full segment
}

func newExportCommand(c *cli) *cobra.Command {
	var want exporting
	command := &cobra.Command{
		Use:   "export FILE | export --segments DIR",
		Short: "Write the event log, or a part of it, into a file",
		Long: `Write the events into a file that can be kept as a backup, verified offline (` + "`rutter audit verify`" + `), studied elsewhere (` + "`rutter up --from FILE --read-only`" + `)
and made into the log of a new cluster (` + "`rutter import`" + `). The file is verified as it comes. FILE - is the standard output. Any zstd tool unpacks the file
to lines of JSON, each event a structured CloudEvent.

With --segments the argument is a directory, and only what is new since the last time is written there, in files of at most --segment-events events, each tied to
the auditor's tree and by it to the one before. The last one is replaced until it is full. All other commands take the directory in place of a file.`,
		Example: "  rutter export backup-$(date +%F).rutter\n  rutter export --from 1000 --to 2000 part.rutter\n  rutter export --segments /backup/events    # from cron: adds what is new\n  rutter export - | zstd -dc | jq .type",
		Args:    args(1, 1, "the file to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			if want.segments {
				return c.exportSegments(cmd.Context(), gateway, args[0], want)
			}
			return c.export(cmd.Context(), gateway, args[0], want)
		},
	}
	flags := command.Flags()
	flags.Uint64Var(&want.from, "from", 0, "first sequence (default the first)")
	flags.Uint64Var(&want.to, "to", 0, "last sequence (default the last)")
	flags.BoolVar(&want.segments, "segments", false, "add what is new to a directory of segments")
	flags.Uint64Var(&want.size, "segment-events", 100_000, "events in a full segment")
	flags.BoolVar(&want.force, "force", false, "overwrite FILE")
	keyFlag(command, &want.key)
	return command
}

func (c *cli) export(ctx context.Context, gateway *client.Client, path string, want exporting) error {
	key, err := c.auditKey(want.key)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil && !want.force && path != "-" {
		return fmt.Errorf("%s is there already: name another file, or overwrite it with --force", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	in, err := gateway.Export(ctx, want.from, want.to)
	if err != nil {
		return err
	}
	defer in.Close()
	options := archive.Options{Key: key}
	if path == "-" {
		_, err := c.verified(io.TeeReader(in, c.out), options)
		return err
	}
	part := path + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(part) }() // gone already where all went well
	report, err := c.verified(io.TeeReader(in, file), options)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	info, err := os.Stat(part)
	if err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "exported events %d to %d into %s (%d bytes)\n%s\n", report.Header.First, report.Header.Last, path, info.Size(), vouched(report, options))
	return nil
}

// verified reads an export as it comes and verifies it.
func (c *cli) verified(in io.Reader, options archive.Options) (archive.Report, error) {
	show := c.newProgress()
	defer show.end()
	options.Progress = show.share("exporting")
	report, err := archive.Verify(in, options)
	if err != nil {
		return report, fmt.Errorf("what the gateway sent is not whole: %w", err)
	}
	return report, nil
}
