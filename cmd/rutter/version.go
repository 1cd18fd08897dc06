package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/projections"
)

// buildVersion is the program's version: the release's, or where it comes from.
func buildVersion() string {
	if version != "dev" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	if revision != "" {
		return "dev-" + revision + changed
	}
	return "dev"
}

func newVersionCommand(c *cli) *cobra.Command {
	var clientOnly bool
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program and of the gateway",
		Args:  args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(c.out, "client   %s (%s, projection %d)\n", buildVersion(), runtime.Version(), projections.Version)
			if clientOnly {
				return nil
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			v, err := gateway.Version(cmd.Context())
			if err != nil {
				return err
			}
			fmt.Fprintf(c.out, "gateway  %s (%s, projection %d) at %s\n", v.Version, v.Go, v.Projection, gateway.Address())
			return nil
		},
	}
	command.Flags().BoolVar(&clientOnly, "client", false, "this program only")
	return command
}
