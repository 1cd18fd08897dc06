package spec

import (
	"fmt"
	"strings"
)

// FieldError says what is wrong with one field and what would be right.
type FieldError struct {
	Field   string `json:"field"`             // path in the document, such as spec.containers[0].image
	Value   string `json:"value,omitempty"`   // what it held, cut to a readable length
	Want    string `json:"want"`              // what would be right, as a phrase that can follow "want"
	Unknown bool   `json:"unknown,omitempty"` // there is no such field
}

// Error implements error.
func (e FieldError) Error() string {
	switch {
	case e.Unknown:
		return fmt.Sprintf("%s: no such field: want %s", e.Field, e.Want)
	case e.Value == "":
		return fmt.Sprintf("%s: want %s", e.Field, e.Want)
	case e.Field == "":
		return fmt.Sprintf("%q: want %s", e.Value, e.Want)
	}
	return fmt.Sprintf("%s: %q: want %s", e.Field, e.Value, e.Want)
}

// Errors is every fault that a Validate found. The empty Errors is no error; see [Errors.Err].
type Errors []FieldError

// Error implements error: one fault a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns e as an error, nil where nothing is wrong.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// add appends one fault; values longer than a line are cut.
func (e *Errors) add(field, value, want string, args ...any) {
	*e = append(*e, FieldError{Field: field, Value: cut(value), Want: fmt.Sprintf(want, args...)})
}

// cut shortens a value to a readable length.
func cut(value string) string {
	const most = 80
	if len(value) > most {
		return strings.ToValidUTF8(value[:most], "") + "…"
	}
	return value
}

// notA is the fault of a value that its type cannot read; whoever knows the path adds it.
func notA(raw []byte, want string) error {
	return FieldError{Value: cut(strings.Trim(string(raw), `"`)), Want: want}
}
