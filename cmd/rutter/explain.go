package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/gateway/client"
)

// explained is what the scheduler last said of an instance.
type explained struct {
	Instance    string                  `json:"instance"`
	Sequence    uint64                  `json:"sequence"`
	Node        string                  `json:"node,omitempty"`
	Assigned    *ledger.AssignedV2      `json:"assigned,omitempty"`
	Unplaceable *unplaced.UnplaceableV2 `json:"unplaceable,omitempty"`
}

func newExplainCommand(c *cli) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "explain instance/NAME",
		Short: "Tell why an instance is on its node: the best nodes' scores; or why on none: what each filter says",
		Long: `Print what the scheduler decided of an instance, out of the log: how many nodes fitted, and what the best of them scored, part by part;
or, where it has no node, how many nodes each filter turned away. It works for what is long gone as well.`,
		Example: "  rutter explain instance/web-0-1",
		Args:    args(1, 2, "one instance, such as instance/web-0-1"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != formatTable && output != "json" {
				return usagef("--output %q: want table or json", output)
			}
			_, named, err := thingsIn(args, &instances, instances)
			if err != nil {
				return err
			}
			if len(named) != 1 {
				return usagef("want one instance, such as instance/web-0-1")
			}
			gateway, err := c.reader(cmd.Context())
			if err != nil {
				return err
			}
			x := explained{Instance: named[0].name}
			if err := gateway.History(cmd.Context(), client.Thing{Kind: instances.name, Namespace: c.space(), Name: named[0].name}, x.hear); err != nil {
				return err
			}
			if output == "json" {
				return json.NewEncoder(c.out).Encode(x)
			}
			return x.print(c.out)
		},
	}
	command.Flags().StringVarP(&output, "output", "o", formatTable, "table or json")
	c.addNamespaceFlag(command)
	c.addAtFlag(command)
	return command
}

// hear keeps the newest that the scheduler said.
func (x *explained) hear(e events.Event) error {
	switch data := e.Data.(type) {
	case ledger.AssignedV2:
		x.Sequence, x.Node, x.Assigned, x.Unplaceable = e.Sequence, e.Subject.Node(), &data, nil
	case unplaced.UnplaceableV2:
		x.Sequence, x.Node, x.Assigned, x.Unplaceable = e.Sequence, "", nil, &data
	}
	return nil
}

func (x *explained) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	switch {
	case x.Assigned != nil:
		a := x.Assigned
		fmt.Fprintf(w, "%s was given to node %s at sequence %d: %d of %d nodes fitted", x.Instance, x.Node, x.Sequence, a.Fitted, a.Considered)
		if a.Policy != "" {
			fmt.Fprintf(w, ", by profile %s", a.Policy)
		}
		fmt.Fprintln(w)
		for _, d := range a.Devices {
			fmt.Fprintf(w, "container %s gets %d thousandths of GPU %d\n", d.Container, d.Milli, d.Device)
		}
		if len(a.Scores) == 0 {
			break
		}
		parts := slices.Sorted(maps.Keys(a.Scores[0].Parts))
		fmt.Fprintf(w, "NODE\tTOTAL\t%s\n", strings.ToUpper(strings.Join(parts, "\t")))
		for _, s := range a.Scores {
			fmt.Fprintf(w, "%s\t%d", s.Node, s.Total)
			for _, part := range parts {
				fmt.Fprintf(w, "\t%d", s.Parts[part])
			}
			fmt.Fprintln(w)
		}
	case x.Unplaceable != nil:
		u := x.Unplaceable
		fmt.Fprintf(w, "%s fits on none of %d nodes, as of sequence %d\n", x.Instance, u.Nodes, x.Sequence)
		fmt.Fprintln(w, "FILTER\tNODES\tWHY")
		for _, r := range u.Reasons {
			fmt.Fprintf(w, "%s\t%d\t%s\n", r.Filter, r.Nodes, r.Detail)
		}
		if u.Awaits != "" {
			fmt.Fprintf(w, "it awaits room on %s\n", u.Awaits)
		}
	default:
		fmt.Fprintf(w, "the scheduler has said nothing of %s yet\n", x.Instance)
	}
	return w.Flush()
}
