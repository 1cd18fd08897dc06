// Command rutter is the whole of Rutter in one binary: the services, each its own subcommand or all of them under `rutter up`, and the
// client.
package main

import (
	"context"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/client"
)

// cli is what the client's commands share: the ends of the process, the clock and where the gateway is.
type cli struct {
	in       io.Reader
	out, err io.Writer
	now      func() time.Time
	width    int // of a table; 0: the terminal's, or 100

	given     client.Config
	config    string // path of client.json
	namespace string
	at        string // the moment that a read is of; empty: now
}

// The groups of the help text.
const (
	groupChange = "change"
	groupLook   = "look"
	groupPast   = "past"
	groupServe  = "serve"
)

// newRootCommand makes the whole command tree: the client's verbs and whatever the binary has besides.
func newRootCommand(c *cli, extra ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   "rutter",
		Short: "An orchestrator whose only source of truth is its log",
		Long: `Rutter runs containers on a cluster of machines. Everything that happens is an event in a log that is kept for ever:
what you see now is folded from it, and so is every moment of the past.

  rutter up                     run a whole cluster in this process
  rutter run nginx --replicas 3 start something
  rutter get instances          see where it runs
  rutter why instance/nginx-0-1 learn how it came about`,
		SilenceErrors: true, // execute prints them, once and in one style
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q: `rutter --help` lists them", args[0])
			}
			return cmd.Help()
		},
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v\nsee `%s --help`", err, cmd.CommandPath())
	})
	root.AddGroup(
		&cobra.Group{ID: groupChange, Title: "Change the cluster:"}, &cobra.Group{ID: groupLook, Title: "Look at it:"},
		&cobra.Group{ID: groupPast, Title: "Ask its log:"}, &cobra.Group{ID: groupServe, Title: "Run it:"},
	)
	group := func(id string, commands ...*cobra.Command) {
		for _, command := range commands {
			command.GroupID = id
			c.addClientFlags(command)
			root.AddCommand(command)
		}
	}
	group(groupChange, newApplyCommand(c), newRunCommand(c), newScaleCommand(c), newRolloutCommand(c), newRestartCommand(c), newStopCommand(c), newDeleteCommand(c), newRestoreCommand(c),
		newUndoCommand(c), newCordonCommand(c), newUncordonCommand(c), newDrainCommand(c), newTaintCommand(c), newLabelCommand(c))
	group(groupLook, newGetCommand(c), newDescribeCommand(c), newNodesCommand(c), newLogsCommand(c), newExecCommand(c), newStatsCommand(c), newVersionCommand(c))
	group(groupPast, newEventsCommand(c), newHistoryCommand(c), newWhyCommand(c), newExplainCommand(c), newDiffCommand(c),
		newQueryCommand(c), newBisectCommand(c), newReplayCommand(c), newExportCommand(c), newAuditCommand(c))
	simulate := newSimulateCommand(c)
	simulate.GroupID = groupLook
	root.AddCommand(simulate)
	completions := map[string]cobra.CompletionFunc{
		"get": c.complete(workloads, instances, nodes, operations), "describe": c.complete(workloads, instances, nodes),
		"history": c.complete(workloads, instances, nodes), "why": c.complete(workloads, instances, nodes),
		"restore": c.complete(workloads), "undo": c.complete(operations), "scale": c.complete(workloads), "delete": c.complete(workloads),
		"restart": c.complete(workloads), "stop": c.complete(instances), "cordon": c.complete(nodes), "uncordon": c.complete(nodes), "drain": c.complete(nodes),
		"taint": c.complete(nodes), "label": c.complete(nodes),
		"logs": c.complete(instances, workloads), "exec": c.complete(instances, workloads), "stats": c.complete(instances, workloads),
	}
	for _, command := range root.Commands() {
		command.ValidArgsFunction = completions[command.Name()]
	}
	for _, command := range extra {
		if command.GroupID == "" {
			command.GroupID = groupServe
		}
		root.AddCommand(command)
	}
	return root
}

// addClientFlags gives a command the flags that say where the gateway is. They are not the root's, so that server commands may use their names.
func (c *cli) addClientFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&c.given.Address, "address", "", "address of the gateway (or "+client.EnvAddress+", or client.json)")
	flags.StringVar(&c.given.Token, "token", "", "token for it (better in "+client.EnvToken+" or client.json: others see a command's arguments)")
	flags.StringVar(&c.given.CA, "ca", "", "PEM file of the certificate authority of its certificate")
	flags.StringVar(&c.config, "client-config", "", "another client.json (default "+client.DefaultPath()+")")
}

func (c *cli) addNamespaceFlag(command *cobra.Command) {
	command.Flags().StringVarP(&c.namespace, "namespace", "n", "", `namespace (default "default")`)
}

func (c *cli) connect() (*client.Client, error) {
	config, err := client.FindConfig(c.given, c.config)
	if err != nil {
		return nil, err
	}
	return client.New(config)
}

// execute runs one command line and returns the exit code: 0, 1 for an error, 2 for a wrong command line, 130 after an interrupt.
func execute(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer, extra ...*cobra.Command) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the process the hard way
	c := &cli{in: in, out: out, err: errOut, now: time.Now}
	root := newRootCommand(c, extra...)
	root.SetArgs(args)
	return c.exitCode(ctx, root.ExecuteContext(ctx))
}
