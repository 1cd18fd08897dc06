package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/client"
)

func newAuditLogCommand(c *cli) *cobra.Command {
	var f client.AuditFilter
	var format string
	command := &cobra.Command{
		Use:   "log",
		Short: "Print who wanted what, and what came of it",
		Long: `Print the commands that were decided on, accepted and rejected, and the dry runs, oldest first. What was refused before it became a command, for
want of a token or because the document was not valid, is in the gateway's own log alone. In --actor and --target a * stands for any characters.`,
		Example: "  rutter audit log --since -24h --outcome rejected\n  rutter audit log --actor 'token:*' --verb delete -n shop\n  rutter audit log --target workload/shop/web --since 1200 -o json",
		Args:    args(0, 0, "no argument: filters are flags"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			gateway, err := c.connect()
			if err != nil {
				return err
			}
			f.Namespace = c.namespace
			return gateway.AuditLog(cmd.Context(), f, c.auditPrinter(format))
		},
	}
	flags := command.Flags()
	flags.StringVar(&f.Actor, "actor", "", "who asked, such as token:ada")
	flags.StringVar(&f.Verb, "verb", "", "what for: apply, scale, delete, register …")
	flags.StringVar(&f.Target, "target", "", "about what, such as workload/default/web or web")
	flags.StringVar(&f.Outcome, "outcome", "", "accepted, rejected or dry-run")
	flags.StringVar(&f.Since, "since", "", "a sequence, a time (RFC 3339) or how long ago (-15m)")
	flags.StringVar(&f.Until, "until", "", "the same, for the end")
	flags.StringVarP(&format, "output", "o", formatTable, "table, wide, json, yaml or name")
	c.addNamespaceFlag(command)
	return command
}

// auditPrinter prints entries one by one as they come.
func (c *cli) auditPrinter(format string) func(api.AuditEntry) error {
	head := true
	return func(e api.AuditEntry) error {
		switch format {
		case formatName:
			_, err := fmt.Fprintln(c.out, e.Operation)
			return err
		case formatJSON:
			data, err := json.Marshal(e)
			if err == nil {
				_, err = fmt.Fprintf(c.out, "%s\n", data)
			}
			return err
		case formatYAML:
			fmt.Fprintln(c.out, "---")
			return c.printDocument(e, formatYAML)
		}
		if head {
			head = false
			fmt.Fprintf(c.out, "%8s  %-19s  %-8s  %-16s  %s\n", "SEQUENCE", "TIME (UTC)", "OUTCOME", "ACTOR", "WHAT")
		}
		line := fmt.Sprintf("%8d  %-19s  %-8s  %-16s  %s %s", e.Sequence, e.Time.UTC().Format(time.DateTime), e.Outcome, e.Actor, e.Verb, e.Target)
		if e.Code != "" {
			line += ": " + e.Code
		}
		if e.Message != "" {
			line += ": " + e.Message
		}
		if format == formatWide {
			line += fmt.Sprintf("\n%10sby %s, operation %s, %d events, because %q", "", e.Service, e.Operation, e.Events, e.Reason)
		} else {
			line = cutTo(line, c.tableWidth())
		}
		_, err := fmt.Fprintln(c.out, line)
		return err
	}
}
