package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

func newCordonCommand(c *cli) *cobra.Command {
	return c.nodeCommand(&cobra.Command{
		Use:   "cordon NODE…",
		Short: "Keep new instances off nodes; those on them stay",
		Long: `Keep new instances off nodes. What runs there goes on, also through restarts of its containers;
rutter uncordon lets new ones on them again.`,
		Example: "  rutter cordon node/n1 --reason \"disk makes noises\"",
	}, "cordoned", func(ctx context.Context, gateway *client.Client, name string, options client.Options) (api.Result, error) {
		return gateway.Cordon(ctx, name, true, options)
	})
}

func newUncordonCommand(c *cli) *cobra.Command {
	return c.nodeCommand(&cobra.Command{
		Use:     "uncordon NODE…",
		Short:   "Let new instances on nodes again; ends a drain",
		Example: "  rutter uncordon node/n1",
	}, "uncordoned", func(ctx context.Context, gateway *client.Client, name string, options client.Options) (api.Result, error) {
		return gateway.Cordon(ctx, name, false, options)
	})
}

// nodeCommand completes a command that does the same to each node it names.
func (c *cli) nodeCommand(command *cobra.Command, done string, do func(context.Context, *client.Client, string, client.Options) (api.Result, error)) *cobra.Command {
	var how changing
	command.Args = args(1, -1, "the node's name")
	command.RunE = func(cmd *cobra.Command, args []string) error {
		_, named, err := thingsIn(args, &nodes, nodes)
		if err != nil {
			return err
		}
		if how.key != "" && len(named) > 1 {
			return usagef("--idempotency-key names one change: %s nodes one by one with it", command.Name())
		}
		gateway, err := c.connect()
		if err != nil {
			return err
		}
		for _, t := range named {
			result, err := do(cmd.Context(), gateway, t.name, how.options())
			if err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			c.printNodeResult(t, result, done)
		}
		return nil
	}
	how.recordFlags(command.Flags())
	return command
}

func (c *cli) printNodeResult(t thing, result api.Result, done string) {
	switch result.Verdict {
	case api.VerdictPending:
		fmt.Fprintf(c.out, "%s pending: not decided yet, see `rutter get operation %s`\n", t, result.Operation.ID)
	case api.VerdictUnchanged:
		fmt.Fprintf(c.out, "%s unchanged\n", t)
	default:
		fmt.Fprintf(c.out, "%s %s\n", t, done)
	}
}

func newDrainCommand(c *cli) *cobra.Command {
	var how changing
	var within time.Duration
	command := &cobra.Command{
		Use:   "drain NODE",
		Short: "Empty a node: what runs there is replaced elsewhere, then stopped",
		Long: `Empty a node. It gets no new instances; each instance on it is replaced elsewhere, and stops once its
replacement is ready. Where two must not run at once (onPartition: stop), or the replacement fits nowhere,
it stops first, as far as its workload can do without it. --within sets an end to that: what is left then
is stopped whatever it costs. An interrupt of this command leaves the drain going on; uncordon ends it.`,
		Example: "  rutter drain node/n1 --within 10m --reason \"kernel update\"\n  rutter uncordon node/n1",
		Args:    args(1, 2, "the node's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, named, err := thingsIn(args, &nodes, nodes)
			if err != nil {
				return err
			}
			if len(named) != 1 {
				return usagef("drain one node at a time: its instances have to find room on the others")
			}
			if within < 0 {
				return usagef("--within %s: want a time to come, such as 10m", within)
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			t := named[0]
			result, err := gateway.Drain(cmd.Context(), t.name, spec.Duration(within), how.options())
			if err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			c.printNodeResult(t, result, "draining")
			if !how.wait {
				return nil
			}
			return c.awaitDrained(cmd.Context(), gateway, t.name, result, how.timeout)
		},
	}
	how.flags(command.Flags())
	command.Flags().DurationVar(&within, "within", 0, "after this the rest is stopped whatever it costs; 0: there is no hurry")
	return command
}

// awaitDrained returns once nothing is left on the node, and tells what is until then.
func (c *cli) awaitDrained(ctx context.Context, gateway *client.Client, name string, result api.Result, timeout time.Duration) error {
	show := c.newProgress()
	defer show.end()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	line := ""
	check := func(ctx context.Context, sequence uint64) (bool, error) {
		n, err := gateway.Node(ctx, name, max(sequence, result.Operation.Sequence))
		switch {
		case err != nil:
			return false, err
		case n.Drain == nil:
			return false, fmt.Errorf("node %s is drained no longer: somebody has uncordoned it", name)
		case n.Drain.Done:
			return true, nil
		}
		list, err := gateway.Instances(ctx, client.Selection{Node: name})
		if err != nil {
			return false, err
		}
		line = drainLine(n, list.Items)
		show.tell(line)
		return false, nil
	}
	err := gateway.Await(ctx, client.Filter{Node: name}, check)
	show.end()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("node %s is not empty after %s: %s\nit goes on draining; see `rutter get instances -A --node %s`, or set an end by `rutter drain %s --within 1m`",
			name, timeout, line, name, name)
	}
	if err == nil {
		fmt.Fprintf(c.out, "node/%s drained\n", name)
	}
	return err
}

func drainLine(n api.Node, left []api.Instance) string {
	stopping, example := 0, ""
	for _, i := range left {
		if i.Wished {
			example = i.Name
		} else {
			stopping++
		}
	}
	line := fmt.Sprintf("%s: %d left, %d of them stopping", n.Name, n.Instances, stopping)
	if example != "" {
		line += ", " + example + " waits for its replacement"
	}
	return line
}

func newTaintCommand(c *cli) *cobra.Command {
	var how changing
	command := &cobra.Command{
		Use:   "taint NODE KEY[=VALUE]:EFFECT… KEY[:EFFECT]-…",
		Short: "Set taints on a node, and take others off",
		Long: `Taints keep instances off a node that do not tolerate them. Effects: NoSchedule, PreferNoSchedule, NoExecute.
A minus at the end takes a taint off; without an effect all of the key.`,
		Example: "  rutter taint node/n1 dedicated=gpu:NoSchedule\n  rutter taint node/n1 dedicated-",
		Args:    args(2, -1, "the node's name and taints"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, words, err := nodeAndWords(args)
			if err != nil {
				return err
			}
			var change api.TaintChange
			for _, word := range words {
				if removed, ok := strings.CutSuffix(word, "-"); ok {
					key, effect, _ := strings.Cut(removed, ":")
					change.Remove = append(change.Remove, spec.Taint{Key: key, Effect: spec.TaintEffect(effect)})
					continue
				}
				taint, err := spec.ParseTaint(word)
				if err != nil {
					return usagef("%v", err)
				}
				change.Set = append(change.Set, taint)
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			result, err := gateway.Taint(cmd.Context(), t.name, change, how.options())
			if err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			c.printNodeResult(t, result, "tainted")
			return nil
		},
	}
	how.recordFlags(command.Flags())
	return command
}

func newLabelCommand(c *cli) *cobra.Command {
	var how changing
	command := &cobra.Command{
		Use:   "label NODE KEY=VALUE… KEY-…",
		Short: "Set labels on a node, and take others off",
		Long: `Labels set here outlive the node's agent and win over those that it registers with. A minus at the end takes
a label off.`,
		Example: "  rutter label node/n1 disk=ssd zone=a\n  rutter label node/n1 disk-",
		Args:    args(2, -1, "the node's name and labels"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, words, err := nodeAndWords(args)
			if err != nil {
				return err
			}
			change := api.LabelChange{Set: map[string]string{}}
			for _, word := range words {
				if key, value, ok := strings.Cut(word, "="); ok {
					change.Set[key] = value
				} else if key, ok := strings.CutSuffix(word, "-"); ok {
					change.Remove = append(change.Remove, key)
				} else {
					return usagef("%q: want key=value, or key- to take a label off", word)
				}
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			result, err := gateway.Label(cmd.Context(), t.name, change, how.options())
			if err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			c.printNodeResult(t, result, "labelled")
			return nil
		},
	}
	how.recordFlags(command.Flags())
	return command
}

// nodeAndWords reads `node/n1 words…`, `n1 words…` and `node n1 words…`.
func nodeAndWords(args []string) (thing, []string, error) {
	at := 1
	if !strings.Contains(args[0], "/") && len(args) > 2 {
		if _, err := kindOf(args[0], nodes); err == nil {
			at = 2
		}
	}
	_, named, err := thingsIn(args[:at], &nodes, nodes)
	if err != nil {
		return thing{}, nil, err
	}
	return named[0], args[at:], nil
}
