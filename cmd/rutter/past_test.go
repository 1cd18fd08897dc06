package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
)

func (m *terminal) now() string { return fmt.Sprint(m.View.View().Sequence()) }

func TestReadingVerbsShowAnyMoment(t *testing.T) {
	m := scene(t)
	m.Lose("n2")
	then := m.now()
	m.Apply(gatewaytest.Document("late", 1))
	at := func(moment string, line ...string) said { return m.run(append(line, "--at", moment)...) }

	require.Equal(t, "workload/late\nworkload/web\n", m.run("get", "wl", "-o", "name").out)
	require.Equal(t, "workload/web\n", at(then, "get", "wl", "-o", "name").out)
	require.Contains(t, at("4", "nodes").out, "n2     Ready")
	require.Contains(t, at(then, "nodes").out, "n2     Lost")
	require.NotContains(t, at(then, "nodes").out, "4d3h", "ages are those of the moment")
	require.Contains(t, at(then, "describe", "node/n2").out, "Lost")
	require.Contains(t, at(then, "why", "instance/web-1-1").out, "instance/default/web-1-1 is Lost")
	require.Equal(t, 1, at("3", "why", "instance/web-1-1").code)
	require.NotContains(t, at(then, "events", "--from", "1").out, "late")
	require.NotContains(t, at(then, "history", "workload/web").err, "error")

	for _, c := range []struct{ line, want string }{
		{"get wl --at 99999", "is past the end of the log: it has events 1 to"},
		{"get wl --at 1990-01-01T00:00:00Z", "is before the first event"},
		{"get wl --at soon", `moment "soon": want a sequence`},
		{"get wl -w --at 4", "leave out one of them"},
		{"events -f --at 4", "leave out one of them"},
		{"diff", "want --from"},
		{"diff --from 1 -o xml", `output format "xml"`},
		{"query nodes.", "CEL expression"},
		{"bisect nodes.size()==0", "want --good"},
		{"restore", "want --at"},
		{"restore --at 4 -A web", "leave out -A"},
		{"restore --at 4 -o json", "give --yes or --dry-run"},
		{"undo nobody --yes", "operation nobody is not known"},
	} {
		got := m.run(strings.Fields(c.line)...)
		require.NotZero(t, got.code, c.line)
		require.Contains(t, got.err, c.want, c.line)
	}
}

func TestDiffQueryAndBisectSpeakOfThePast(t *testing.T) {
	m := scene(t)
	then := m.now()
	m.Lose("n2")
	m.Apply(gatewaytest.Document("late", 1))
	got := m.run("diff", "--from", then)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "+ workload/late applied with 1 replica at revision 1\n")
	require.Contains(t, got.out, "~ instance/web-1-1 CrashLoopBackOff became Lost: ")
	require.Contains(t, got.out, "~ node/n2 Ready became Lost")
	require.Equal(t, "[\n  \"n2\"\n]\n", m.run("query", `nodes.filter(n, n.state == "Lost").map(n, n.name)`).out)
	require.Equal(t, "0\n", m.run("query", `nodes.filter(n, n.state == "Lost").size()`, "--at", then).out)
	got = m.run("bisect", "--good", then, "--", `!nodes.exists(n, n.state == "Lost")`)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "is the first bad event")
	require.Contains(t, got.out, "node/n2 lost after 15s of silence")
	var result api.BisectResult
	require.NoError(t, json.Unmarshal([]byte(m.run("bisect", "--good", then, "-o", "json", "--", `!nodes.exists(n, n.state == "Lost")`).out), &result))
	require.NotNil(t, result.Event)
}

func TestRestoreAsksShowsAndDoes(t *testing.T) {
	m := newTerminal(t)
	m.Apply(gatewaytest.Document("web", 2))
	then := m.now()
	require.Zero(t, m.run("scale", "web", "--replicas", "5", "--wait=false").code)
	grown := m.now()

	got := m.run("restore", "--at", then, "--dry-run")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "workload/web in default: scale from 5 to 2\n")
	require.Contains(t, got.out, "spec.replicas: 5 → 2")
	require.Contains(t, got.out, "What no event can bring back:")
	got = m.runWith(t.Context(), "n\n", "restore", "--at", then)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "nothing was done")
	require.Contains(t, m.run("get", "wl", "web", "-o", "json").out, `"replicas": 5`)
	asked := m.run("audit", "log", "--outcome", "dry-run", "--since", grown, "-o", "name").out
	require.Equal(t, 2, strings.Count(asked, "\n"), "what was asked is on the record, and nothing else came of it")
	got = m.runWith(t.Context(), "y\n", "restore", "--at", then, "--reason", "too many")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "done at sequence")
	require.Contains(t, m.run("get", "wl", "web", "-o", "json").out, `"replicas": 2`)
	require.Equal(t, "to be as at", m.run("restore", "--at", then).out[:11], "nothing differs: nothing is asked")

	operation := strings.Split(m.run("get", "operations", "-o", "name").out, "\n")[0]
	got = m.run("undo", operation, "--yes", "-o", "json")
	require.Zero(t, got.code, got.err)
	require.Contains(t, m.run("get", "wl", "web", "-o", "json").out, `"replicas": 5`)
}

func TestTheTreeOfWhyFitsTheTerminal(t *testing.T) {
	m := scene(t)
	got := m.run("why", "instance/web-0-1")
	require.Zero(t, got.code, got.err)
	for line := range strings.Lines(got.out) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), 100, line)
	}
	whole := strings.Join(strings.Fields(strings.NewReplacer("│", "", "└─", "", "├─", "").Replace(got.out)), " ")
	require.Contains(t, whole, `by token:ada, because "because of the test"`, "what is broken is not cut")
}

func TestWhyIsDrawnAsAGraph(t *testing.T) {
	m := scene(t)
	got := m.run("why", "instance/web-0-1", "-o", "dot")
	require.Zero(t, got.code, got.err)
	require.True(t, strings.HasPrefix(got.out, "digraph why {\n"))
	require.Regexp(t, `e\d+ -> e\d+;`, got.out)
	require.Contains(t, got.out, `\nbecause because of the test\n`)
	got = m.run("why", "instance/web-0-1", "-o", "mermaid")
	require.Zero(t, got.code, got.err)
	require.True(t, strings.HasPrefix(got.out, "flowchart TD\n"))
	require.Regexp(t, `e\d+ --> e\d+`, got.out)
	require.NotContains(t, got.out, "\x00")
}
