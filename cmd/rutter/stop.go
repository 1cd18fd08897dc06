package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/api"
)

func newStopCommand(c *cli) *cobra.Command {
	var how changing
	command := &cobra.Command{
		Use:   "stop INSTANCE…",
		Short: "Stop instances by hand; others take their slots",
		Long: `Stop instances by hand. Each is followed by another one in its slot at once, without a backoff, on whatever
node suits best; to have fewer, scale the workload.`,
		Example: "  rutter stop instance/web-0-1 --reason \"stuck in a loop\"",
		Args:    args(1, -1, "the instance's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, named, err := thingsIn(args, &instances, instances)
			if err != nil {
				return err
			}
			if how.key != "" && len(named) > 1 {
				return usagef("--idempotency-key names one change: stop instances one by one with it")
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			for _, t := range named {
				result, err := gateway.Stop(cmd.Context(), c.space(), t.name, how.options())
				if err != nil {
					return fmt.Errorf("%s: %w", t, err)
				}
				switch result.Verdict {
				case api.VerdictPending:
					fmt.Fprintf(c.out, "%s pending: not decided yet, see `rutter get operation %s`\n", t, result.Operation.ID)
				case api.VerdictUnchanged:
					fmt.Fprintf(c.out, "%s unchanged: it is stopping already\n", t)
				default:
					fmt.Fprintf(c.out, "%s stopping\n", t)
				}
			}
			return nil
		},
	}
	how.recordFlags(command.Flags())
	c.addNamespaceFlag(command)
	return command
}
