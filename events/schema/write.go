package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Drift lists the files below docs that are not what [Files] would write: changed, missing, or of a type that is no more.
func Drift(source, docs string) ([]string, error) {
	files, err := Files(source)
	if err != nil {
		return nil, err
	}
	var drift []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("compare with %s: %w", docs, err)
		}
		if !bytes.Equal(data, files[name]) {
			drift = append(drift, filepath.Join(docs, name))
		}
	}
	for _, folder := range []string{"schemas", "asyncapi"} {
		there, err := filepath.Glob(filepath.Join(docs, folder, "*.json"))
		if err != nil {
			return nil, err
		}
		for _, file := range there {
			if _, ok := files[folder+"/"+filepath.Base(file)]; !ok {
				drift = append(drift, file)
			}
		}
	}
	return drift, nil
}

// Write brings the files below docs up to what [Files] gives, and lists those that it changed.
func Write(source, docs string) ([]string, error) {
	drift, err := Drift(source, docs)
	if err != nil {
		return nil, err
	}
	files, err := Files(source)
	if err != nil {
		return nil, err
	}
	for _, file := range drift {
		name, err := filepath.Rel(docs, file)
		if err != nil {
			return nil, err
		}
		data, ok := files[filepath.ToSlash(name)]
		if !ok {
			err = os.Remove(file)
		} else if err = os.MkdirAll(filepath.Dir(file), 0o755); err == nil {
			err = os.WriteFile(file, data, 0o644)
		}
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", file, err)
		}
	}
	return drift, nil
}
