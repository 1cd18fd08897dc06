package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/api"
)

func newQueryCommand(c *cli) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "query EXPRESSION",
		Short: "Ask for the value of an expression over the state",
		Long: `Evaluate an expression in CEL (Common Expression Language) over the state, now or at any moment. Its variables are workloads,
instances and nodes, which are lists of the documents that -o json prints, sequence and time.`,
		Example: `  rutter query 'instances.filter(i, i.phase != "Ready").map(i, i.name)'
  rutter query 'workloads.all(w, w.status.ready == w.status.wished)' --at -15m
  rutter query 'nodes.filter(n, n.state == "Lost").size()'`,
		Args: args(1, 1, "one expression, in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(format, formatJSON, formatYAML); err != nil {
				return err
			}
			gateway, err := c.reader(cmd.Context())
			if err != nil {
				return err
			}
			result, err := gateway.Query(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.printDocument(result.Value, format)
		},
	}
	command.Flags().StringVarP(&format, "output", "o", formatJSON, "json or yaml")
	c.addAtFlag(command)
	return command
}

func newBisectCommand(c *cli) *cobra.Command {
	var good, bad, format string
	command := &cobra.Command{
		Use:   "bisect --good MOMENT [--bad MOMENT] -- PREDICATE",
		Short: "Find the event that broke something",
		Long: `Find the event that turned a predicate from true to false between a good moment and a bad one, as git bisect finds a commit. The
predicate is an expression as in ` + "`rutter query`" + `. Between n events it looks at no more than log2(n) states.`,
		Example: `  rutter bisect --good -1h -- 'workloads.all(w, w.status.state == "Ready")'
  rutter bisect --good 100 --bad 900 -- 'instances.exists(i, i.workload == "web" && i.phase == "Ready")'`,
		Args: args(1, 1, "one predicate, in quotes"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(format, formatTable, formatJSON, formatYAML); err != nil {
				return err
			}
			if good == "" {
				return usagef("where was it good? want --good: %s", momentHelp)
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			if bad == "" {
				now, err := gateway.Moment(cmd.Context())
				if err != nil {
					return err
				}
				bad = fmt.Sprint(now.Sequence)
			}
			result, err := gateway.Bisect(cmd.Context(), api.Bisect{Good: good, Bad: bad, Predicate: strings.TrimSpace(args[0])})
			if err != nil {
				return err
			}
			if format != formatTable {
				return c.printDocument(result, format)
			}
			for _, step := range result.Steps {
				is := map[bool]string{true: "good", false: "bad"}[step.Good]
				fmt.Fprintf(c.out, "sequence %d is %s\n", step.Sequence, is)
			}
			fmt.Fprintf(c.out, "%d is the first bad event, at %s UTC:\n  %s\n", result.Sequence, result.Time.UTC().Format(time.DateTime), result.Line)
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&good, "good", "", "a moment at which the predicate is true: "+momentHelp)
	flags.StringVar(&bad, "bad", "", "a later moment at which it is false; now where it is left out")
	flags.StringVarP(&format, "output", "o", formatTable, "table, json or yaml")
	return command
}
