package schema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/rutter-run/rutter/events"
)

// source is what the source says of types beyond their fields, by package.Type.
type source struct {
	comments map[string]string // also by package.Type.Field
	values   map[string][]any  // of closed sets, in the order of the source
}

// readSource reads the sources below dir, the folder of package events.
func readSource(dir string) (source, error) {
	s := source{comments: map[string]string{}, values: map[string][]any{}}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok {
				s.declaration(file.Name.Name, gen)
			}
		}
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("read the comments of %s: %w", dir, err)
	}
	return s, nil
}

func (s source) declaration(pkg string, gen *ast.GenDecl) {
	for _, each := range gen.Specs {
		switch each := each.(type) {
		case *ast.ValueSpec:
			if of, ok := each.Type.(*ast.Ident); ok && gen.Tok == token.CONST {
				for _, value := range each.Values {
					if literal, ok := value.(*ast.BasicLit); ok && literal.Kind == token.STRING {
						text, _ := strconv.Unquote(literal.Value)
						s.values[pkg+"."+of.Name] = append(s.values[pkg+"."+of.Name], text)
					}
				}
			}
		case *ast.TypeSpec:
			name := pkg + "." + each.Name.Name
			doc := each.Doc
			if doc == nil {
				doc = gen.Doc
			}
			s.comments[name] = plain(doc)
			if fields, ok := each.Type.(*ast.StructType); ok {
				s.fields(name, fields)
			}
		}
	}
}

func (s source) fields(name string, fields *ast.StructType) {
	for _, f := range fields.Fields.List {
		text := plain(f.Doc)
		if text == "" {
			text = plain(f.Comment)
		}
		for _, n := range f.Names {
			s.comments[name+"."+n.Name] = text
		}
	}
}

// isCommand reports whether a payload is an intent rather than a fact: its comment says what it asks for.
func (s source) isCommand(payload events.Payload) bool {
	t := reflect.TypeOf(payload)
	return strings.HasPrefix(s.comments[name(t)], t.Name()+" asks for ")
}

// plain is a comment as one line.
func plain(group *ast.CommentGroup) string { return strings.Join(strings.Fields(group.Text()), " ") }
