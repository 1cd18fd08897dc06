package cloudevent_test

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/node"
)

const subject = "evt.node.n1"

func fact() events.Event {
	return events.Event{
		ID: "3f", Type: "run.rutter.node.not-ready.v1", Source: "/rutter/node-health", Subject: subject,
		Time: time.Date(2026, 11, 23, 12, 0, 0, 5000, time.UTC), Correlation: "c1", Causation: "c0", Actor: "user:Ada L",
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Data: node.NotReadyV1{Message: "disk full"},
	}
}

// The wire form is a contract with every NATS subscriber.
func TestWireFormOfAnEvent(t *testing.T) {
	header, data, err := cloudevent.EncodeEvent(fact())
	require.NoError(t, err)
	require.Equal(t, cloudevent.Header{
		"ce-specversion":     {"1.0"},
		"ce-id":              {"3f"},
		"ce-type":            {"run.rutter.node.not-ready.v1"},
		"ce-source":          {"/rutter/node-health"},
		"ce-subject":         {"evt.node.n1"},
		"ce-time":            {"2026-11-23T12:00:00.000005Z"},
		"ce-datacontenttype": {"application/json"},
		"ce-correlationid":   {"c1"},
		"ce-causationid":     {"c0"},
		"ce-actor":           {"user:Ada%20L"},
		"ce-traceparent":     {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	}, header)
	require.JSONEq(t, `{"message":"disk full"}`, string(data))
	require.Equal(t, fact(), cloudevent.NewDecoder(catalog.New()).Event(subject, header, data))
}

func TestWireFormOfACommand(t *testing.T) {
	c := events.Command{
		ID: "key-1", Type: "run.rutter.node.leave.v1", Subject: "cmd.node.n1", Actor: "user:ada", Reason: "old – away with it",
		Time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Correlation: "key-1", Data: node.LeaveV1{Message: "m"},
	}
	header, data, err := cloudevent.EncodeCommand(c)
	require.NoError(t, err)
	require.Equal(t, "old%20%E2%80%93%20away%20with%20it", header["ce-reason"][0])
	require.Equal(t, c, cloudevent.NewDecoder(catalog.New()).Command("cmd.node.n1", header, data))
}

func TestMalformed(t *testing.T) {
	good, data, err := cloudevent.EncodeEvent(fact())
	require.NoError(t, err)
	for name, change := range map[string]func(cloudevent.Header){
		"no id":                  func(h cloudevent.Header) { delete(h, "ce-id") },
		"no type":                func(h cloudevent.Header) { delete(h, "ce-type") },
		"no source":              func(h cloudevent.Header) { delete(h, "ce-source") },
		"no version":             func(h cloudevent.Header) { delete(h, "ce-specversion") },
		"another version":        func(h cloudevent.Header) { h["ce-specversion"] = []string{"0.3"} },
		"another subject":        func(h cloudevent.Header) { h["ce-subject"] = []string{"evt.node.n2"} },
		"not a time":             func(h cloudevent.Header) { h["ce-time"] = []string{"noon"} },
		"not UTF-8 in an actor":  func(h cloudevent.Header) { h["ce-actor"] = []string{"%C0"} },
		"not UTF-8 in an id":     func(h cloudevent.Header) { h["ce-id"] = []string{"%C0"} },
		"not UTF-8 in the cause": func(h cloudevent.Header) { h["ce-causationid"] = []string{"%C0"} },
		"another content type":   func(h cloudevent.Header) { h["ce-datacontenttype"] = []string{"text/xml"} },
		"no header at all":       func(h cloudevent.Header) { clear(h) },
	} {
		h := maps.Clone(good)
		change(h)
		e := cloudevent.NewDecoder(catalog.New()).Event(subject, h, data)
		require.IsType(t, events.Malformed{}, e.Data, name)
		require.Equal(t, data, e.Data.(events.Malformed).Raw)
		require.Equal(t, events.Subject(subject), e.Subject)
	}
	e := cloudevent.NewDecoder(catalog.New()).Event(subject, good, []byte(`{"message":7}`))
	require.IsType(t, events.Malformed{}, e.Data)
}

func TestStructuredModeIsReadAsWell(t *testing.T) {
	document := `{"specversion":"1.0","id":"3f","type":"run.rutter.node.not-ready.v1","source":"/rutter/node-health","subject":"evt.node.n1",
		"time":"2026-11-23T12:00:00.000005Z","datacontenttype":"application/json","correlationid":"c1","causationid":"c0","actor":"user:Ada L",
		"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","data":{"message":"disk full"}}`
	decoder := cloudevent.NewDecoder(catalog.New())
	for _, kind := range []string{"application/cloudevents+json", "application/cloudevents", "application/cloudevents+json; charset=utf-8"} {
		require.Equal(t, fact(), decoder.Event(subject, cloudevent.Header{"Content-Type": {kind}}, []byte(document)), kind)
	}
	for _, bad := range []string{"", "{", `{"specversion":"1.0"}`} {
		e := decoder.Event(subject, cloudevent.Header{"Content-Type": {"application/cloudevents+json"}}, []byte(bad))
		require.IsType(t, events.Malformed{}, e.Data, bad)
	}
	e := decoder.Event("evt.node.n2", cloudevent.Header{"Content-Type": {"application/cloudevents+json"}}, []byte(document))
	require.IsType(t, events.Malformed{}, e.Data)
}

// At the edges an event keeps its place in the log.
func TestJSONOutsideOfNATS(t *testing.T) {
	e := fact()
	e.Sequence, e.Recorded = 42, time.Date(2026, 11, 23, 12, 0, 1, 7, time.UTC)
	document, err := cloudevent.JSON(e)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(document, &fields))
	require.Equal(t, map[string]any{
		"specversion": "1.0", "id": "3f", "type": "run.rutter.node.not-ready.v1", "source": "/rutter/node-health", "subject": "evt.node.n1",
		"time": "2026-11-23T12:00:00.000005Z", "datacontenttype": "application/json", "correlationid": "c1", "causationid": "c0",
		"actor": "user:Ada L", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"sequence": "00000000000000000042", "recordedtime": "2026-11-23T12:00:01.000000007Z", "data": map[string]any{"message": "disk full"},
	}, fields)
	again, err := cloudevent.FromJSON(catalog.New(), document)
	require.NoError(t, err)
	require.Equal(t, e, again)
}

func TestUnknownTypesSurviveTheEdges(t *testing.T) {
	e := fact()
	e.Data = events.Unknown{Type: "run.rutter.node.promoted.v9", Raw: json.RawMessage(`{"rank":"admiral"}`)}
	e.Type = e.Data.WireType()
	document, err := cloudevent.JSON(e)
	require.NoError(t, err)
	again, err := cloudevent.FromJSON(catalog.New(), document)
	require.NoError(t, err)
	require.Equal(t, e, again)
}

// An old version is read as the newer one, and is that from then on: type and data never part.
func TestOldVersionsAreReadAsTheNewer(t *testing.T) {
	document := `{"specversion":"1.0","id":"a1","type":"run.rutter.ledger.revoked.v1","source":"/rutter/scheduler","subject":"evt.ledger.n1",
		"datacontenttype":"application/json","data":{"instance":{"namespace":"default","workload":"web","name":"web-0-1"},"generation":7,"cause":"NodeLost","grace":"10s"}}`
	e, err := cloudevent.FromJSON(catalog.New(), []byte(document))
	require.NoError(t, err)
	require.NotEqual(t, "run.rutter.ledger.revoked.v1", e.Type)
	require.Equal(t, e.Data.WireType(), e.Type)
	again, err := cloudevent.JSON(e)
	require.NoError(t, err)
	same, err := cloudevent.FromJSON(catalog.New(), again)
	require.NoError(t, err)
	require.Equal(t, e, same)

	header, data, err := cloudevent.EncodeEvent(fact())
	require.NoError(t, err)
	header["ce-type"], header["ce-subject"] = []string{"run.rutter.ledger.revoked.v1"}, []string{"evt.ledger.n1"}
	data = []byte(`{"instance":{"namespace":"default","workload":"web","name":"web-0-1"},"generation":7,"cause":"NodeLost","grace":"10s"}`)
	live := cloudevent.NewDecoder(catalog.New()).Event("evt.ledger.n1", header, data)
	require.Equal(t, live.Data, e.Data)
	require.Equal(t, live.Data.WireType(), live.Type)
	require.NoError(t, live.Validate())
}

func TestFromJSONRefuses(t *testing.T) {
	for _, document := range []string{"", "{}", "7", `{"specversion":"1.0","id":"a","type":"b","source":"c","sequence":"x"}`} {
		_, err := cloudevent.FromJSON(catalog.New(), []byte(document))
		require.ErrorIs(t, err, events.ErrInvalid, document)
	}
}

// A message of any headers is an event; nothing that is published stops a fold.
func FuzzDecode(f *testing.F) {
	f.Add("ce-id", "%C0", []byte("{}"))
	f.Add("Content-Type", "application/cloudevents+json", []byte(`{"specversion":"1.0"}`))
	good, data, err := cloudevent.EncodeEvent(fact())
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, name, value string, payload []byte) {
		for _, body := range [][]byte{payload, data} {
			h := maps.Clone(good)
			h[name] = []string{value}
			require.NotNil(t, cloudevent.NewDecoder(catalog.New()).Event(subject, h, body).Data)
		}
	})
}
