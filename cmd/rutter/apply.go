package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

// changing is what every command that changes something takes.
type changing struct {
	reason, key string
	wait        bool
	timeout     time.Duration
}

func (o *changing) flags(flags *pflag.FlagSet) {
	o.recordFlags(flags)
	flags.BoolVar(&o.wait, "wait", true, "wait until it is done")
	flags.DurationVar(&o.timeout, "timeout", defaultTimeout, "how long to wait")
}

// recordFlags are those of a change that needs no waiting.
func (o *changing) recordFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.reason, "reason", "", "why you do this; it stays on the record")
	flags.StringVar(&o.key, "idempotency-key", "", "the same key does the same thing once, however often it is run")
}

func (o *changing) options() client.Options {
	return client.Options{Reason: o.reason, IdempotencyKey: o.key}
}

func newApplyCommand(c *cli) *cobra.Command {
	var files []string
	var how changing
	var dryRun bool
	command := &cobra.Command{
		Use:   "apply -f FILE|DIRECTORY|-",
		Short: "Set the wished state of workloads from files, and wait until they are ready",
		Example: `  rutter apply -f web.yaml --reason "new checkout page"
  rutter apply -f deploy/ --dry-run
  cat web.yaml | rutter apply -f -`,
		Args: args(0, 0, "files by -f"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			documents, err := c.readDocuments(files)
			if err != nil {
				return err
			}
			if how.key != "" && len(documents) > 1 {
				return usagef("--idempotency-key names one change, and there are %d documents: apply them one by one", len(documents))
			}
			return c.apply(cmd.Context(), documents, how, dryRun)
		},
	}
	how.flags(command.Flags())
	command.Flags().StringSliceVarP(&files, "filename", "f", nil, "file, directory (its .yaml, .yml and .json) or - for standard input")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "validate, resolve images and say what would change; send nothing")
	c.addNamespaceFlag(command)
	return command
}

// apply applies documents one after the other, then waits for all.
func (c *cli) apply(ctx context.Context, documents []spec.Workload, how changing, dryRun bool) error {
	gateway, err := c.connect()
	if err != nil {
		return err
	}
	var waiting []api.Result
	for _, w := range documents {
		options := how.options()
		options.DryRun = dryRun
		result, err := gateway.Apply(ctx, w, options)
		if err != nil {
			return fmt.Errorf("workload/%s: %w", w.Metadata.Name, err)
		}
		c.printResult(w.Metadata.Name, result)
		if !dryRun && result.Workload != nil {
			waiting = append(waiting, result)
		}
	}
	if !how.wait {
		return nil
	}
	for _, result := range waiting {
		if err := c.awaitReady(ctx, gateway, result, how.timeout); err != nil {
			return err
		}
	}
	return nil
}

// printResult says what became of a change.
func (c *cli) printResult(name string, result api.Result) {
	line := fmt.Sprintf("workload/%s %s", name, result.Verdict)
	if w := result.Workload; w != nil && w.Status.Revision > 0 && result.Verdict != api.VerdictDeleting {
		line += fmt.Sprintf(" (revision %d)", w.Status.Revision)
	}
	switch {
	case result.DryRun:
		line += " (dry run: nothing was sent)"
	case result.Verdict == api.VerdictPending:
		line += fmt.Sprintf(": not decided yet, see `rutter get operation %s`", result.Operation.ID)
	}
	fmt.Fprintln(c.out, line)
	for _, change := range result.Changes {
		switch {
		case change.From == "":
			fmt.Fprintf(c.out, "  + %s: %s\n", change.Field, change.To)
		case change.To == "":
			fmt.Fprintf(c.out, "  - %s: %s\n", change.Field, change.From)
		default:
			fmt.Fprintf(c.out, "  ~ %s: %s → %s\n", change.Field, change.From, change.To)
		}
	}
}

// readDocuments reads and checks every document before anything is sent.
func (c *cli) readDocuments(files []string) (documents []spec.Workload, err error) {
	if len(files) == 0 {
		return nil, usagef("nothing to read: give -f FILE, -f DIRECTORY or -f -")
	}
	var faults []error
	for _, file := range files {
		paths := []string{file}
		if info, err := os.Stat(file); file != "-" && err == nil && info.IsDir() {
			if paths, err = documentsIn(file); err != nil {
				return nil, err
			}
		}
		for _, path := range paths {
			data, err := c.readFile(path)
			if err != nil {
				return nil, err
			}
			found, err := spec.ParseWorkloadsIn(data, c.namespace)
			if err != nil {
				if path == "-" {
					path = "standard input"
				}
				faults = append(faults, fmt.Errorf("%s is not valid:\n  %s", path, strings.ReplaceAll(err.Error(), "\n", "\n  ")))
			}
			documents = append(documents, found...)
		}
	}
	return documents, errors.Join(faults...)
}

func (c *cli) readFile(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(c.in)
	}
	return os.ReadFile(path)
}

func documentsIn(directory string) (paths []string, err error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(entry.Name())) {
			paths = append(paths, filepath.Join(directory, entry.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("directory %s has no .yaml, .yml or .json file", directory)
	}
	return paths, nil
}
