package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
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
func (c *cli) printTable(t table, rows []row, wide, namespaces, head bool) {
	lines := [][]string{t.line("NAMESPACE", "NAME", t.head, t.wide, wide, namespaces)}
	for _, r := range rows {
		lines = append(lines, t.line(r.namespace, r.name, r.cells, r.wide, wide, namespaces))
	}
	if !wide {
		fitLast(lines, c.tableWidth())
	}
	if !head {
		lines = lines[1:]
	}
	w := tabwriter.NewWriter(c.out, 0, 0, columnGap, ' ', 0)
	for _, line := range lines {
		for len(line) > 1 && line[len(line)-1] == "" {
			line = line[:len(line)-1] // no blanks at the end of a line
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	w.Flush()
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

// fitLast cuts the last column so that the lines fit into width.
func fitLast(lines [][]string, width int) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	used := 0
	for _, w := range widths[:len(widths)-1] {
		used += w + columnGap
	}
	for _, line := range lines {
		last := len(line) - 1
		line[last] = cutTo(line[last], max(12, width-used))
	}
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
		c.printTable(t, rows, format == formatWide, namespaces, true)
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
