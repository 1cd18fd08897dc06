package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

// restoring is how a restore or an undo is carried out.
type restoring struct {
	reason string
	key    string
	dryRun bool
	yes    bool
	format string
}

func (r *restoring) flags(flags *pflag.FlagSet) {
	flags.StringVar(&r.reason, "reason", "", "why; it stays on the record")
	flags.StringVar(&r.key, "idempotency-key", "", "the same key does the same thing once, however often it is sent")
	flags.BoolVar(&r.dryRun, "dry-run", false, "show the difference and do nothing")
	flags.BoolVarP(&r.yes, "yes", "y", false, "do not ask")
	flags.StringVarP(&r.format, "output", "o", formatTable, "table, json or yaml; json and yaml need --yes or --dry-run")
}

func newRestoreCommand(c *cli) *cobra.Command {
	var how restoring
	var all, prune bool
	command := &cobra.Command{
		Use:   "restore --at MOMENT [WORKLOAD…]",
		Short: "Bring back what was wished for at a moment, as new events",
		Long: `Wish again for what was wished for at a moment: of the workloads named, of a namespace, or of all with -A. It shows the difference
and asks before it does anything. The log only grows: each workload that differs gets a command of its own, whose events come
after all others, so a restore can itself be undone. What did not exist then is left alone unless --prune is given.`,
		Example: "  rutter restore --at -15m\n  rutter restore --at 1200 workload/web --reason \"the new image leaks\"\n  rutter restore --at 2026-11-24T10:00:00Z -A --prune --dry-run",
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.at == "" {
				return usagef("restore what moment? want --at: %s", momentHelp)
			}
			request := api.Restore{At: c.at, Prune: prune}
			if all && (c.namespace != "" || len(args) > 0) {
				return usagef("-A is all namespaces: leave out -n and names, or leave out -A")
			}
			if !all {
				request.Namespace = c.space()
			}
			if len(args) > 0 {
				_, named, err := thingsIn(args, &workloads, workloads)
				if err != nil {
					return err
				}
				for _, t := range named {
					request.Workloads = append(request.Workloads, t.name)
				}
			}
			return c.carryOut(cmd, how, func(gateway *client.Client, dryRun bool) (api.Restored, error) {
				request.DryRun = dryRun
				restored, err := gateway.Restore(cmd.Context(), request, client.Options{Reason: how.reason, IdempotencyKey: how.key})
				if err == nil { // -15m is the same moment when it is carried out
					request.At = fmt.Sprint(restored.At.Sequence)
				}
				return restored, err
			})
		},
	}
	how.flags(command.Flags())
	command.Flags().StringVar(&c.at, "at", "", "the moment to restore: "+momentHelp)
	command.Flags().BoolVarP(&all, "all-namespaces", "A", false, "of all namespaces")
	command.Flags().BoolVar(&prune, "prune", false, "also delete what did not exist then")
	c.addNamespaceFlag(command)
	return command
}

func newUndoCommand(c *cli) *cobra.Command {
	var how restoring
	var force bool
	command := &cobra.Command{
		Use:   "undo OPERATION",
		Short: "Change back what one operation changed, as new events",
		Long: `Bring the workload that an operation changed back to what it was before it. Where somebody has changed the workload again since, it
is refused unless --force is given. ` + "`rutter get operations`" + ` lists operations.`,
		Example: "  rutter undo k3v9x2m4 --dry-run\n  rutter undo k3v9x2m4 --reason \"wrong cluster\"",
		Args:    args(1, 1, "one operation: `rutter get operations` lists them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := strings.TrimPrefix(args[0], operations.name+"/")
			return c.carryOut(cmd, how, func(gateway *client.Client, dryRun bool) (api.Restored, error) {
				return gateway.Undo(cmd.Context(), id, api.Undo{DryRun: dryRun, Force: force}, client.Options{Reason: how.reason, IdempotencyKey: how.key})
			})
		},
	}
	how.flags(command.Flags())
	command.Flags().BoolVar(&force, "force", false, "also where the workload was changed again since")
	return command
}

// carryOut shows what a restore comes to, asks, and does it.
func (c *cli) carryOut(cmd *cobra.Command, how restoring, restore func(gateway *client.Client, dryRun bool) (api.Restored, error)) error {
	if err := oneOf(how.format, formatTable, formatJSON, formatYAML); err != nil {
		return err
	}
	plain := how.format == formatTable
	if !plain && !how.yes && !how.dryRun {
		return usagef("-o %s asks no questions: give --yes or --dry-run", how.format)
	}
	gateway, err := c.connect()
	if err != nil {
		return err
	}
	if how.dryRun || !how.yes {
		planned, err := restore(gateway, true)
		if err != nil {
			return err
		}
		if !plain {
			return c.printDocument(planned, how.format)
		}
		c.printRestored(planned)
		if how.dryRun || !planned.Changes() {
			return nil
		}
		if err := c.confirm("Append this as new events?"); err != nil {
			return err
		}
	}
	done, err := restore(gateway, false)
	if err != nil {
		return err
	}
	if !plain {
		err = c.printDocument(done, how.format)
	} else {
		c.printRestored(done)
	}
	for _, step := range done.Steps {
		if step.Error != "" {
			return errors.Join(err, fmt.Errorf("workload/%s in namespace %s: %s", step.Name, step.Namespace, step.Error))
		}
	}
	return err
}

func (c *cli) printRestored(r api.Restored) {
	head := "restored " + momentText(r.At) + ":"
	if r.DryRun {
		head = "to be as at " + momentText(r.At) + ":"
	}
	fmt.Fprintln(c.out, head)
	for _, step := range r.Steps {
		end := ""
		switch {
		case step.Error != "":
			end = "  FAILED: " + step.Error
		case step.Operation != nil:
			end = fmt.Sprintf("  done at sequence %d", step.Operation.Sequence)
		}
		fmt.Fprintf(c.out, "  workload/%s in %s: %s%s\n", step.Name, step.Namespace, step.Words, end)
		c.printChanges("      ", step.Changes)
	}
	if len(r.Steps) == 0 {
		fmt.Fprintln(c.out, "  nothing differs")
		return
	}
	fmt.Fprintln(c.out, "What no event can bring back:")
	for _, lost := range r.NotRestored {
		fmt.Fprintln(c.out, "  * "+lost)
	}
}

// confirm asks a question that only y or yes answers well.
func (c *cli) confirm(question string) error {
	fmt.Fprintf(c.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(c.in).ReadString('\n')
	if err != nil && answer == "" {
		return usagef("nobody answered: give --yes to go on without being asked")
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was done")
}
