package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/yaml"
)

// The output formats.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatName  = "name"
)

func checkFormat(format string) error {
	switch format {
	case formatTable, formatWide, formatJSON, formatYAML, formatName:
		return nil
	}
	return usagef("output format %q: want table, wide, json, yaml or name", format)
}

// row is one thing in a list.
type row struct {
	kind      kind
	namespace string
	name      string
	cells     []string // of a table, without namespace and name; the last may be cut
	wide      []string // further ones
	document  any
}

// table is how a kind of thing is listed.
type table struct {
	head []string // without namespace and name
	wide []string
}

// defaultWidth is how wide a table is where there is no terminal.
const defaultWidth = 100

func (c *cli) tableWidth() int {
	if c.width > 0 {
		return c.width
	}
	if file, ok := c.out.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 40 {
			return width
		}
	}
	return defaultWidth
}

// printTable prints rows in columns. Without -o wide the last column is cut where the table would be wider than the terminal.
func (c *cli) printTable(t table, rows []row, wide, namespaces bool) {
	(&sheet{table: t, wide: wide, namespaces: namespaces}).print(c, rows)
}

// sheet is a table that goes on: what comes later stands under the columns of what came before.
type sheet struct {
	table
	wide       bool
	namespaces bool
	widths     []int // of the columns so far
}

func (s *sheet) print(c *cli, rows []row) {
	var lines [][]string
	if s.widths == nil {
		lines = append(lines, s.line("NAMESPACE", "NAME", s.head, s.table.wide, s.wide, s.namespaces))
		s.widths = make([]int, len(lines[0]))
	}
	for _, r := range rows {
		lines = append(lines, s.line(r.namespace, r.name, r.cells, r.wide, s.wide, s.namespaces))
	}
	last := len(s.widths) - 1
	for _, line := range lines {
		for i, cell := range line {
			s.widths[i] = max(s.widths[i], utf8.RuneCountInString(cell))
		}
	}
	used := 0
	for _, width := range s.widths[:last] {
		used += width + columnGap
	}
	for _, line := range lines {
		var text strings.Builder
		for i, cell := range line {
			if i == last && !s.wide {
				cell = cutTo(cell, max(12, c.tableWidth()-used))
			}
			text.WriteString(cell)
			text.WriteString(strings.Repeat(" ", columnGap+s.widths[i]-min(s.widths[i], utf8.RuneCountInString(cell))))
		}
		fmt.Fprintln(c.out, strings.TrimRight(text.String(), " "))
	}
}

const columnGap = 3

func (t table) line(namespace, name string, cells, more []string, wide, namespaces bool) (line []string) {
	if namespaces {
		line = append(line, namespace)
	}
	line = append(line, name)
	line = append(line, cells...)
	if wide {
		line = append(line, more...)
	}
	return line
}

// print prints rows in a format. one says that exactly this one thing was asked for by name.
func (c *cli) print(t table, rows []row, format string, namespaces, one bool) error {
	switch format {
	case formatName:
		for _, r := range rows {
			fmt.Fprintln(c.out, r.kind.name+"/"+r.name)
		}
	case formatJSON, formatYAML:
		if one && len(rows) == 1 {
			return c.printDocument(rows[0].document, format)
		}
		list := struct {
			Items []any `json:"items"`
		}{Items: []any{}}
		for _, r := range rows {
			list.Items = append(list.Items, r.document)
		}
		return c.printDocument(list, format)
	default:
		c.printTable(t, rows, format == formatWide, namespaces)
	}
	return nil
}

func (c *cli) printDocument(v any, format string) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if format == formatYAML {
		if data, err = yaml.JSONToYAML(data); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(c.out, strings.TrimRight(string(data), "\n"))
	return err
}

// age is how long ago something was, as kubectl prints it.
func (c *cli) age(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return duration.HumanDuration(c.now().Sub(at))
}

// none is what stands in a table for nothing.
func none(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
