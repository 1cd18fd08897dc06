package main

import (
	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/client"
)

func newHistoryCommand(c *cli) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "history KIND/NAME",
		Short: "Print all that ever happened to a workload, an instance or a node",
		Long: `Print all that ever happened to a thing, oldest first. It works for what is long gone: the log forgets nothing.
A workload's history includes its instances', a node's what was assigned to it.`,
		Example: "  rutter history workload/web\n  rutter history instance/web-0-1 -o wide\n  rutter history node/n1",
		Args:    args(1, 2, "one thing, such as workload/web"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			target, err := c.oneThing(args)
			if err != nil {
				return err
			}
			gateway, err := c.reader(cmd.Context())
			if err != nil {
				return err
			}
			return gateway.History(cmd.Context(), target, c.eventPrinter(format))
		},
	}
	command.Flags().StringVarP(&format, "output", "o", formatTable, "table, wide, json, yaml or name")
	c.addNamespaceFlag(command)
	c.addAtFlag(command)
	return command
}

// oneThing is the one workload, instance or node that the arguments name.
func (c *cli) oneThing(args []string) (client.Thing, error) {
	_, named, err := thingsIn(args, nil, workloads, instances, nodes)
	if err != nil {
		return client.Thing{}, err
	}
	if len(named) != 1 {
		return client.Thing{}, usagef("want one thing, such as workload/web, instance/web-0-1 or node/n1")
	}
	target := client.Thing{Kind: named[0].kind.name, Name: named[0].name}
	if named[0].kind.spaced {
		target.Namespace = c.space()
	}
	return target, nil
}
