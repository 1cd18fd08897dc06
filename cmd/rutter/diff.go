package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/api"
)

func newDiffCommand(c *cli) *cobra.Command {
	var from, to, format string
	command := &cobra.Command{
		Use:   "diff --from MOMENT [--to MOMENT]",
		Short: "Tell what changed in the cluster between two moments",
		Long: `Tell what changed between two moments: workloads, instances and nodes that came, went or changed, in words. A moment is
` + momentHelp + `. Without -n it is about all namespaces and the nodes. Like diff(1) it ends with
exit code 0 either way.`,
		Example: "  rutter diff --from -15m\n  rutter diff --from 120 --to 180 -n default\n  rutter diff --from 2026-11-24T00:00:00Z -o json",
		Args:    args(0, 0, "no argument: moments are flags"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf(format, formatTable, formatWide, formatJSON, formatYAML); err != nil {
				return err
			}
			if from == "" {
				return usagef("from when? want --from: %s", momentHelp)
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			diff, err := gateway.Diff(cmd.Context(), from, to, c.namespace)
			if err != nil {
				return err
			}
			if format == formatJSON || format == formatYAML {
				return c.printDocument(diff, format)
			}
			c.printDiff(diff, format == formatWide)
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&from, "from", "", "the earlier moment: "+momentHelp)
	flags.StringVar(&to, "to", "", "the later moment; now where it is left out")
	flags.StringVarP(&format, "output", "o", formatTable, "table, wide (with every field), json or yaml")
	c.addNamespaceFlag(command)
	return command
}

// marks of the turns, as in diff -u.
var turnMarks = map[api.Turn]string{api.TurnAdded: "+", api.TurnRemoved: "-", api.TurnChanged: "~"}

func (c *cli) printDiff(diff api.Diff, wide bool) {
	fmt.Fprintf(c.out, "from %s to %s:\n", momentText(diff.From), momentText(diff.To))
	if len(diff.Differences) == 0 {
		fmt.Fprintln(c.out, "nothing changed")
	}
	for _, d := range diff.Differences {
		name := d.Kind + "/" + d.Name
		if d.Namespace != "" && d.Namespace != c.space() {
			name = d.Kind + "/" + d.Namespace + "/" + d.Name
		}
		line := fmt.Sprintf("%s %s %s", turnMarks[d.Turn], name, d.Words)
		if !wide {
			line = cutTo(line, c.tableWidth())
		}
		fmt.Fprintln(c.out, line)
		if wide {
			c.printChanges("    ", d.Changes)
		}
	}
}

// printChanges prints fields that differ.
func (c *cli) printChanges(indent string, changes []api.Change) {
	for _, change := range changes {
		fmt.Fprintf(c.out, "%s%s: %s → %s\n", indent, change.Field, none(change.From), none(change.To))
	}
}

// oneOf refuses an output format that is not among those that a command knows.
func oneOf(format string, known ...string) error {
	for _, k := range known {
		if format == k {
			return nil
		}
	}
	return usagef("output format %q: want one of %s", format, known)
}
