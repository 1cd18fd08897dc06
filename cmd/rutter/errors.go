package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/api"
)

// The exit codes.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// usageError is a wrong command line.
type usageError struct{ message string }

// Error implements error.
func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// exitError ends the process with a code of its own and says nothing.
type exitError struct{ code int }

// Error implements error.
func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// exitCode prints an error and says what the process is to exit with.
func (c *cli) exitCode(ctx context.Context, err error) int {
	var exit *exitError
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	fmt.Fprintln(c.err, "error: "+explain(err))
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

// explain is the error with what can be done about it.
func explain(err error) string {
	text := strings.TrimSpace(err.Error())
	var p *api.Problem
	if errors.As(err, &p) {
		switch {
		case p.Status == http.StatusServiceUnavailable:
			text += "\ntry again in a moment"
		case p.Status >= http.StatusInternalServerError && p.RequestID != "":
			text += "\nthe gateway's log has more under request " + p.RequestID
		}
	}
	return text
}

// args checks the number of arguments; want says what they are.
func args(least, most int, want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || (most >= 0 && len(args) > most) {
			return usagef("want %s: %s", want, cmd.UseLine())
		}
		return nil
	}
}
