package main

import (
	"fmt"
	"strings"

	"github.com/rutter-run/rutter/gateway/api"
)

// graph is a causal chain as nodes and arrows, each node once.
type graph struct {
	nodes []api.Cause
	edges [][2]uint64 // sequences: cause → effect
	seen  map[uint64]bool
}

func graphOf(why api.Why) *graph {
	g := &graph{seen: map[uint64]bool{}}
	for _, cause := range why.Because {
		g.add(cause)
	}
	return g
}

func (g *graph) add(c api.Cause) {
	if !g.seen[c.Sequence] && !c.Shown {
		g.seen[c.Sequence] = true
		g.nodes = append(g.nodes, c)
	}
	for _, cause := range c.Because {
		g.edges = append(g.edges, [2]uint64{cause.Sequence, c.Sequence})
		g.add(cause)
	}
}

// label is a node in two or three lines.
func label(c api.Cause, newline string) string {
	lines := []string{c.Line}
	if c.Reason != "" {
		lines = append(lines, "because "+c.Reason)
	}
	return strings.Join(append(lines, fmt.Sprintf("%d, %s UTC", c.Sequence, c.Time.UTC().Format("2006-01-02 15:04:05"))), newline)
}

// dot renders the chain for Graphviz (https://graphviz.org/doc/info/lang.html).
func (g *graph) dot(why api.Why) string {
	quote := func(s string) string {
		return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
	}
	var b strings.Builder
	b.WriteString("digraph why {\n  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\"];\n")
	fmt.Fprintf(&b, "  answer [label=%s, style=bold];\n", quote(why.Answer))
	for _, n := range g.nodes {
		// A line break in a label is \n, which must stay unescaped.
		fmt.Fprintf(&b, "  e%d [label=%s];\n", n.Sequence, strings.ReplaceAll(quote(label(n, "\x00")), "\x00", `\n`))
	}
	for _, e := range g.edges {
		fmt.Fprintf(&b, "  e%d -> e%d;\n", e[0], e[1])
	}
	for _, root := range why.Because {
		fmt.Fprintf(&b, "  e%d -> answer;\n", root.Sequence)
	}
	b.WriteString("}\n")
	return b.String()
}

// mermaid renders the chain as a flowchart (https://mermaid.js.org/syntax/flowchart.html).
func (g *graph) mermaid(why api.Why) string {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;", "\x00", "<br/>").Replace(s) + `"`
	}
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	fmt.Fprintf(&b, "  answer([%s])\n", quote(why.Answer))
	for _, n := range g.nodes {
		fmt.Fprintf(&b, "  e%d[%s]\n", n.Sequence, quote(label(n, "\x00")))
	}
	for _, e := range g.edges {
		fmt.Fprintf(&b, "  e%d --> e%d\n", e[0], e[1])
	}
	for _, root := range why.Because {
		fmt.Fprintf(&b, "  e%d --> answer\n", root.Sequence)
	}
	return b.String()
}
