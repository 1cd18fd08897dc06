package auth_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/auth/authtest"
	"github.com/rutter-run/rutter/internal/door"
	"github.com/rutter-run/rutter/internal/rpc"
)

var web = events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}

// registration is the command by which a node joins.
func registration(t *testing.T, name, creds string) events.Command {
	t.Helper()
	key, err := auth.NodeKey(creds)
	require.NoError(t, err)
	c := logtest.Register(events.NodeID(name, logtest.Name("c")), name)
	c.Data = node.RegisterV1{Incarnation: "i1", Key: key}
	return c
}

func TestNodeWorksWithItsOwn(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	creds := c.Node("n1")
	n1 := c.Knock("n1", creds)
	subject := events.ReportSubject("n1", web)
	require.NoError(t, n1.Ping(ctx))
	first, err := n1.Log().Append(ctx, logtest.Reports("n1", subject, 0, "r1"))
	require.NoError(t, err)
	// A retry is recognised through the door too.
	again, err := n1.Log().Append(ctx, logtest.Reports("n1", subject, 0, "r1"))
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = n1.Log().Append(ctx, logtest.Reports("n1", subject, 0, "r2"))
	require.ErrorIs(t, err, events.ErrConflict)
	require.NoError(t, n1.Heartbeats().Beat(ctx, events.Heartbeat{Node: "n1"}))
	require.NoError(t, n1.Commands().Send(ctx, registration(t, "n1", creds)))

	// It hears and reads its own ledger.
	heard, synced := make(chan events.Event, 1), make(chan struct{}, 1)
	go func() {
		_ = n1.Log().Subscribe(ctx, events.LedgerSubject("n1"), func() { synced <- struct{}{} }, func(e events.Event, _ uint64) { heard <- e })
	}()
	logtest.Receive(t, ctx, "synced", synced)
	_, err = c.Service(auth.UserScheduler).Log().Append(ctx, logtest.OneNote(events.LedgerSubject("n1"), 0, "a1"))
	require.NoError(t, err)
	require.Equal(t, "a1", logtest.Receive(t, ctx, "a live event", heard).ID)
	last, err := n1.Log().LastOf(ctx, events.LedgerSubject("n1"))
	require.NoError(t, err)
	require.Equal(t, "a1", last.ID)
	var read []string
	require.NoError(t, n1.Log().Read(ctx, events.LedgerSubject("n1"), 0, func(e events.Event) error { read = append(read, e.ID); return nil }))
	require.Equal(t, []string{"a1"}, read)
}

func TestNodeIsKeptToItsOwn(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	creds2 := c.Node("n2")
	creds := c.Node("n1")
	n1 := c.Knock("n1", creds)
	own := events.ReportSubject("n1", web)

	for _, subject := range []events.Subject{
		events.ReportSubject("n2", web), events.LedgerSubject("n1"), events.LedgerSubject("n2"), events.NodeSubject("n1"),
		events.WorkloadSubject("default", "web"), events.CommandSubject(events.ServiceNodeHealth), own + ".more", "evt.report.n1.short",
	} {
		forged := logtest.Note(subject, events.NodeID("n1", "forged"))
		forged.Source, forged.Actor = events.NodeSource("n1"), events.NodeActor("n1")
		write := events.Write{Subject: subject, Events: []events.Event{forged}}
		_, err := n1.Log().Append(ctx, events.Batch{write})
		require.ErrorIs(t, err, events.ErrDenied, subject)
		_, err = n1.Log().Append(ctx, append(logtest.Reports("n1", own, 0, "own"), write))
		require.ErrorIs(t, err, events.ErrDenied, subject)
	}
	for name, change := range map[string]func(*events.Event){
		"another node's id": func(e *events.Event) { e.ID = events.NodeID("n2", "x") },
		"anybody's id":      func(e *events.Event) { e.ID = "ci-42" },
		"another source":    func(e *events.Event) { e.Source = "/rutter/scheduler" },
		"another actor":     func(e *events.Event) { e.Actor = "user:ada" },
	} {
		batch := logtest.Reports("n1", own, 0, "r1")
		change(&batch[0].Events[0])
		_, err := n1.Log().Append(ctx, batch)
		require.ErrorIs(t, err, events.ErrDenied, name)
	}
	last, err := c.Service(auth.UserAdmin).Log().Last(ctx)
	require.NoError(t, err)
	require.Zero(t, last, "nothing of it is stored")

	for name, change := range map[string]func(*events.Command){
		"another's registration": func(r *events.Command) { r.Subject = events.NodeCommand("n2") },
		"another key":            func(r *events.Command) { r.Data = node.RegisterV1{Incarnation: "i", Key: "k"} },
		"anybody's id":           func(r *events.Command) { r.ID = "ci-42" },
		"another actor":          func(r *events.Command) { r.Actor = "user:ada" },
		"another command": func(r *events.Command) {
			r.Data = node.LeaveV1{}
			r.Type = r.Data.WireType()
		},
	} {
		command := registration(t, "n1", creds)
		change(&command)
		require.ErrorIs(t, n1.Commands().Send(ctx, command), events.ErrDenied, name)
	}
	for _, subject := range []events.Subject{events.LedgerSubject("n2"), events.ReportSubject("n2", web), "evt.report.n1.>", events.WorkloadSubject("default", "web")} {
		require.ErrorIs(t, n1.Log().Read(ctx, subject, 0, nil), events.ErrDenied, subject)
		_, err = n1.Log().LastOf(ctx, subject)
		require.ErrorIs(t, err, events.ErrDenied, subject)
	}
	require.ErrorIs(t, n1.Log().Subscribe(ctx, events.LedgerSubject("n2"), func() {}, nil), events.ErrDenied)
	require.ErrorIs(t, n1.Commands().Consume(ctx, events.ServiceNodeHealth, nil), events.ErrDenied)
	require.ErrorIs(t, n1.Heartbeats().Listen(ctx, nil), events.ErrDenied)

	raw := c.Conn(creds)
	key, err := auth.NodeKey(creds)
	require.NoError(t, err)
	key2, err := auth.NodeKey(creds2)
	require.NoError(t, err)
	for _, subject := range []string{
		string(own), "evt.ledger.n1", "cmd.node.n1", "hb.n2", "rpc.n1.exec", "rpc.n2.exec", "join.n3", "$KV.LEASES.scheduler", "live.evt.ledger.n2",
		"$JS.API.INFO", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.CONSUMER.CREATE.EVENTS.x.evt.ledger.n1", "$JS.API.DIRECT.GET.EVENTS.evt.ledger.n1",
		"$JS.API.STREAM.MSG.GET.EVENTS", "$JS.FC.EVENTS.x.y", "_INBOX_node.n2.x", "_INBOX_scheduler.x", "_INBOX_gateway.x", rpc.Answers("n2") + ".x",
		door.Subject("n2", key2, "append"), door.Subject("n1", key2, "append"), door.Subject("n2", key, "append"),
	} {
		c.Refused(raw, nats.NewMsg(subject))
	}
}

// JetStream answers wherever it is told, with the server's own right to publish: a node's acknowledgements and readings could be delivered as
// commands, as events, or as a request to delete the log. So nothing that a node may say is answered where it says.
func TestNodeCannotSteerAnAnswer(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	creds := c.Node("n1")
	raw, n1 := c.Conn(creds), c.Knock("n1", creds)
	admin := c.Service(auth.UserAdmin)
	first, err := n1.Log().Append(ctx, logtest.Reports("n1", events.ReportSubject("n1", web), 0, "r1"))
	require.NoError(t, err)
	ear := c.Conn(c.Keys.Creds(auth.UserAdmin))
	key, err := auth.NodeKey(creds)
	require.NoError(t, err)
	request, err := json.Marshal(map[string]any{"subject": events.ReportSubject("n1", web)})
	require.NoError(t, err)

	targets := []string{
		"cmd.workload.default.web", "evt.workload.default.web", "evt.report.n2.default.web.web-0-1", "evt.report.n1.default.web.web-0-1", "$JS.API.STREAM.DELETE.EVENTS",
		"$KV.LEASES.scheduler", "rpc.n2.exec", "hb.n2", "live.evt.ledger.n2", "_INBOX_node.n2.x", "_INBOX_gateway.x", "_INBOX_node.n1", "_INBOX_node.n1x.y",
	}
	steered := make(chan *nats.Msg, 1024)
	for _, target := range targets {
		_, err := ear.ChanSubscribe(target, steered)
		require.NoError(t, err)
	}
	require.NoError(t, ear.FlushWithContext(ctx))
	for _, target := range targets {
		for _, subject := range []string{
			"hb.n1", door.Subject("n1", key, "ping"), door.Subject("n1", key, "last-of"), door.Subject("n1", key, "read"),
			door.Subject("n1", key, "append"), door.Subject("n1", key, "register"), door.Subject("n1", key, "renew"), door.Subject("n1", key, "nothing"),
		} {
			require.NoError(t, raw.PublishMsg(&nats.Msg{Subject: subject, Reply: target, Data: request}))
			// Nor does the server's own tracing of messages take them there.
			c.Refused(raw, &nats.Msg{Subject: subject, Header: nats.Header{"Nats-Trace-Dest": {target}}, Data: request})
		}
		for _, subject := range []string{
			"evt.report.n1.default.web.web-0-1", "cmd.node.n1", "$JS.API.DIRECT.GET.EVENTS.evt.ledger.n1", "$JS.API.DIRECT.GET.EVENTS.evt.report.n1.default.web.web-0-1",
			"$JS.API.CONSUMER.CREATE.EVENTS.x.evt.ledger.n1",
		} {
			c.Refused(raw, &nats.Msg{Subject: subject, Reply: target, Data: request})
		}
	}
	// What comes after all that on the same way is answered, and everything before it was looked at.
	answer, err := raw.RequestWithContext(ctx, door.Subject("n1", key, "ping"), nil)
	require.NoError(t, err)
	require.JSONEq(t, "{}", string(answer.Data))
	require.NoError(t, ear.FlushWithContext(ctx))
	for len(steered) > 0 {
		m := <-steered
		t.Errorf("%s got %q", m.Subject, m.Data)
	}
	last, err := admin.Log().Last(ctx)
	require.NoError(t, err)
	require.Equal(t, first, last)
}

// The gateway asks an agent, which answers as often as it likes; nobody else may ask, and another node may not answer.
func TestRPC(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	agent, gateway := c.Conn(c.Node("n1")), c.Conn(c.Keys.Creds(auth.UserGateway))
	_, err := agent.Subscribe("rpc.n1.>", func(msg *nats.Msg) {
		for range 100 {
			_ = msg.Respond([]byte(msg.Subject))
		}
	})
	require.NoError(t, err)
	require.NoError(t, agent.FlushWithContext(ctx))
	inbox := rpc.Answers("n1") + ".1"
	answers, err := gateway.SubscribeSync(inbox)
	require.NoError(t, err)
	require.NoError(t, gateway.PublishRequest("rpc.n1.logs", inbox, nil))
	for range 100 {
		msg, err := answers.NextMsgWithContext(ctx)
		require.NoError(t, err)
		require.Equal(t, "rpc.n1.logs", string(msg.Data))
	}
	c.Refused(c.Conn(c.Keys.Creds(auth.UserScheduler)), nats.NewMsg("rpc.n1.logs"))
	c.Refused(c.Conn(c.Node("n2")), nats.NewMsg(inbox))
}

// A name belongs to the key that it joined with until its node has left; then to the next that asks, and no longer to the first.
func TestANameOutlivesItsKey(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	old, next := c.Node("n1"), filepath.Join(t.TempDir(), "n1.creds")
	oldKey, err := auth.NodeKey(old)
	require.NoError(t, err)
	before := c.Knock("n1", old)
	require.ErrorIs(t, c.Join("n1", next), events.ErrExists, "it was admitted and is about to join")
	c.Own("n1", oldKey)
	require.ErrorIs(t, c.Join("n1", next), events.ErrExists, "it has joined")
	require.NoError(t, before.Ping(ctx))

	c.Own("n1", "") // it has left
	_, err = before.Renew(ctx)
	require.ErrorIs(t, err, events.ErrDenied, "a name that is nobody's is not renewed for ever")
	require.NoError(t, c.Join("n1", next))
	require.ErrorIs(t, c.Join("n1", filepath.Join(t.TempDir(), "n1.creds")), events.ErrExists)
	key, err := auth.NodeKey(next)
	require.NoError(t, err)
	c.Own("n1", key)
	subject := events.ReportSubject("n1", web)
	_, err = c.Knock("n1", next).Log().Append(ctx, logtest.Reports("n1", subject, 0, "new"))
	require.NoError(t, err)
	// The old credentials are good for another while, and open nothing.
	_, err = before.Log().Append(ctx, logtest.Reports("n1", subject, 0, "old"))
	require.ErrorIs(t, err, events.ErrDenied)
	require.ErrorIs(t, before.Log().Read(ctx, events.LedgerSubject("n1"), 0, nil), events.ErrDenied)
	require.ErrorIs(t, before.Ping(ctx), events.ErrDenied)
	require.ErrorIs(t, before.Commands().Send(ctx, registration(t, "n1", old)), events.ErrDenied)
	_, err = before.Renew(ctx)
	require.ErrorIs(t, err, events.ErrDenied)
}

func TestCredentialsRunOutAndAreRenewed(t *testing.T) {
	c := authtest.New(t)
	ctx := logtest.Context(t)
	file := c.Node("n1")
	from, until, err := auth.Term(file)
	require.NoError(t, err)
	require.Equal(t, auth.NodeTTL, until.Sub(from))
	key, err := auth.NodeKey(file)
	require.NoError(t, err)

	n1, nc := c.Knock("n1", file), c.Conn(file)
	c.Own("n1", key)
	token, err := n1.Renew(ctx)
	require.NoError(t, err)
	claims, err := jwt.DecodeUserClaims(token)
	require.NoError(t, err)
	require.Equal(t, key, claims.Subject)
	require.Equal(t, "n1", claims.Name)

	// Credentials that have run out do not connect; one that stands takes up the renewed ones.
	stale, err := c.Admission.For(-time.Hour).Admit("n1", key)
	require.NoError(t, err)
	require.NoError(t, auth.Renew(file, stale))
	require.NoError(t, nc.ForceReconnect())
	logtest.Eventually(t, "the stale credentials to be refused", func() bool { return nc.LastError() != nil && !nc.IsConnected() })
	require.NoError(t, auth.Renew(file, token))
	logtest.Eventually(t, "the renewed credentials to be taken", nc.IsConnected)

	other, err := c.Admission.Admit("n1", mustKey(t, c.Node("n2")))
	require.NoError(t, err)
	require.ErrorIs(t, auth.Renew(file, other), events.ErrInvalid)
}

func mustKey(t *testing.T, file string) string {
	t.Helper()
	key, err := auth.NodeKey(file)
	require.NoError(t, err)
	return key
}
