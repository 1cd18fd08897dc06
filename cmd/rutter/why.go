package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/rutter-run/rutter/gateway/api"
)

// The output formats of why beside the common ones.
const (
	formatTree    = "tree"
	formatDOT     = "dot"
	formatMermaid = "mermaid"
)

func newWhyCommand(c *cli) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "why KIND/NAME",
		Short: "Explain the present state of a thing: what it came from, back to who asked for it",
		Long: `Explain the present state of a workload, an instance or a node as a tree: each event stands above what caused it, down to
the commands, who gave them and why. It works for instances that are gone.`,
		Example: "  rutter why instance/web-0-2\n  rutter why workload/web -o json",
		Args:    args(1, 2, "one thing, such as instance/web-0-2"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf(format, formatTree, formatWide, formatJSON, formatYAML, formatDOT, formatMermaid); err != nil {
				return err
			}
			target, err := c.oneThing(args)
			if err != nil {
				return err
			}
			gateway, err := c.reader(cmd.Context())
			if err != nil {
				return err
			}
			why, err := gateway.Why(cmd.Context(), target)
			if err != nil {
				return err
			}
			switch format {
			case formatJSON, formatYAML:
				return c.printDocument(why, format)
			case formatDOT:
				_, err = fmt.Fprint(c.out, graphOf(why).dot(why))
				return err
			case formatMermaid:
				_, err = fmt.Fprint(c.out, graphOf(why).mermaid(why))
				return err
			}
			fmt.Fprintln(c.out, why.Answer)
			c.printCauses(why.Because, "", format == formatWide)
			return nil
		},
	}
	command.Flags().StringVarP(&format, "output", "o", formatTree, "tree, wide, json, yaml, dot (Graphviz) or mermaid")
	c.addNamespaceFlag(command)
	c.addAtFlag(command)
	return command
}

// printCauses prints causes as a tree. Wide adds ids and does not break lines.
func (c *cli) printCauses(causes []api.Cause, indent string, wide bool) {
	for i, cause := range causes {
		branch, below := "├─ ", "│  "
		if i == len(causes)-1 {
			branch, below = "└─ ", "   "
		}
		line := cause.Line
		if cause.Reason != "" {
			line += fmt.Sprintf(", because %q", cause.Reason)
		}
		tail := fmt.Sprintf("  [%d, %s]", cause.Sequence, cause.Time.UTC().Format(time.DateTime))
		if cause.Shown {
			tail = fmt.Sprintf("  [%d, see above]", cause.Sequence)
		}
		if wide {
			fmt.Fprintln(c.out, indent+branch+line+tail+" by "+none(cause.Actor)+", id "+cause.ID)
		} else {
			// The text goes on under its own beginning, beside the branch that leads to what comes next.
			next := indent + below
			if len(cause.Because) > 0 {
				next += "│  "
			}
			c.printBroken(append(strings.Split(line, " "), strings.TrimSpace(tail)), indent+branch, next)
		}
		c.printCauses(cause.Because, indent+below, wide)
	}
}

// leastText is how many characters of a line a text keeps, however deep its tree is.
const leastText = 40

// printBroken prints words in lines that fit the table's width; first and next stand before the first line and the others.
func (c *cli) printBroken(words []string, first, next string) {
	line, prefix := "", first
	for _, word := range words {
		room := max(leastText, c.tableWidth()-utf8.RuneCountInString(prefix))
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
			fmt.Fprintln(c.out, strings.TrimRight(prefix+line, " "))
			line, prefix = "", next
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(c.out, prefix+line)
}
