package schema

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/rutter-run/rutter/events/spec"
)

// document is a JSON document as encoding/json writes it: with its keys in order, so that the same types give the same bytes.
type document = map[string]any

// reflector makes schemas of Go types.
type reflector struct {
	source source
	// strict is for what people write: an unknown field is a fault, quantities may be numbers, and only the head is required, because the rest
	// has defaults. Without it the schema is of what programs read: fields and values of later versions pass.
	strict bool
}

// schema is the JSON Schema of a value's type, as a document of its own.
func (r reflector) schema(of any, id, title string) (document, error) {
	inner := jsonschema.Reflector{
		Anonymous: true, AllowAdditionalProperties: !r.strict, Namer: name, Mapper: r.written,
		LookupComment: func(t reflect.Type, field string) string {
			if field != "" {
				return r.source.comments[name(t)+"."+field]
			}
			return r.source.comments[name(t)]
		},
	}
	data, err := json.Marshal(inner.Reflect(of))
	if err != nil {
		return nil, fmt.Errorf("schema of %T: %w", of, err)
	}
	var s document
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("schema of %T: %w", of, err)
	}
	definitions, _ := s["$defs"].(document)
	root := name(reflect.TypeOf(of))
	for definition, d := range definitions {
		r.loosen(d.(document), definition == root)
	}
	s["$id"], s["title"] = id, title
	return s, nil
}

// loosen takes out of a definition what is true of one side only.
func (r reflector) loosen(definition document, root bool) {
	if r.strict {
		if !root {
			delete(definition, "required")
		}
		return
	}
	required, _ := definition["required"].([]any)
	properties, _ := definition["properties"].(document)
	for _, field := range required {
		// What is always there is null where it is empty: Go writes an empty list so.
		if p, _ := properties[field.(string)].(document); p["type"] == "array" || p["type"] == "object" {
			p["type"] = []any{p["type"], "null"}
		}
	}
}

// written describes the types that write themselves, and the sets of values that are closed.
func (r reflector) written(t reflect.Type) *jsonschema.Schema {
	text := func(description string, examples ...any) *jsonschema.Schema {
		s := &jsonschema.Schema{Type: "string", Description: description, Examples: examples}
		if r.strict {
			s.Type, s.OneOf = "", []*jsonschema.Schema{{Type: "string"}, {Type: "number"}}
		}
		return s
	}
	switch t {
	case reflect.TypeFor[spec.CPU]():
		return text("processor time in cores, as a Kubernetes quantity", "250m", "2")
	case reflect.TypeFor[spec.Bytes]():
		return text("bytes, as a Kubernetes quantity", "64Mi", "1G")
	case reflect.TypeFor[spec.GPUs]():
		return &jsonschema.Schema{Type: "number", Description: "GPUs: whole ones, or less than one", Examples: []any{2, 0.5}}
	case reflect.TypeFor[spec.Priority]():
		return &jsonschema.Schema{
			Description: "low, normal, high, critical or a whole number, the higher the sooner", Examples: []any{"high", 7},
			OneOf: []*jsonschema.Schema{{Type: "string", Enum: []any{"low", "normal", "high", "critical"}}, {Type: "integer"}},
		}
	case reflect.TypeFor[spec.Duration]():
		return text("a length of time as Go writes it", "10s", "1m30s")
	case reflect.TypeFor[spec.ImageRef]():
		return &jsonschema.Schema{Type: "string", Description: "an image reference [registry/]repository[:tag][@digest]", Examples: []any{"docker.io/library/nginx:1.27"}}
	case reflect.TypeFor[spec.Portion]():
		return text("a number such as 2, or a share such as 25%", "2", "25%")
	case reflect.TypeFor[spec.PortRef]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "integer"}, {Type: "string"}}, Description: "a port's number, or its name among the container's ports"}
	case reflect.TypeFor[json.RawMessage]():
		return &jsonschema.Schema{Description: "any JSON"}
	}
	values := r.source.values[name(t)]
	if t.Kind() != reflect.String || len(values) == 0 {
		return nil
	}
	s := &jsonschema.Schema{Type: "string", Description: r.source.comments[name(t)], Enum: values}
	if !r.strict {
		s.Enum, s.AnyOf = nil, []*jsonschema.Schema{{Enum: values}, {Description: "or what a later version says"}}
	}
	return s
}

// name is package.Type.
func name(t reflect.Type) string {
	if t.Name() == "" || t.PkgPath() == "" {
		return t.Name() // lists and maps have none
	}
	return path.Base(t.PkgPath()) + "." + t.Name()
}
