package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// ParseWorkloads reads one or more workload documents (YAML separated by ---, or JSON), defaults and validates each.
// An unknown or repeated field is an error that names its path.
func ParseWorkloads(data []byte) ([]Workload, error) {
	var all []Workload
	var errs []error
	for i, doc := range splitDocuments(data) {
		w, err := ParseWorkload(doc)
		switch {
		case err == io.EOF:
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

// ParseWorkload reads one workload document, defaults and validates it. An empty document is io.EOF.
func ParseWorkload(doc []byte) (Workload, error) {
	if len(bytes.TrimSpace(doc)) == 0 {
		return Workload{}, io.EOF
	}
	// YAMLToJSONStrict refuses repeated keys; the Kubernetes decoder then names unknown fields by path.
	js, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return Workload{}, fmt.Errorf("not YAML or JSON: %w", err)
	}
	if string(js) == "null" {
		return Workload{}, io.EOF
	}
	var w Workload
	strict, err := kjson.UnmarshalStrict(js, &w)
	if err != nil {
		return Workload{}, err
	}
	if len(strict) > 0 {
		return Workload{}, errors.Join(strict...)
	}
	w.Default()
	return w, w.Validate()
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
