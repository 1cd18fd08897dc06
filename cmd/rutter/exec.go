package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

func newExecCommand(c *cli) *cobra.Command {
	var options client.ExecOptions
	var interactive bool
	command := &cobra.Command{
		Use:   "exec [-it] INSTANCE | workload/NAME -- COMMAND [ARG…]",
		Short: "Run a command in a container of an instance",
		Long:  `Run a command in a running container. Its exit code is this command's. Of a workload the first ready instance is taken.`,
		Example: `  rutter exec web-0-1 -- cat /etc/hostname
  rutter exec -it web-0-1 -- sh`,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			if dash < 1 || dash == len(args) {
				return usagef("want an instance, then -- and the command: rutter exec web-0-1 -- ls /")
			}
			options.Command = args[dash:]
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			name, err := c.execTarget(cmd.Context(), gateway, args[:dash])
			if err != nil {
				return err
			}
			if interactive {
				options.Stdin = c.in
			}
			return c.exec(cmd.Context(), gateway, name, options)
		},
	}
	flags := command.Flags()
	flags.BoolVarP(&interactive, "stdin", "i", false, "pass standard input on")
	flags.BoolVarP(&options.TTY, "tty", "t", false, "give the command a terminal")
	flags.StringVarP(&options.Container, "container", "c", "", "container, where there are several")
	c.addNamespaceFlag(command)
	return command
}

func (c *cli) execTarget(ctx context.Context, gateway *client.Client, args []string) (string, error) {
	names, err := c.instancesNamed(ctx, gateway, args)
	if err != nil || len(names) == 1 {
		return append(names, "")[0], err
	}
	for _, name := range names {
		if i, err := gateway.Instance(ctx, c.space(), name, 0); err == nil && i.Phase == spec.PhaseReady {
			return name, nil
		}
	}
	return names[0], nil
}

func (c *cli) exec(ctx context.Context, gateway *client.Client, name string, options client.ExecOptions) error {
	options.Stdout, options.Stderr = c.out, c.err
	if options.TTY {
		restore, sizes, err := c.rawTerminal()
		if err != nil {
			return err
		}
		defer restore()
		options.Resize = sizes
	}
	code, err := gateway.Exec(ctx, c.space(), name, options)
	if err != nil {
		return err
	}
	if code != 0 {
		return &exitError{code: code}
	}
	return nil
}

// rawTerminal hands the terminal to the command in the container: every key goes there, Ctrl-C as well. Without a terminal it does nothing.
func (c *cli) rawTerminal() (restore func(), sizes <-chan api.TerminalSize, err error) {
	in, isFile := c.in.(*os.File)
	if !isFile || !term.IsTerminal(int(in.Fd())) {
		return nil, nil, usagef("-t needs a terminal: leave it out where input or output is a pipe")
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, nil, fmt.Errorf("take the terminal: %w", err)
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	changed <- syscall.SIGWINCH // the first size
	told := make(chan api.TerminalSize)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-changed:
			}
			width, height, err := term.GetSize(int(in.Fd()))
			if err != nil {
				continue
			}
			select {
			case told <- api.TerminalSize{Width: uint16(width), Height: uint16(height)}:
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(changed)
		close(done)
		if err := term.Restore(int(in.Fd()), before); err != nil {
			fmt.Fprintln(c.err, "error: give the terminal back:", err, "(type `reset`)")
		}
	}, told, nil
}
