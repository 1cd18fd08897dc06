package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newScaleCommand(c *cli) *cobra.Command {
	var how changing
	var replicas int
	command := &cobra.Command{
		Use:     "scale WORKLOAD --replicas N",
		Short:   "Set the number of instances of workloads",
		Example: "  rutter scale workload/web --replicas 5",
		Args:    args(1, -1, "the workload's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("replicas") {
				return usagef("how many? give --replicas N")
			}
			_, named, err := thingsIn(args, &workloads, workloads)
			if err != nil {
				return err
			}
			if how.key != "" && len(named) > 1 {
				return usagef("--idempotency-key names one change: scale workloads one by one with it")
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			for _, t := range named {
				result, err := gateway.Scale(cmd.Context(), c.space(), t.name, replicas, how.options())
				if err != nil {
					return fmt.Errorf("%s: %w", t, err)
				}
				c.printResult(t.name, result)
				if how.wait {
					if err := c.awaitReady(cmd.Context(), gateway, result, how.timeout); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	how.flags(command.Flags())
	command.Flags().IntVar(&replicas, "replicas", 0, "how many instances are wished for")
	c.addNamespaceFlag(command)
	return command
}
