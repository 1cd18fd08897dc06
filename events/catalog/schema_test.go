package catalog_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/schema"
)

const docs = "../../docs"

// What is written down for those who do not read Go is what the types say.
func TestSchemasAreUpToDate(t *testing.T) {
	drift, err := schema.Drift("..", docs)
	require.NoError(t, err)
	require.Empty(t, drift, "the types have changed: run `go run ./events/schema/generate` (task generate) and commit what it wrote")
}

// compile reads a schema as anybody's validator would.
func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	file, err := os.Open(filepath.Join(docs, "schemas", name+".json"))
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	document, err := jsonschema.UnmarshalJSON(file)
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("mem:///"+name+".json", document))
	s, err := compiler.Compile("mem:///" + name + ".json")
	require.NoError(t, err)
	return s
}

func fits(s *jsonschema.Schema, data []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return s.Validate(value)
}

// The golden example of every type fits its schema, full and empty; what is of another shape does not.
func TestGoldenFilesFitTheirSchemas(t *testing.T) {
	registry := catalog.New()
	for _, wireType := range registry.Types() {
		t.Run(wireType, func(t *testing.T) {
			s := compile(t, wireType)
			file, err := os.ReadFile(golden(wireType))
			require.NoError(t, err)
			require.NoError(t, fits(s, file))
			zero, ok := registry.Zero(wireType)
			require.True(t, ok)
			data, err := json.Marshal(zero)
			require.NoError(t, err)
			require.NoError(t, fits(s, data))
			require.Error(t, fits(s, []byte(`7`)))

			var later map[string]any
			require.NoError(t, json.Unmarshal(file, &later))
			later["aFieldOfALaterVersion"] = true
			data, err = json.Marshal(later)
			require.NoError(t, err)
			require.NoError(t, fits(s, data), "readers let pass what they do not know")
		})
	}
}

func TestWorkloadDocumentsFitTheirSchema(t *testing.T) {
	s := compile(t, "workload")
	documents, err := filepath.Glob("../../deploy/examples/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, documents)
	for _, file := range documents {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, one := range bytes.Split(text, []byte("\n---\n")) {
			data, err := yaml.YAMLToJSON(one)
			require.NoError(t, err)
			require.NoError(t, fits(s, data), file)
		}
	}
	for name, bad := range map[string]string{
		"an unknown field": `{"apiVersion":"rutter.run/v1","kind":"Workload","metadata":{"name":"a"},"spec":{"replica":3}}`,
		"an unknown value": `{"apiVersion":"rutter.run/v1","kind":"Workload","metadata":{"name":"a"},"spec":{"restartPolicy":"sometimes"}}`,
		"no head":          `{"metadata":{"name":"a"},"spec":{}}`,
	} {
		require.Error(t, fits(s, []byte(bad)), name)
	}
}

// Every reference of the AsyncAPI document leads somewhere, and every type is in it.
func TestAsyncAPIHoldsTogether(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(docs, "asyncapi", "asyncapi.json"))
	require.NoError(t, err)
	var document map[string]any
	require.NoError(t, json.Unmarshal(file, &document))
	require.Equal(t, "3.0.0", document["asyncapi"])
	inChannels := map[string]bool{}
	for _, channel := range document["channels"].(map[string]any) {
		for wireType := range channel.(map[string]any)["messages"].(map[string]any) {
			inChannels[wireType] = true
		}
	}
	for _, wireType := range catalog.New().Types() {
		require.True(t, inChannels[wireType], wireType)
	}
	var walk func(value any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			if to, ok := value["$ref"].(string); ok {
				if inner, ok := bytes.CutPrefix([]byte(to), []byte("#/")); ok {
					var at any = document
					for _, word := range bytes.Split(inner, []byte("/")) {
						at = at.(map[string]any)[string(word)]
						require.NotNil(t, at, to)
					}
				} else {
					require.FileExists(t, filepath.Join(docs, "asyncapi", to))
				}
			}
			for _, inner := range value {
				walk(inner)
			}
		case []any:
			for _, inner := range value {
				walk(inner)
			}
		}
	}
	walk(document)
}
