package cloudevent_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/logtest"
)

var recorded = time.Date(2026, 11, 25, 12, 0, 0, 120, time.UTC)

// stored is a fact as a log has it.
func stored(t *testing.T, change func(*events.Record)) events.Record {
	t.Helper()
	e := logtest.Fact("e1")
	e.Subject, e.Actor = "evt.node.n1", "user:ada “€”"
	header, data, err := cloudevent.EncodeEvent(e)
	require.NoError(t, err)
	header["Nats-Msg-Id"] = []string{"e1"}
	r := events.Record{Subject: e.Subject, Header: maps.Clone(header), Data: data, Sequence: 7, Recorded: recorded}
	if change != nil {
		change(&r)
	}
	return r
}

func TestTheLineOfAnEventIsFixedForEver(t *testing.T) {
	require.Equal(t, `{"actor":"user:ada “€”","causationid":"cause-e1","correlationid":"corr-e1","data":{"message":"because of e1"},`+
		`"datacontenttype":"application/json","id":"e1","recordedtime":"2026-11-25T12:00:00.00000012Z","sequence":"00000000000000000007",`+
		`"source":"/rutter/logtest","specversion":"1.0","subject":"evt.node.n1","time":"2026-11-23T12:00:00.123456789Z",`+
		`"type":"run.rutter.node.not-ready.v1"}`, string(cloudevent.AppendLine(nil, stored(t, nil))))
	require.Equal(t, `{"data":{"body":"AAE=","header":"Y2UtaWQ6IHgNCg=="},"datacontenttype":"application/json","id":"record-9",`+
		`"recordedtime":"2026-11-25T12:00:00.00000012Z","sequence":"00000000000000000009","source":"/rutter/log","specversion":"1.0",`+
		`"subject":"evt.node.%FF","type":"run.rutter.log.record.v1"}`, string(cloudevent.AppendLine(nil, events.Record{
		Subject: "evt.node.\xff", Header: map[string][]string{"ce-id": {"x"}, "Nats-Msg-Id": {"x"}}, Data: []byte{0, 1}, Sequence: 9, Recorded: recorded,
	})))
}

func TestTheLineGivesBackWhatIsStored(t *testing.T) {
	set := func(name string, values ...string) func(*events.Record) {
		return func(r *events.Record) { r.Header[name] = values }
	}
	body := func(data string) func(*events.Record) { return func(r *events.Record) { r.Data = []byte(data) } }
	for name, c := range map[string]struct {
		change func(*events.Record)
		plain  bool // the line is the event itself
	}{
		"an event":                 {nil, true},
		"an unknown extension":     {set("ce-colour", "blue%20"), true},
		"no time":                  {func(r *events.Record) { delete(r.Header, "ce-time") }, true},
		"data on several lines":    {body("{\n}"), true},
		"data that is not JSON":    {body("{"), true},
		"data that is not text":    {body("\"\xff\""), true},
		"no data":                  {body(""), true},
		"numbers and keys as sent": {body(`{"b":1.0,"a":1e2,"b":2}`), true},
		"an attribute twice":       {set("ce-actor", "a", "b"), false},
		"an empty attribute":       {set("ce-actor", ""), false},
		"a lax encoding":           {set("ce-actor", "%41"), false},
		"a broken encoding":        {set("ce-actor", "%4"), false},
		"a name that is none":      {set("ce-Actor", "a"), false},
		"a sequence of its own":    {set("ce-sequence", "1"), false},
		"a time of its own":        {set("ce-recordedtime", "2020-01-01T00:00:00Z"), false},
		"another subject":          {set("ce-subject", "evt.node.n2"), false},
		"no subject":               {func(r *events.Record) { delete(r.Header, "ce-subject") }, false},
		"structured mode":          {set("Content-Type", "application/cloudevents+json"), false},
		"the stand-in's own type":  {set("ce-type", cloudevent.TypeRecord), false},
		"no headers":               {func(r *events.Record) { r.Header = nil }, false},
		"no text at all":           {func(r *events.Record) { r.Header, r.Subject = nil, "evt.node.\xfe%41" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := stored(t, c.change)
			line := cloudevent.AppendLine(nil, r)
			require.True(t, json.Valid(line), string(line))
			require.Equal(t, !c.plain, strings.Contains(string(line), `"type":"`+cloudevent.TypeRecord+`"`), string(line))
			got, err := cloudevent.ParseLine(line)
			require.NoError(t, err)
			require.Equal(t, line, cloudevent.AppendLine(nil, got))
			// Whoever decodes it sees what the log's readers see.
			decoder := cloudevent.NewDecoder(catalog.New())
			want, back := decoder.Event(string(r.Subject), r.Header, r.Data), decoder.Event(string(got.Subject), got.Header, got.Data)
			require.Equal(t, normal(want), normal(back))
			require.Equal(t, r.Sequence, got.Sequence)
			require.Equal(t, r.Recorded, got.Recorded)
		})
	}
}

// normal makes no difference between no data and empty data.
func normal(e events.Event) events.Event {
	if m, ok := e.Data.(events.Malformed); ok && len(m.Raw) == 0 {
		m.Raw = nil
		e.Data = m
	}
	return e
}

func TestALineWithAChangedByteIsAnotherOrNone(t *testing.T) {
	r := stored(t, nil)
	line := cloudevent.AppendLine(nil, r)
	rapid.Check(t, func(t *rapid.T) {
		changed := append([]byte{}, line...)
		changed[rapid.IntRange(0, len(line)-1).Draw(t, "at")] ^= rapid.ByteRange(1, 255).Draw(t, "by")
		got, err := cloudevent.ParseLine(changed)
		if err == nil && string(cloudevent.AppendLine(nil, got)) != string(changed) {
			t.Fatalf("%s reads as another line", changed)
		}
	})
}
