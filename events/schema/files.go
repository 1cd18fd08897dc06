package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/spec"
)

// base heads the ids of the schemas; they are names, and nothing needs to be there.
const base = "https://rutter.run/schemas/"

// Files generates everything: its path below docs/ and what is in it. dir is the folder of package events, whose comments become descriptions.
func Files(dir string) (map[string][]byte, error) {
	src, err := readSource(dir)
	if err != nil {
		return nil, err
	}
	registry, files := catalog.New(), map[string][]byte{}
	add := func(file string, d document) error {
		var out bytes.Buffer
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(d); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		files[file] = out.Bytes()
		return nil
	}
	for _, wireType := range registry.Types() {
		zero, _ := registry.Zero(wireType)
		s, err := reflector{source: src}.schema(zero, base+wireType+".json", wireType)
		if err != nil {
			return nil, err
		}
		if old(registry, wireType) {
			s["deprecated"] = true // old logs hold it, and nobody says it any more
		}
		if err := add(schemaFile(wireType), s); err != nil {
			return nil, err
		}
	}
	s, err := reflector{source: src, strict: true}.schema(spec.Workload{}, base+"workload.json", "A workload, as `rutter apply` takes it")
	if err != nil {
		return nil, err
	}
	if err := add("schemas/workload.json", s); err != nil {
		return nil, err
	}
	return files, add("asyncapi/asyncapi.json", asyncAPI(registry, src))
}

// schemaFile is where a type's schema lies below docs/.
func schemaFile(wireType string) string { return "schemas/" + wireType + ".json" }

// old reports whether a type is read as a newer one.
func old(registry *events.Registry, wireType string) bool {
	return registry.Decode(wireType, []byte("{}")).WireType() != wireType
}

// aggregateOf is the kind of thing that a type is about: its third word.
func aggregateOf(wireType string) string {
	rest := strings.TrimPrefix(wireType, events.TypePrefix)
	aggregate, _, _ := strings.Cut(rest, ".")
	return aggregate
}
