package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
	"github.com/rutter-run/rutter/gateway/httpapi"
)

// door is an API under test with a token for each role.
type door struct {
	*gatewaytest.Rig
	t      *testing.T
	api    *httpapi.API
	url    string
	tokens map[httpapi.Role]string
	log    *bytes.Buffer
}

func open(t *testing.T, options ...func(*gatewaytest.Rig, *app.Config)) *door {
	t.Helper()
	d := &door{Rig: gatewaytest.New(t, options...), t: t, tokens: map[httpapi.Role]string{}, log: &bytes.Buffer{}}
	var entries []httpapi.Token
	for _, role := range []httpapi.Role{httpapi.RoleViewer, httpapi.RoleOperator, httpapi.RoleAdmin} {
		secret, entry := httpapi.NewToken(string(role), role)
		d.tokens[role], entries = secret, append(entries, entry)
	}
	tokens, err := httpapi.NewTokens(entries...)
	require.NoError(t, err)
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	d.api, err = httpapi.New(httpapi.Config{App: d.App, Tokens: tokens, Log: logrus.NewEntry(logger), Version: "v0.0.0-test", MaxBody: 64 << 10})
	require.NoError(t, err)
	server := httptest.NewServer(d.api.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(d.api.Close)
	d.url = server.URL
	return d
}

// ask sends a request as an operator; headers are pairs.
func (d *door) ask(method, path, body string, headers ...string) *http.Response {
	d.t.Helper()
	request, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	require.NoError(d.t, err)
	request.Header.Set("Authorization", "Bearer "+d.tokens[httpapi.RoleOperator])
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			request.Header.Del(headers[i])
		}
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(d.t, err)
	d.t.Cleanup(func() { response.Body.Close() })
	return response
}

// read decodes an answer that has a status.
func read[T any](t *testing.T, response *http.Response, status int) (v T) {
	t.Helper()
	data, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, status, response.StatusCode, string(data))
	require.NoError(t, json.Unmarshal(data, &v), string(data))
	return v
}

// problem is an answer that is one.
func problem(t *testing.T, response *http.Response, status int) api.Problem {
	t.Helper()
	require.Equal(t, api.ProblemType, response.Header.Get("Content-Type"))
	p := read[api.Problem](t, response, status)
	require.Equal(t, status, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	require.Contains(t, p.Type, "urn:rutter:problem:")
	require.NotEmpty(t, p.RequestID)
	return p
}

const webYAML = `
apiVersion: rutter.run/v1
kind: Workload
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  containers:
  - image: nginx:1.27
    ports: [{containerPort: 80}]
`

const webPath = "/v1/namespaces/default/workloads/web"

func TestAWorkloadsLifeOverHTTP(t *testing.T) {
	d := open(t)
	result := read[api.Result](t, d.ask("PUT", webPath+"?reason=first+try", webYAML, "Idempotency-Key", "k1"), http.StatusCreated)
	require.Equal(t, api.VerdictCreated, result.Verdict)
	require.Equal(t, "k1", result.Operation.ID)
	require.Equal(t, "token:operator", result.Operation.Actor)
	require.Equal(t, "first try", result.Operation.Reason)
	require.Contains(t, result.Workload.Spec.Containers[0].Image.String(), gatewaytest.Digest)

	response := d.ask("GET", webPath, "")
	w := read[api.Workload](t, response, http.StatusOK)
	etag := response.Header.Get("ETag")
	require.Regexp(t, `^"1\.[1-9][0-9]*"$`, etag)
	require.Equal(t, 2, w.Status.Wished)

	// What is read can be applied again, status and all.
	document, err := json.Marshal(w)
	require.NoError(t, err)
	result = read[api.Result](t, d.ask("PUT", webPath, string(document), "If-Match", `"1"`), http.StatusOK)
	require.Equal(t, api.VerdictUnchanged, result.Verdict)

	response = d.ask("POST", webPath+"/scale", `{"replicas": 5}`, "If-Match", etag)
	require.NotEqual(t, etag, response.Header.Get("ETag"), "the next change goes on from here")
	result = read[api.Result](t, response, http.StatusOK)
	require.Equal(t, 5, result.Workload.Status.Wished)
	list := read[api.List[api.Workload]](t, d.ask("GET", "/v1/workloads?selector=app%3Dweb", ""), http.StatusOK)
	require.Len(t, list.Items, 1)
	require.Empty(t, read[api.List[api.Workload]](t, d.ask("GET", "/v1/namespaces/other/workloads", ""), http.StatusOK).Items)

	operation := read[api.Operation](t, d.ask("GET", "/v1/operations/k1", ""), http.StatusOK)
	require.Equal(t, api.OperationAccepted, operation.State)

	response = d.ask("DELETE", webPath, "")
	result = read[api.Result](t, response, http.StatusAccepted)
	require.Equal(t, api.VerdictDeleting, result.Verdict)
	require.Equal(t, result.Operation.ID, response.Header.Get("Rutter-Operation"))
}

func TestOfThoseWhoSawTheSameOneWins(t *testing.T) {
	d := open(t)
	read[api.Result](t, d.ask("PUT", webPath, webYAML), http.StatusCreated)
	for round := range 5 {
		etag := d.ask("GET", webPath, "").Header.Get("ETag")
		var asking sync.WaitGroup
		statuses := make([]int, 8)
		for n := range statuses {
			asking.Go(func() {
				method, path, body := "POST", webPath+"/scale", fmt.Sprintf(`{"replicas": %d}`, 10*(round+1)+n)
				if n%2 == 1 {
					method, path, body = "PUT", webPath, strings.Replace(webYAML, "replicas: 2", fmt.Sprintf("replicas: %d", 10*(round+1)+n), 1)
				}
				statuses[n] = d.ask(method, path, body, "If-Match", etag).StatusCode
			})
		}
		asking.Wait()
		slices.Sort(statuses)
		require.Equal(t, []int{200, 409, 409, 409, 409, 409, 409, 409}, statuses)
	}
	stale := `"1.1"`
	problem(t, d.ask("PUT", webPath+"?dryRun=true", webYAML, "If-Match", stale), http.StatusConflict)
	problem(t, d.ask("DELETE", webPath, "", "If-Match", stale), http.StatusConflict)
	for _, wrong := range []string{`"1."`, `"1.x"`, `"-1"`, `"1.0"`, `*`} {
		require.Equal(t, "If-Match", problem(t, d.ask("DELETE", webPath, "", "If-Match", wrong), http.StatusUnprocessableEntity).Errors[0].Field)
	}
	read[api.Result](t, d.ask("DELETE", webPath, "", "If-Match", d.ask("GET", webPath, "").Header.Get("ETag")), http.StatusAccepted)
}

func TestDryRunOverHTTP(t *testing.T) {
	d := open(t)
	result := read[api.Result](t, d.ask("PUT", webPath+"?dryRun=true", webYAML), http.StatusOK)
	require.True(t, result.DryRun)
	require.Nil(t, result.Operation)
	problem(t, d.ask("GET", webPath, ""), http.StatusNotFound)
}

func TestProblemsHaveTheirStatus(t *testing.T) {
	d := open(t)
	read[api.Result](t, d.ask("PUT", webPath, webYAML), http.StatusCreated)
	for _, c := range []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		detail                   string
	}{
		{"unknown workload", "GET", "/v1/namespaces/default/workloads/nobody", "", nil, 404, "there is no workload nobody"},
		{"unknown instance", "GET", "/v1/namespaces/default/instances/web-9-9", "", nil, 404, "there is no instance web-9-9"},
		{"no instance's name", "GET", "/v1/namespaces/default/instances/web", "", nil, 422, "<workload>-<slot>-<attempt>"},
		{"unknown node", "GET", "/v1/nodes/n9", "", nil, 404, "there is no node n9"},
		{"unknown operation", "GET", "/v1/operations/nope", "", nil, 404, "not known"},
		{"scale of nothing", "POST", "/v1/namespaces/default/workloads/nobody/scale", `{"replicas":1}`, nil, 404, "there is no workload nobody"},
		{"delete of nothing", "DELETE", "/v1/namespaces/default/workloads/nobody", "", nil, 404, "there is no workload nobody"},
		{"scale below zero", "POST", webPath + "/scale", `{"replicas":-1}`, nil, 422, "replicas"},
		{"scale without a number", "POST", webPath + "/scale", `{}`, nil, 422, "replicas"},
		{"scale with a word", "POST", webPath + "/scale", `{"replicas":"three"}`, nil, 422, "a whole number"},
		{"scale with an unknown field", "POST", webPath + "/scale", `{"replica":1}`, nil, 422, "replica: no such field"},
		{"scale with no JSON", "POST", webPath + "/scale", `{"replicas":`, nil, 400, "not YAML or JSON"},
		{"empty body", "PUT", webPath, "", nil, 400, "the body is empty"},
		{"body of another kind", "PUT", webPath, "[1,2", nil, 400, "not YAML or JSON"},
		{"body too large", "PUT", webPath, strings.Repeat("x", 65<<10), nil, 413, "at most 65536 bytes"},
		{"another name in the body", "PUT", "/v1/namespaces/default/workloads/other", webYAML, nil, 422, "other, which the address says"},
		{"stale revision", "PUT", webPath, webYAML, []string{"If-Match", `"7"`}, 409, "revision"},
		{"must not exist", "PUT", webPath, webYAML, []string{"If-None-Match", "*"}, 409, "revision"},
		{"no revision", "PUT", webPath, webYAML, []string{"If-Match", "latest"}, 422, "If-Match"},
		{"no image", "PUT", webPath, strings.Replace(webYAML, "nginx:1.27", "missing:1", 1), nil, 422, "spec.containers[0].image: "},
		{"registry down", "PUT", webPath, strings.Replace(webYAML, "nginx:1.27", "down.example/x:1", 1), nil, 503, "cannot be reached"},
		{"bad key", "PUT", webPath, webYAML, []string{"Idempotency-Key", "a b"}, 422, "Idempotency-Key"},
		{"bad limit", "GET", "/v1/workloads?limit=many", "", nil, 422, "limit"},
		{"bad selector", "GET", "/v1/workloads?selector=%3D%3D", "", nil, 422, "a label selector"},
		{"bad flag", "GET", "/v1/workloads?gone=perhaps", "", nil, 422, "true or false"},
		{"bad sequence", "GET", "/v1/state?sequence=last", "", nil, 422, "a sequence of the event log"},
		{"sequence to come", "GET", "/v1/state?sequence=999999", "", nil, 422, "the last in the log now"},
		{"bad aggregate", "GET", "/v1/events?aggregate=pod", "", nil, 422, "one of"},
		{"bad from", "GET", "/v1/events?from=-1", "", nil, 422, "a sequence of the event log"},
		{"bad since", "GET", "/v1/namespaces/default/instances/web-0-1/logs?since=yesterday", "", nil, 422, "since"},
		{"exec without a command", "GET", "/v1/namespaces/default/instances/web-0-1/exec", "", nil, 422, "a program to run"},
		{"no such address", "GET", "/v2/pods", "", nil, 404, "/v1/openapi.json"},
		{"no such method", "PATCH", webPath, "", nil, 405, "PATCH"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := problem(t, d.ask(c.method, c.path, c.body, c.headers...), c.status)
			require.Contains(t, p.Detail, c.detail)
		})
	}
}

func TestRejectionsNameTheirOperation(t *testing.T) {
	d := open(t)
	p := problem(t, d.ask("POST", "/v1/namespaces/default/workloads/nobody/scale", `{"replicas":1}`, "Idempotency-Key", "again"), http.StatusNotFound)
	require.Equal(t, "again", p.Operation)
	require.Contains(t, p.Detail, "reconciler rejected it")
}

func TestNobodyEntersWithoutAToken(t *testing.T) {
	d := open(t)
	for _, route := range []string{"/v1/workloads", "/v1/state", "/v1/events", "/v1/version"} {
		response := d.ask("GET", route, "", "Authorization", "")
		require.Contains(t, response.Header.Get("WWW-Authenticate"), "Bearer")
		problem(t, response, http.StatusUnauthorized)
		problem(t, d.ask("GET", route, "", "Authorization", "Bearer rutter_guess"), http.StatusUnauthorized)
		problem(t, d.ask("GET", route, "", "Authorization", "Basic YTpi"), http.StatusUnauthorized)
	}
	// An API without tokens is closed, not open.
	closed, err := httpapi.New(httpapi.Config{App: d.App})
	require.NoError(t, err)
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest("GET", "/v1/state", nil)
	request.Header.Set("Authorization", "Bearer ")
	closed.Handler().ServeHTTP(recorder, request)
	require.Equal(t, http.StatusUnauthorized, recorder.Code)
}

func TestRolesAllowWhatTheyAreFor(t *testing.T) {
	d := open(t)
	as := func(role httpapi.Role) string { return "Bearer " + d.tokens[role] }
	p := problem(t, d.ask("PUT", webPath, webYAML, "Authorization", as(httpapi.RoleViewer)), http.StatusForbidden)
	require.Contains(t, p.Detail, "token viewer has the role viewer, this needs operator")
	problem(t, d.ask("GET", "/v1/namespaces/default/instances/web-0-1/exec?command=sh", "", "Authorization", as(httpapi.RoleViewer)), http.StatusForbidden)
	require.Equal(t, http.StatusOK, d.ask("GET", "/v1/workloads", "", "Authorization", as(httpapi.RoleViewer)).StatusCode)
	result := read[api.Result](t, d.ask("PUT", webPath, webYAML, "Authorization", as(httpapi.RoleAdmin)), http.StatusCreated)
	require.Equal(t, "token:admin", result.Operation.Actor)
}

func TestHealthNeedsNoToken(t *testing.T) {
	d := open(t)
	for _, route := range []string{"/livez", "/readyz", "/metrics", "/v1/openapi.json"} {
		require.Equal(t, http.StatusOK, d.ask("GET", route, "", "Authorization", "").StatusCode, route)
	}
	data, err := io.ReadAll(d.ask("GET", "/metrics", "").Body)
	require.NoError(t, err)
	require.Contains(t, string(data), `rutter_http_requests_total{code="200",method="GET",route="/livez"} 1`)
	require.Contains(t, string(data), "rutter_gateway_projection_sequence")
}

func TestARequestsIDComesBack(t *testing.T) {
	d := open(t)
	require.Equal(t, "mine-1", d.ask("GET", "/v1/state", "", "X-Request-Id", "mine-1").Header.Get("X-Request-Id"))
	require.NotEmpty(t, d.ask("GET", "/v1/state", "").Header.Get("X-Request-Id"))
}

func TestReadYourWrites(t *testing.T) {
	d := open(t)
	response := d.ask("PUT", webPath, webYAML)
	sequence := response.Header.Get("Rutter-Sequence")
	require.NotEmpty(t, sequence)
	w := read[api.Workload](t, d.ask("GET", webPath+"?sequence="+sequence, ""), http.StatusOK)
	require.Equal(t, "web", w.Metadata.Name)
}
