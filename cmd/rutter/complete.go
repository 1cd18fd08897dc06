package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionPatience is how long the shell waits for names.
const completionPatience = 2 * time.Second

// complete offers kinds, and the names that the cluster has of them. Where no gateway answers it offers kinds alone.
func (c *cli) complete(among ...kind) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		prefix, wanted := "", kind{}
		if before, _, ok := strings.Cut(typed, "/"); ok {
			k, err := kindOf(before, among...)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			prefix, wanted = before+"/", k
		} else if len(args) > 0 {
			k, err := kindOf(args[0], among...)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			wanted = k
		} else {
			var kinds []string
			for _, k := range among {
				kinds = append(kinds, k.name+"/", k.also[0])
			}
			return kinds, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		gateway, err := c.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionPatience)
		defer cancel()
		rows, err := c.rows(ctx, gateway, getting{kind: wanted}, 0)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, r := range rows {
			names = append(names, prefix+r.name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
