package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// ParseWorkloads reads one or more workload documents (YAML separated by ---, or JSON), defaults and validates each.
// An unknown or repeated field is an error that names its path.
func ParseWorkloads(data []byte) ([]Workload, error) { return ParseWorkloadsIn(data, "") }

// ParseWorkloadsIn is [ParseWorkloads] of documents that may leave out the namespace, or must agree with the one given.
func ParseWorkloadsIn(data []byte, namespace string) ([]Workload, error) {
	var all []Workload
	var errs []error
	docs := splitDocuments(data)
	for i, doc := range docs {
		w, err := ParseWorkloadAs(doc, namespace, "")
		switch {
		case err == io.EOF:
		case err != nil && len(docs) == 1:
			errs = append(errs, err)
		case err != nil:
			errs = append(errs, fmt.Errorf("document %d: %w", i+1, err))
		default:
			all = append(all, w)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("no document: want apiVersion, kind, metadata and spec of a workload")
	}
	return all, nil
}

// ParseWorkload reads one workload document, defaults and validates it. An empty document is io.EOF. A status, which documents that
// were read from a cluster have, is left out of account.
func ParseWorkload(doc []byte) (Workload, error) { return ParseWorkloadAs(doc, "", "") }

// ParseWorkloadAs is [ParseWorkload] of a document that may leave out namespace and name, or must agree with those given.
func ParseWorkloadAs(doc []byte, namespace, name string) (Workload, error) {
	if len(bytes.TrimSpace(doc)) == 0 {
		return Workload{}, io.EOF
	}
	var read readWorkload
	if err := DecodeStrict(doc, &read); err != nil {
		return Workload{}, err
	}
	w := Workload{APIVersion: read.APIVersion, Kind: read.Kind, Metadata: read.Metadata, Spec: read.Spec}
	if reflect.DeepEqual(w, Workload{}) {
		return Workload{}, io.EOF
	}
	var errs Errors
	given := func(field string, value *string, wanted string) {
		if *value == "" {
			*value = wanted
		} else if wanted != "" && *value != wanted {
			errs.add(field, *value, "%s, which the address says, or nothing", wanted)
		}
	}
	given("metadata.namespace", &w.Metadata.Namespace, namespace)
	given("metadata.name", &w.Metadata.Name, name)
	w.Default()
	if err := w.Validate(); err != nil {
		var faults Errors
		if !errors.As(err, &faults) {
			return Workload{}, err
		}
		errs = append(errs, faults...)
	}
	return w, errs.Err()
}

// readWorkload is a workload as clusters give it: the same fields, and a status.
type readWorkload struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   Metadata       `json:"metadata"`
	Spec       WorkloadSpec   `json:"spec"`
	Status     map[string]any `json:"status"`
}

// splitDocuments cuts a YAML stream at its --- lines (YAML 1.2, section 9.1.4).
func splitDocuments(data []byte) [][]byte {
	var docs [][]byte
	var doc bytes.Buffer
	for line := range bytes.Lines(data) {
		if text := strings.TrimRight(string(line), " \t\r\n"); text == "---" || strings.HasPrefix(text, "--- ") {
			docs = append(docs, bytes.Clone(doc.Bytes()))
			doc.Reset()
			continue
		}
		doc.Write(line)
	}
	return append(docs, doc.Bytes())
}
