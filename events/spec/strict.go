package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// DecodeStrict reads one document, JSON or YAML, into a struct. Every field that is unknown or holds what it cannot hold is reported, each by its path,
// as [Errors]; what is not a document at all is another error.
func DecodeStrict(doc []byte, into any) error {
	// YAMLToJSONStrict refuses repeated keys, with their lines.
	js, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return fmt.Errorf("not YAML or JSON: %s", strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: "))
	}
	return decodeJSON(js, into)
}

func decodeJSON(js []byte, into any) error {
	t := reflect.TypeOf(into).Elem()
	// The faults are looked for first: the decoder of the standard library stops at the first, and does not say where it is
	// when a type reads itself.
	if err := faultsOf("", js, t).Err(); err != nil {
		return err
	}
	return json.Unmarshal(js, into)
}

// faultsOf reports what in raw a value of type t cannot hold.
func faultsOf(path string, raw json.RawMessage, t reflect.Type) (errs Errors) {
	raw = bytes.TrimSpace(raw)
	if string(raw) == "null" {
		return nil // as if it were absent
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return faultOfScalar(path, raw, t, "")
	}
	switch t.Kind() {
	case reflect.Interface:
		return nil // takes anything
	case reflect.Pointer:
		return faultsOf(path, raw, t.Elem())
	case reflect.Struct:
		return faultsOfStruct(path, raw, t)
	case reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(raw, &items) != nil {
			errs.add(path, string(raw), "a list")
		}
		for i, item := range items {
			at := fmt.Sprintf("%s[%d]", path, i)
			if string(bytes.TrimSpace(item)) == "null" {
				errs.add(at, "null", "an entry, or no '-' for it")
			}
			errs = append(errs, faultsOf(at, item, t.Elem())...)
		}
		return errs
	case reflect.Map:
		var entries map[string]json.RawMessage
		if json.Unmarshal(raw, &entries) != nil {
			errs.add(path, string(raw), "names with values, such as {app: web}")
		}
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			errs = append(errs, faultsOf(join(path, key), entries[key], t.Elem())...)
		}
		return errs
	case reflect.String:
		return faultOfScalar(path, raw, t, "a string (in quotes where it looks like a number, true or false)")
	case reflect.Bool:
		return faultOfScalar(path, raw, t, "true or false")
	default:
		return faultOfScalar(path, raw, t, "a whole number")
	}
}

func faultsOfStruct(path string, raw json.RawMessage, t reflect.Type) (errs Errors) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		errs.add(path, string(raw), "fields: %s", strings.Join(fieldNames(t), ", "))
		return errs
	}
	known := map[string]reflect.Type{}
	for f := range t.Fields() {
		known[fieldName(f)] = f.Type
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fieldType, ok := known[name]; ok {
			errs = append(errs, faultsOf(join(path, name), fields[name], fieldType)...)
			continue
		}
		errs = append(errs, FieldError{Field: join(path, name), Unknown: true, Want: "one of the fields " + strings.Join(fieldNames(t), ", ")})
	}
	return errs
}

// faultOfScalar tries whether a value of type t takes raw; the type's own error says better than want what would be right.
func faultOfScalar(path string, raw json.RawMessage, t reflect.Type, want string) Errors {
	err := json.Unmarshal(raw, reflect.New(t).Interface())
	if err == nil {
		return nil
	}
	var fault FieldError
	if errors.As(err, &fault) {
		fault.Field = path
		return Errors{fault}
	}
	if want == "" {
		want = err.Error()
	}
	var errs Errors
	errs.add(path, strings.Trim(string(raw), `"`), "%s", want)
	return errs
}

func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		return f.Name
	}
	return name
}

func fieldNames(t reflect.Type) (names []string) {
	for f := range t.Fields() {
		names = append(names, fieldName(f))
	}
	return names
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
