package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// deciders are the folders whose files decide. Only the files named here talk to the world.
var deciders = map[string][]string{
	"projections":         nil,
	"agentd/instance":     nil,
	"agentd/probe":        {"ask.go"},
	"services/reconciler": {"run.go"},
	"services/scheduler":  {"run.go"},

	"services/scheduler/placement": nil,
	"services/nodehealth":          {"run.go", "ear.go"}, // ear.go keeps the clock of what was heard
}

// impure are what a file that decides may not know: planning twice from one view must plan the same.
var impure = []string{
	"context", "math/rand", "math/rand/v2", "crypto/rand", "os", "net", "net/http", "sync",
	"github.com/sirupsen/logrus", "github.com/nats-io/nats.go",
}

// clock are the functions of package time that read or wait for the real clock.
var clock = []string{"Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker", "AfterFunc"}

// TestDecidersArePure fails where a file that decides reads a clock, draws a number, logs or waits.
func TestDecidersArePure(t *testing.T) {
	root := "../.."
	for folder, exempt := range deciders {
		files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Errorf("%s: no files (%v): take it off the list", folder, err)
		}
		for _, file := range files {
			name := filepath.Base(file)
			if strings.HasSuffix(name, "_test.go") || slices.Contains(exempt, name) {
				continue
			}
			checkPure(t, file)
		}
	}
}

func checkPure(t *testing.T, file string) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := parser.ParseFile(token.NewFileSet(), file, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range tree.Imports {
		if path := strings.Trim(i.Path.Value, `"`); slices.Contains(impure, path) {
			t.Errorf("%s decides and imports %s; that belongs into run.go", file, path)
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, sel.Sel.Name) {
			t.Errorf("%s decides and calls time.%s; now is an argument", file, sel.Sel.Name)
		}
		return true
	})
}
