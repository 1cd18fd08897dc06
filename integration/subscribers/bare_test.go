package subscribers_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/node"
)

// What docs/subscribers.md says of following without a consumer: live copies that name the one before them, and direct gets that fill a gap.
func TestFollowingWithoutAConsumer(t *testing.T) {
	r := newRig(t)
	nc, err := jetstream.Connect(r.server.URL(), r.creds("bare"))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	live, err := nc.SubscribeSync("live.evt.node.n1")
	require.NoError(t, err)
	plain, err := nc.SubscribeSync("evt.>")
	require.NoError(t, err)
	require.NoError(t, nc.FlushWithContext(logtest.Context(t)))
	first := r.say("n1", node.ReadyV1{})
	r.say("n2", node.ReadyV1{})
	second := r.say("n1", lost())
	for i, want := range []struct{ id, sequence, before string }{{first[0], "1", "0"}, {second[0], "3", "1"}} {
		msg, err := live.NextMsgWithContext(logtest.Context(t))
		require.NoError(t, err)
		require.Equal(t, []string{want.id, want.sequence, want.before},
			[]string{msg.Header.Get("ce-id"), msg.Header.Get("Nats-Sequence"), msg.Header.Get("Nats-Last-Sequence")}, i)
		require.Equal(t, "user:Ada%20Lovelace%20%E2%82%AC", msg.Header.Get("ce-actor"))
	}
	for range 3 {
		_, err := plain.NextMsgWithContext(logtest.Context(t))
		require.NoError(t, err)
	}
	get := func(request string) *nats.Msg {
		msg, err := nc.RequestWithContext(logtest.Context(t), "$JS.API.DIRECT.GET.EVENTS", []byte(request))
		require.NoError(t, err)
		return msg
	}
	require.Equal(t, second[0], get(`{"seq": 2, "next_by_subj": "evt.node.n1"}`).Header.Get("ce-id"))
	require.Equal(t, "404", get(`{"seq": 4, "next_by_subj": "evt.node.n1"}`).Header.Get("Status"))

	inbox, err := nc.SubscribeSync(nc.NewInbox())
	require.NoError(t, err)
	require.NoError(t, nc.PublishRequest("$JS.API.DIRECT.GET.EVENTS", inbox.Subject, []byte(`{"seq": 1, "next_by_subj": "evt.node.*", "batch": 100}`)))
	var got []string
	for {
		msg, err := inbox.NextMsgWithContext(logtest.Context(t))
		require.NoError(t, err)
		if msg.Header.Get("Status") == "204" {
			break
		}
		got = append(got, msg.Header.Get("Nats-Sequence"))
	}
	require.Equal(t, []string{"1", "2", "3"}, got)
}
