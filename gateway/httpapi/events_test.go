package httpapi_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
)

// stream reads server-sent events one by one.
type stream struct {
	t  *testing.T
	in *bufio.Scanner
}

func (d *door) stream(path string, headers ...string) stream {
	d.t.Helper()
	response := d.ask("GET", path, "", append(headers, "Accept", "text/event-stream")...)
	require.Equal(d.t, http.StatusOK, response.StatusCode)
	require.Equal(d.t, "text/event-stream", response.Header.Get("Content-Type"))
	in := bufio.NewScanner(response.Body)
	in.Buffer(nil, 1<<20)
	return stream{t: d.t, in: in}
}

// next is the id and the data of the next event.
func (s stream) next() (id, data string) {
	s.t.Helper()
	for s.in.Scan() {
		line := s.in.Text()
		switch {
		case strings.HasPrefix(line, "id: "):
			id = strings.TrimPrefix(line, "id: ")
		case strings.HasPrefix(line, "data: "):
			data = strings.TrimPrefix(line, "data: ")
		case line == "" && data != "":
			return id, data
		}
	}
	s.t.Fatalf("the stream ended: %v", s.in.Err())
	return "", ""
}

func TestEventsAreCloudEventsInStructuredMode(t *testing.T) {
	d := open(t)
	d.Apply(gatewaytest.Document("web", 2))
	page := read[api.List[json.RawMessage]](t, d.ask("GET", "/v1/events", ""), http.StatusOK)
	require.Len(t, page.Items, 2)
	var e sdk.Event
	require.NoError(t, e.UnmarshalJSON(page.Items[0]))
	require.NoError(t, e.Validate())
	require.Equal(t, "run.rutter.workload.applied.v1", e.Type())
	require.Equal(t, "evt.workload.default.web", e.Subject())
	require.Equal(t, "token:ada", e.Extensions()["actor"])
	require.Equal(t, fmt.Sprintf("%020d", 1), e.Extensions()["sequence"])
	own, err := cloudevent.FromJSON(catalog.New(), page.Items[0])
	require.NoError(t, err)
	require.IsType(t, workload.AppliedV1{}, own.Data)
}

func TestEventsComeInPages(t *testing.T) {
	d := open(t)
	for n := range 5 {
		d.Apply(gatewaytest.Document(fmt.Sprint("w", n), 0))
	}
	seen := 0
	for next := "?limit=3"; ; {
		page := read[api.List[json.RawMessage]](t, d.ask("GET", "/v1/events"+next, ""), http.StatusOK)
		seen += len(page.Items)
		if page.Continue == "" {
			break
		}
		next = "?limit=3&continue=" + page.Continue
	}
	require.Equal(t, 10, seen)
}

func TestAStreamTellsThePastAndThenWhatComes(t *testing.T) {
	d := open(t)
	d.Apply(gatewaytest.Document("a", 0))
	s := d.stream("/v1/events?from=1")
	for want := 1; want <= 2; want++ {
		id, data := s.next()
		require.Equal(t, fmt.Sprint(want), id)
		require.Contains(t, data, fmt.Sprintf(`"sequence":"%020d"`, want))
	}
	d.Apply(gatewaytest.Document("b", 0))
	id, data := s.next()
	require.Equal(t, "3", id)
	require.Contains(t, data, "evt.workload.default.b")
}

func TestAStreamResumesAfterTheLastEventID(t *testing.T) {
	d := open(t)
	for n := range 3 {
		d.Apply(gatewaytest.Document(fmt.Sprint("w", n), 0))
	}
	id, _ := d.stream("/v1/events?from=1", "Last-Event-ID", "4").next()
	require.Equal(t, "5", id, "the header wins over from, as EventSource sends the same address again")
}

func TestAStreamIsFiltered(t *testing.T) {
	d := open(t)
	s := d.stream("/v1/events?from=1&workload=b&aggregate=workload")
	d.Apply(gatewaytest.Document("a", 0))
	d.Apply(gatewaytest.Document("b", 0))
	id, data := s.next()
	require.Equal(t, "3", id)
	require.Contains(t, data, "evt.workload.default.b")
	response := d.ask("GET", "/v1/events?aggregate=pod", "", "Accept", "text/event-stream")
	problem(t, response, http.StatusUnprocessableEntity)
	response = d.ask("GET", "/v1/events", "", "Accept", "text/event-stream", "Last-Event-ID", "x")
	problem(t, response, http.StatusUnprocessableEntity)
}

func TestAStreamWithoutAPlaceStartsNowAndSaysWhere(t *testing.T) {
	d := open(t)
	d.Apply(gatewaytest.Document("old", 0))
	s := d.stream("/v1/events")
	for s.in.Scan() && s.in.Text() != "id: 2" {
		continue // who is cut off here resumes after 2
	}
	d.Apply(gatewaytest.Document("new", 0))
	id, data := s.next()
	require.Equal(t, "3", id)
	require.Contains(t, data, "evt.workload.default.new")
}

func TestShutdownEndsStreams(t *testing.T) {
	d := open(t)
	s := d.stream("/v1/events?from=1")
	d.Apply(gatewaytest.Document("a", 0))
	s.next()
	d.api.Close()
	for s.in.Scan() {
		continue // what was on its way
	}
	require.NoError(t, s.in.Err(), "a clean end, which clients resume after")
}

func TestHistoryAndWhyOverHTTP(t *testing.T) {
	d := open(t)
	d.Apply(gatewaytest.Document("web", 0))
	page := read[api.List[json.RawMessage]](t, d.ask("GET", webPath+"/history", ""), http.StatusOK)
	require.Len(t, page.Items, 2)
	why := read[api.Why](t, d.ask("GET", webPath+"/why", ""), http.StatusOK)
	require.Equal(t, "workload/default/web", why.Thing)
	require.Len(t, why.Because, 1)
	require.Equal(t, "because of the test", why.Because[0].Because[0].Reason)
	problem(t, d.ask("GET", "/v1/nodes/n9/why", ""), http.StatusNotFound)
	problem(t, d.ask("GET", "/v1/namespaces/default/workloads/nobody/history", ""), http.StatusNotFound)
}
