package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/api"
)

func newRolloutCommand(c *cli) *cobra.Command {
	command := &cobra.Command{
		Use:   "rollout status|history|undo|pause|resume|promote|abort|restart WORKLOAD",
		Short: "See and steer how a new revision takes the place of the old one",
		Long: `See and steer roll-outs. How many instances may be missing or too many meanwhile, whether a canary goes first
and what becomes of a roll-out that gets nowhere is said in the workload's spec.strategy.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q: want rollout status, history, undo, pause, resume, promote, abort or restart", args[0])
			}
			return cmd.Help()
		},
	}
	status := &cobra.Command{
		Use: "status WORKLOAD", Short: "Tell how far it is, and wait until it is over",
		Example: "  rutter rollout status workload/web",
	}
	var how changing
	status.Args = args(1, 2, "the workload's name")
	status.RunE = func(cmd *cobra.Command, args []string) error { return c.rolloutStatus(cmd.Context(), args, how) }
	status.Flags().BoolVar(&how.wait, "wait", true, "wait until it is over")
	status.Flags().DurationVar(&how.timeout, "timeout", defaultTimeout, "how long to wait")
	past := &cobra.Command{Use: "history WORKLOAD", Short: "List the revisions that one can go back to", Example: "  rutter rollout history workload/web"}
	format := past.Flags().StringP("output", "o", formatTable, "table, wide, json, yaml or name")
	past.Args = args(1, 2, "the workload's name")
	past.RunE = func(cmd *cobra.Command, args []string) error { return c.revisions(cmd.Context(), args, *format) }
	var to int
	undo := c.rolloutAction(workload.ActionUndo, "Go back to the revision before, or to another one", true, &to)
	undo.Example = "  rutter rollout undo workload/web\n  rutter rollout undo workload/web --to-revision 3 --reason \"checkout broken\""
	undo.Flags().IntVar(&to, "to-revision", 0, "the revision to go back to; 0: the last one that was whole")
	commands := []*cobra.Command{
		status, past, undo,
		c.rolloutAction(workload.ActionPause, "Touch no further slots", false, nil),
		c.rolloutAction(workload.ActionResume, "Go on", true, nil),
		c.rolloutAction(workload.ActionPromote, "The canary is good: let the others follow", true, nil),
		c.rolloutAction(workload.ActionAbort, "Go back to where it began", true, nil),
		c.rolloutAction(workload.ActionRestart, "Replace every instance by one that runs the same", true, nil),
	}
	for _, sub := range commands {
		c.addClientFlags(sub)
		c.addNamespaceFlag(sub)
		sub.ValidArgsFunction = c.complete(workloads)
		command.AddCommand(sub)
	}
	return command
}

func newRestartCommand(c *cli) *cobra.Command {
	command := c.rolloutAction(workload.ActionRestart, "Replace every instance of a workload by one that runs the same", true, nil)
	command.Example = "  rutter restart workload/web --reason \"new certificates\""
	c.addNamespaceFlag(command)
	return command
}

// rolloutAction is the command of one action.
func (c *cli) rolloutAction(action workload.RolloutAction, short string, waits bool, revision *int) *cobra.Command {
	var how changing
	command := &cobra.Command{
		Use: string(action) + " WORKLOAD", Short: short, Example: "  rutter rollout " + string(action) + " workload/web",
		Args: args(1, 2, "the workload's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := oneWorkload(args)
			if err != nil {
				return err
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			ask := api.RolloutAction{Action: action}
			if revision != nil {
				ask.Revision = *revision
			}
			result, err := gateway.Rollout(cmd.Context(), c.space(), t.name, ask, how.options())
			if err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			c.printResult(t.name, result)
			if !waits || !how.wait {
				return nil
			}
			return c.awaitReady(cmd.Context(), gateway, result, how.timeout)
		},
	}
	if waits {
		how.flags(command.Flags())
	} else {
		how.recordFlags(command.Flags())
	}
	return command
}

func oneWorkload(args []string) (thing, error) {
	_, named, err := thingsIn(args, &workloads, workloads)
	switch {
	case err != nil:
		return thing{}, err
	case len(named) != 1:
		return thing{}, usagef("want one workload, such as workload/web")
	}
	return named[0], nil
}

func (c *cli) rolloutStatus(ctx context.Context, args []string, how changing) error {
	t, err := oneWorkload(args)
	if err != nil {
		return err
	}
	gateway, err := c.connect()
	if err != nil {
		return err
	}
	w, err := gateway.Workload(ctx, c.space(), t.name, 0)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, rolloutLine(w))
	r := w.Status.Rollout
	if !how.wait || r == nil || r.State != api.RolloutProgressing {
		return nil
	}
	return c.awaitReady(ctx, gateway, api.Result{Workload: &w, Operation: &api.Operation{}}, how.timeout)
}

// rolloutLine says in one line how far a workload's roll-out is.
func rolloutLine(w api.Workload) string {
	s, r := w.Status, w.Status.Rollout
	line := fmt.Sprintf("workload/%s: revision %d, %d of %d ready", w.Metadata.Name, s.Revision, s.Ready, s.Wished)
	if r == nil {
		return line + ", no roll-out yet"
	}
	line += fmt.Sprintf("; roll-out of revision %d after %d: %s", r.Revision, r.From, strings.ToLower(string(r.State)))
	switch {
	case r.State == api.RolloutWaiting:
		line += ", promote or abort it"
	case r.Message != "":
		line += ", " + r.Message
	}
	return line
}

func (c *cli) revisions(ctx context.Context, args []string, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	t, err := oneWorkload(args)
	if err != nil {
		return err
	}
	gateway, err := c.connect()
	if err != nil {
		return err
	}
	rows, err := listed(gateway.Revisions(ctx, c.space(), t.name))(c.revisionRow)
	if err != nil {
		return err
	}
	return c.print(table{head: []string{"INSTANCES", "AGE", "ACTOR", "IMAGES"}, wide: []string{"SEQUENCE"}}, rows, format, false, false)
}

var revisionsKind = kind{"revision", []string{"revisions"}, false}

func (c *cli) revisionRow(r api.Revision) row {
	var images []string
	for _, container := range r.Workload.Spec.Containers {
		images = append(images, container.Image.Short())
	}
	name := fmt.Sprint(r.Number)
	return row{
		kind: revisionsKind, name: name, document: r,
		cells: []string{fmt.Sprint(r.Instances), c.age(r.Mark.Time), none(r.Mark.Actor), strings.Join(images, ",")},
		wide:  []string{fmt.Sprint(r.Mark.Sequence)},
	}
}
