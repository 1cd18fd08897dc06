package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

func newLogsCommand(c *cli) *cobra.Command {
	var options client.LogOptions
	var since string
	var timestamps bool
	command := &cobra.Command{
		Use:   "logs INSTANCE | workload/NAME",
		Short: "Print the logs of an instance, or of all instances of a workload",
		Example: `  rutter logs web-0-1
  rutter logs -f workload/web --tail 10
  rutter logs web-0-1 --previous`,
		Args: args(1, 2, "an instance, or workload/<name>"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := setSince(&options, since, c.now()); err != nil {
				return err
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			names, err := c.instancesNamed(cmd.Context(), gateway, args)
			if err != nil {
				return err
			}
			return c.logs(cmd.Context(), gateway, names, options, timestamps)
		},
	}
	flags := command.Flags()
	flags.BoolVarP(&options.Follow, "follow", "f", false, "go on with what is written; of a workload, by the instances that there are now")
	flags.BoolVarP(&options.Previous, "previous", "p", false, "of the run before the newest")
	flags.IntVar(&options.Tail, "tail", -1, "the last lines only")
	flags.StringVar(&since, "since", "", "since a time such as 2026-01-02T15:04:05Z, or so long ago, such as 10m")
	flags.StringVarP(&options.Container, "container", "c", "", "container, where there are several")
	flags.BoolVar(&timestamps, "timestamps", false, "head each line with its time")
	c.addNamespaceFlag(command)
	return command
}

func setSince(options *client.LogOptions, since string, now time.Time) error {
	if since == "" {
		return nil
	}
	if ago, err := time.ParseDuration(since); err == nil && ago >= 0 {
		options.Since = now.Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339, since)
	if err != nil {
		return usagef("--since %q: want a time such as 2026-01-02T15:04:05Z, or how long ago, such as 10m", since)
	}
	options.Since = at
	return nil
}

// instancesNamed finds the instances that the arguments mean: one by its name, or all of a workload. A bare name is an instance's where there
// is one, else a workload's.
func (c *cli) instancesNamed(ctx context.Context, gateway *client.Client, args []string) ([]string, error) {
	_, named, err := thingsIn(args, &instances, instances, workloads)
	if err != nil {
		return nil, err
	}
	if len(named) != 1 {
		return nil, usagef("want one instance, or workload/<name>")
	}
	if named[0].kind.name == instances.name {
		_, err := gateway.Instance(ctx, c.space(), named[0].name, 0)
		if err == nil || len(args) > 1 || args[0] != named[0].name {
			return []string{named[0].name}, err
		}
		if _, notWorkload := gateway.Workload(ctx, c.space(), named[0].name, 0); notWorkload != nil {
			return nil, err
		}
	}
	list, err := gateway.Instances(ctx, client.Selection{Namespace: c.space(), Workload: named[0].name})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, i := range list.Items {
		if i.Node != "" {
			names = append(names, i.Name)
		}
	}
	if len(names) == 0 {
		if _, err := gateway.Workload(ctx, c.space(), named[0].name, 0); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("no instance of workload %s has a node yet: see `rutter get instances --workload %s%s`", named[0].name, named[0].name, inNamespace(c.space()))
	}
	return names, nil
}

// logs prints the logs of instances, with the instance before each line where there are several.
func (c *cli) logs(ctx context.Context, gateway *client.Client, names []string, options client.LogOptions, timestamps bool) error {
	var out sync.Mutex // one line at a time
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		group.Go(func() error {
			prefix, pending := "", ""
			if len(names) > 1 {
				prefix = "[" + name + "] "
			}
			err := gateway.Logs(ctx, c.space(), name, options, func(line api.LogLine) error {
				if pending == "" {
					pending = prefix
					if timestamps {
						pending += line.Time.UTC().Format(time.RFC3339Nano) + " "
					}
				}
				pending += line.Text
				if line.Partial && len(pending) < longestLine {
					return nil
				}
				out.Lock()
				defer out.Unlock()
				_, err := fmt.Fprintln(c.out, pending)
				pending = ""
				return err
			})
			if err != nil && len(names) > 1 && !errors.Is(err, context.Canceled) {
				// One instance without a log must not hide the others'.
				out.Lock()
				defer out.Unlock()
				fmt.Fprintf(c.err, "%s%v\n", prefix, err)
				return nil
			}
			return err
		})
	}
	return group.Wait()
}

// longestLine is how much of a line without an end is gathered before it is printed.
const longestLine = 1 << 20
