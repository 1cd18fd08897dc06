package catalog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
)

var update = flag.Bool("update", false, "write the golden files that are missing or lack a field")

// golden is the file that shows a wire type as it was first released, in the folder of its aggregate.
func golden(wireType string) string {
	aggregate := strings.Split(wireType, ".")[2]
	return filepath.Join("..", aggregate, "testdata", wireType+".json")
}

// Every version of every wire type is read for ever, and read as what it said.
func TestGolden(t *testing.T) {
	registry := catalog.New()
	for _, wireType := range registry.Types() {
		t.Run(wireType, func(t *testing.T) {
			if *update {
				write(t, registry, wireType)
			}
			file, err := os.ReadFile(golden(wireType))
			if errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("no golden file of %s: run go test ./events/catalog -update, and read what it wrote", wireType)
			}
			require.NoError(t, err)
			var compact bytes.Buffer // as it is on the wire
			require.NoError(t, json.Compact(&compact, file))
			data := compact.Bytes()
			payload := registry.Decode(wireType, data)
			require.IsNotType(t, events.Malformed{}, payload, "%+v", payload)
			require.IsNotType(t, events.Unknown{}, payload)
			require.NotEmpty(t, payload.Line())
			again, err := json.Marshal(payload)
			require.NoError(t, err)
			if payload.WireType() == wireType {
				require.JSONEq(t, string(data), string(again))
				require.Empty(t, empty(payload), "fields that the golden file leaves out: run go test ./events/catalog -update")
			}
			require.Equal(t, payload, registry.Decode(payload.WireType(), again))
		})
	}
}

// A file without a type is a type that was taken out, which old logs still hold.
func TestNoTypeIsForgotten(t *testing.T) {
	known := catalog.New().Types()
	files, err := filepath.Glob(filepath.Join("..", "*", "testdata", "run.rutter.*.json"))
	require.NoError(t, err)
	for _, file := range files {
		require.Contains(t, known, strings.TrimSuffix(filepath.Base(file), ".json"), file)
	}
}

// The zero of every payload renders too: a line must not panic on what is left out.
func TestLineOfNothing(t *testing.T) {
	registry := catalog.New()
	for _, wireType := range registry.Types() {
		require.NotEmpty(t, registry.Decode(wireType, []byte("{}")).Line(), wireType)
	}
}

// write completes a type's golden file.
func write(t *testing.T, registry *events.Registry, wireType string) {
	t.Helper()
	file := golden(wireType)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		data = []byte("{}")
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	require.NoError(t, err)
	payload := registry.Decode(wireType, data)
	if payload.WireType() != wireType {
		return // an old version: its file stays as it was
	}
	filled, err := json.Marshal(fill(payload))
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, json.Indent(&out, filled, "", "  "))
	out.WriteByte('\n')
	require.NoError(t, os.WriteFile(file, out.Bytes(), 0o644))
}
