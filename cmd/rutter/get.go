package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/client"
)

// getting is what `get` was asked for.
type getting struct {
	kind     kind
	named    []thing
	all      bool // namespaces
	gone     bool
	watch    bool
	selector string
	workload string
	node     string
	format   string
	limit    int
}

func newGetCommand(c *cli) *cobra.Command {
	var g getting
	command := &cobra.Command{
		Use:   "get KIND [NAME…] | KIND/NAME…",
		Short: "List workloads, instances, nodes, operations or events",
		Long: `List things. Kinds, with their short names: workloads (wl), instances (in), nodes (no), operations (op), events (ev).

What -o yaml prints of a workload can be applied again.`,
		Example: `  rutter get workloads -A
  rutter get workload web -o yaml
  rutter get instances -l app=web -o wide
  rutter get instances --node n1 -w
  rutter get operations`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if g.kind, g.named, err = thingsIn(args, nil, workloads, instances, nodes, operations, eventsKind); err != nil {
				return err
			}
			return c.get(cmd.Context(), g)
		},
	}
	c.addNamespaceFlag(command)
	c.addAtFlag(command)
	g.flags(command)
	command.Flags().StringVar(&g.workload, "workload", "", "instances of this workload only")
	command.Flags().StringVar(&g.node, "node", "", "instances on this node only")
	command.Flags().IntVar(&g.limit, "limit", 0, "operations: at most so many, newest first")
	return command
}

func (g *getting) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.BoolVarP(&g.all, "all-namespaces", "A", false, "of all namespaces")
	flags.BoolVar(&g.gone, "gone", false, "also what is over and still remembered")
	flags.BoolVarP(&g.watch, "watch", "w", false, "go on, and print what changes")
	flags.StringVarP(&g.selector, "selector", "l", "", "only with these labels, such as app=web,tier!=cache")
	flags.StringVarP(&g.format, "output", "o", formatTable, "table, wide, json, yaml or name")
}

func newNodesCommand(c *cli) *cobra.Command {
	g := getting{kind: nodes}
	command := &cobra.Command{
		Use:   "nodes [NAME…]",
		Short: "List the nodes: short for `get nodes`",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) > 0 {
				if _, g.named, err = thingsIn(append([]string{"nodes"}, args...), nil, nodes); err != nil {
					return err
				}
			}
			return c.get(cmd.Context(), g)
		},
	}
	g.flags(command)
	c.addAtFlag(command)
	return command
}

func (c *cli) get(ctx context.Context, g getting) error {
	if err := checkFormat(g.format); err != nil {
		return err
	}
	if g.all && (c.namespace != "" || len(g.named) > 0) {
		return usagef("-A is all namespaces and all names: leave out -n and names, or leave out -A")
	}
	if g.watch && c.at != "" {
		return usagef("-w goes on with what happens and --at is a moment: leave out one of them")
	}
	gateway, err := c.reader(ctx)
	if err != nil {
		return err
	}
	if g.kind.name == eventsKind.name {
		if len(g.named) > 0 {
			return usagef("events have no names: `rutter events` filters them")
		}
		return c.events(ctx, gateway, eventsWanted{follow: g.watch, format: g.format, filter: g.filter(c)})
	}
	rows, err := c.rows(ctx, gateway, g, 0)
	if err != nil {
		return err
	}
	if g.watch {
		return c.watch(ctx, gateway, g, rows)
	}
	if len(rows) == 0 && (g.format == formatTable || g.format == formatWide) {
		fmt.Fprintln(c.err, c.nothing(g))
		return nil
	}
	return c.print(tableOf(g.kind), rows, g.format, g.all, len(g.named) == 1)
}

func (c *cli) nothing(g getting) string {
	where := ""
	if g.kind.spaced && !g.all {
		where = " in namespace " + c.space()
	}
	return fmt.Sprintf("no %s%s", g.kind.also[0], where)
}

func (g getting) filter(c *cli) client.Filter {
	f := client.Filter{Workload: g.workload, Node: g.node}
	if g.kind.spaced && !g.all {
		f.Namespace = c.space()
	}
	return f
}

// rows reads what is listed, in the order of the names given.
func (c *cli) rows(ctx context.Context, gateway *client.Client, g getting, sequence uint64) (rows []row, err error) {
	for _, t := range g.named {
		r, err := c.row(ctx, gateway, t, sequence)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	if len(g.named) > 0 {
		return rows, nil
	}
	s := client.Selection{Workload: g.workload, Node: g.node, Selector: g.selector, Gone: g.gone, Sequence: sequence}
	if !g.all {
		s.Namespace = c.space()
	}
	switch g.kind.name {
	case workloads.name:
		return listed(gateway.Workloads(ctx, s))(c.workloadRow)
	case instances.name:
		return listed(gateway.Instances(ctx, s))(c.instanceRow)
	case nodes.name:
		return listed(gateway.Nodes(ctx, s))(c.nodeRow)
	default:
		return listed(gateway.Operations(ctx, g.limit))(c.operationRow)
	}
}

func (c *cli) row(ctx context.Context, gateway *client.Client, t thing, sequence uint64) (row, error) {
	switch t.kind.name {
	case workloads.name:
		w, err := gateway.Workload(ctx, c.space(), t.name, sequence)
		return c.workloadRow(w), err
	case instances.name:
		i, err := gateway.Instance(ctx, c.space(), t.name, sequence)
		return c.instanceRow(i), err
	case nodes.name:
		n, err := gateway.Node(ctx, t.name, sequence)
		return c.nodeRow(n), err
	default:
		o, err := gateway.Operation(ctx, t.name)
		return c.operationRow(o), err
	}
}

// watch prints the rows, then each one again that changes, until it is interrupted.
func (c *cli) watch(ctx context.Context, gateway *client.Client, g getting, rows []row) error {
	shown := map[string]string{}
	out := &sheet{table: tableOf(g.kind), wide: g.format == formatWide, namespaces: g.all}
	show := func(rows []row) error {
		if g.format == formatTable || g.format == formatWide {
			out.print(c, rows)
			return nil
		}
		for _, r := range rows {
			if err := c.print(out.table, []row{r}, g.format, g.all, true); err != nil {
				return err
			}
		}
		return nil
	}
	// Only what is told changes a row: an age alone does not.
	news := func(rows []row) (fresh []row) {
		present := map[string]bool{}
		for _, r := range rows {
			key := r.namespace + "/" + r.name
			present[key] = true
			data, err := json.Marshal(r.document)
			if err != nil || shown[key] == string(data) {
				continue
			}
			shown[key] = string(data)
			fresh = append(fresh, r)
		}
		for key := range shown {
			if !present[key] {
				delete(shown, key)
			}
		}
		return fresh
	}
	if err := show(news(rows)); err != nil {
		return err
	}
	return gateway.Await(ctx, g.filter(c), func(ctx context.Context, sequence uint64) (bool, error) {
		rows, err := c.rows(ctx, gateway, g, sequence)
		if client.IsNotFound(err) {
			return false, nil // it may come (again)
		}
		if err != nil {
			return false, err
		}
		return false, show(news(rows))
	})
}
