package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/gateway/client"
	"sigs.k8s.io/yaml"
)

// eventsWanted is what a reading of the log is to print.
type eventsWanted struct {
	from   uint64
	follow bool
	format string
	filter client.Filter
}

// recentEvents is how far `events` goes back where it is not told from where.
const recentEvents = 1000

func newEventsCommand(c *cli) *cobra.Command {
	want := eventsWanted{}
	command := &cobra.Command{
		Use:   "events",
		Short: "Print the event log, and follow it with -f",
		Long: `Print the event log: the newest 1000 events, or all from a sequence with --from. With -f it goes on with what happens; it
survives restarts of the gateway and misses nothing.`,
		Example: `  rutter events -f
  rutter events --from 1 --workload web -o json
  rutter events --aggregate node,ledger`,
		Args: args(0, 0, "no argument: filters are flags"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(want.format); err != nil {
				return err
			}
			if want.follow && c.at != "" {
				return usagef("-f goes on with what happens and --at is a moment: leave out one of them")
			}
			gateway, err := c.reader(cmd.Context())
			if err != nil {
				return err
			}
			want.filter.Namespace = c.namespace
			return c.events(cmd.Context(), gateway, want)
		},
	}
	flags := command.Flags()
	flags.BoolVarP(&want.follow, "follow", "f", false, "go on with what happens")
	flags.Uint64Var(&want.from, "from", 0, "first sequence; 1 is the beginning")
	flags.StringVarP(&want.format, "output", "o", formatTable, "table, wide, json, yaml or name")
	flags.StringSliceVar(&want.filter.Aggregates, "aggregate", nil, "workload, instance, ledger, unplaced, node, report, command")
	flags.StringVar(&want.filter.Workload, "workload", "", "only about this workload and its instances")
	flags.StringVar(&want.filter.Instance, "instance", "", "only about this instance")
	flags.StringVar(&want.filter.Node, "node", "", "only about this node and what is on it")
	c.addNamespaceFlag(command)
	c.addAtFlag(command)
	return command
}

// events prints the log, and goes on with it where that is wanted.
func (c *cli) events(ctx context.Context, gateway *client.Client, want eventsWanted) error {
	from := want.from
	if from == 0 && !want.follow {
		state, err := gateway.Moment(ctx)
		if err != nil {
			return err
		}
		if from = 1; state.Sequence > recentEvents {
			from = state.Sequence - recentEvents + 1
			fmt.Fprintf(c.err, "the newest %d events; --from 1 prints all\n", recentEvents)
		}
	}
	print := c.eventPrinter(want.format)
	if want.follow {
		return gateway.Stream(ctx, from, want.filter, print)
	}
	return gateway.Events(ctx, from, want.filter, print)
}

// eventPrinter prints events one by one as they come.
func (c *cli) eventPrinter(format string) func(events.Event) error {
	head := true
	return func(e events.Event) error {
		switch format {
		case formatName:
			_, err := fmt.Fprintln(c.out, e.ID)
			return err
		case formatJSON, formatYAML:
			data, err := cloudevent.JSON(e)
			if err != nil {
				return err
			}
			if format == formatYAML {
				if data, err = yaml.JSONToYAML(data); err != nil {
					return err
				}
				data = append([]byte("---\n"), bytes.TrimRight(data, "\n")...)
			}
			_, err = fmt.Fprintf(c.out, "%s\n", data)
			return err
		}
		if head {
			head = false
			fmt.Fprintf(c.out, "%8s  %-19s  %s\n", "SEQUENCE", "TIME (UTC)", "EVENT")
		}
		line := fmt.Sprintf("%8d  %-19s  %s", e.Sequence, e.Time.UTC().Format(time.DateTime), events.Line(e))
		if format == formatWide {
			data, err := json.Marshal(e.Data)
			if err != nil {
				return err
			}
			line += fmt.Sprintf("\n%10sby %s, id %s, because of %s\n%10s%s", "", none(e.Actor), e.ID, none(e.Causation), "", data)
		} else {
			line = cutTo(line, c.tableWidth())
		}
		_, err := fmt.Fprintln(c.out, line)
		return err
	}
}
