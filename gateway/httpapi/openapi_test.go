package httpapi_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// That every route is described and every description served is checked by New itself: it fails otherwise.
func TestTheDescriptionIsOpenAPIAndWhole(t *testing.T) {
	d := open(t)
	doc := read[struct {
		OpenAPI    string
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas         map[string]json.RawMessage
			SecuritySchemes map[string]json.RawMessage
		}
	}](t, d.ask("GET", "/v1/openapi.json", ""), http.StatusOK)
	require.True(t, strings.HasPrefix(doc.OpenAPI, "3.1."), doc.OpenAPI)
	require.Contains(t, doc.Components.SecuritySchemes, "token")
	ids := map[string]bool{}
	for path, operations := range doc.Paths {
		for method, raw := range operations {
			var operation struct {
				OperationID string
				Summary     string
				Security    []map[string][]string
				Parameters  []struct{ Name, In string }
				Responses   map[string]json.RawMessage
				RequestBody json.RawMessage
			}
			require.NoError(t, json.Unmarshal(raw, &operation))
			at := method + " " + path
			require.NotEmpty(t, operation.Summary, at)
			require.NotEmpty(t, operation.Responses, at)
			require.False(t, ids[operation.OperationID], "%s: id %s stands twice", at, operation.OperationID)
			ids[operation.OperationID] = true
			declared := map[string]bool{}
			for _, p := range operation.Parameters {
				if p.In == "path" {
					declared[p.Name] = true
				}
			}
			for _, part := range strings.Split(path, "/") {
				if name, ok := strings.CutPrefix(part, "{"); ok {
					require.True(t, declared[strings.TrimSuffix(name, "}")], "%s: parameter %s is not declared", at, name)
				}
			}
			if strings.HasPrefix(path, "/v1/") && path != "/v1/openapi.json" {
				require.NotEmpty(t, operation.Security, at)
				require.Contains(t, string(operation.Responses["default"]), "application/problem+json", at)
			}
			if method == "put" || method == "post" {
				require.NotEmpty(t, operation.RequestBody, at)
			}
		}
	}
	for name, schema := range doc.Components.Schemas {
		require.NotContains(t, name, "GithubCom", string(schema))
	}
	require.Contains(t, string(doc.Components.Schemas["SpecProtocol"]), `"sctp"`, "closed sets are enums")
	require.Contains(t, doc.Components.Schemas, "Workload")
	require.Contains(t, string(doc.Paths["/v1/events"]["get"]), "text/event-stream")
	require.Contains(t, string(doc.Paths["/v1/namespaces/{namespace}/instances/{name}/logs"]["get"]), "application/x-ndjson")
	var container struct {
		Properties map[string]struct{ Type string }
	}
	require.NoError(t, json.Unmarshal(doc.Components.Schemas["SpecContainer"], &container))
	require.Equal(t, "string", container.Properties["image"].Type, "a reference reads itself from a string")
}
