package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// What was really said fits the schemas that outsiders are given, whatever version said it.
func TestRecordedEventsFitTheirSchemas(t *testing.T) {
	histories, err := filepath.Glob(filepath.Join("testdata", "*.jsonl.zst"))
	require.NoError(t, err)
	schemas := map[string]*jsonschema.Schema{}
	for _, history := range histories {
		in, err := os.Open(history)
		require.NoError(t, err)
		unzipped, err := zstd.NewReader(in)
		require.NoError(t, err)
		lines := bufio.NewScanner(unzipped)
		for lines.Buffer(nil, 8<<20); lines.Scan(); {
			var e struct {
				Type string          `json:"type"`
				Data json.RawMessage `json:"data"`
			}
			require.NoError(t, json.Unmarshal(lines.Bytes(), &e))
			s, ok := schemas[e.Type]
			if !ok {
				s, err = jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "docs", "schemas", e.Type+".json"))
				require.NoError(t, err, e.Type)
				schemas[e.Type] = s
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data))
			require.NoError(t, err)
			require.NoError(t, s.Validate(value), "%s: %s", history, lines.Bytes())
		}
		require.NoError(t, lines.Err())
		unzipped.Close()
		require.NoError(t, in.Close())
	}
	require.Greater(t, len(schemas), 20, "types that were really said")
}
