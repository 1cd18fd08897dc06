package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/api"
)

func newStatsCommand(c *cli) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:     "stats INSTANCE | workload/NAME",
		Short:   "Print what the containers of an instance, or of a whole workload, use now",
		Example: "  rutter stats web-0-1\n  rutter stats workload/web",
		Args:    args(1, 2, "an instance, or workload/<name>"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
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
			var rows []row
			for _, name := range names {
				stats, err := gateway.Stats(cmd.Context(), c.space(), name)
				if err != nil && len(names) == 1 {
					return err
				}
				if err != nil { // one node that is away must not hide the others
					fmt.Fprintf(c.err, "%s: %v\n", name, err)
					continue
				}
				for _, container := range stats.Containers {
					rows = append(rows, statsRow(name, container))
				}
			}
			return c.print(table{head: []string{"CONTAINER", "CPU TIME", "MEMORY", "PROCESSES"}}, rows, format, false, false)
		},
	}
	command.Flags().StringVarP(&format, "output", "o", formatTable, "table, wide, json, yaml or name")
	c.addNamespaceFlag(command)
	return command
}

func statsRow(instance string, s api.ContainerStats) row {
	return row{
		kind: instances, name: instance,
		cells: []string{s.Name, time.Duration(s.CPU).Round(time.Millisecond).String(), short(s.Memory), fmt.Sprint(s.PIDs)},
		document: struct {
			Instance string `json:"instance"`
			api.ContainerStats
		}{instance, s},
	}
}
