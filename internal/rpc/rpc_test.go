package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
)

// startServer runs a NATS server with the permissions that a deployment gives: the agent hears rpc.n1.> and speaks in its own part of the
// gateways' inbox, the gateway speaks on rpc.> and hears its own inbox.
func startServer(t *testing.T) (agent, gateway *nats.Conn) {
	t.Helper()
	options := &natsserver.Options{
		Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoLog: true, NoSigs: true,
		Users: []*natsserver.User{
			{Username: "agent", Password: "a", Permissions: &natsserver.Permissions{
				Publish:   &natsserver.SubjectPermission{Allow: []string{"_INBOX_gateway.rpc.n1.>"}},
				Subscribe: &natsserver.SubjectPermission{Allow: []string{"rpc.n1.>"}},
			}},
			{Username: "gateway", Password: "g", Permissions: &natsserver.Permissions{
				Publish:   &natsserver.SubjectPermission{Allow: []string{"rpc.>"}},
				Subscribe: &natsserver.SubjectPermission{Allow: []string{"_INBOX_gateway.>"}},
			}},
		},
	}
	s, err := natsserver.NewServer(options)
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	require.True(t, s.ReadyForConnections(10*time.Second))
	connect := func(user, password string, more ...nats.Option) *nats.Conn {
		failed := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Errorf("%s: %v", user, err) })
		nc, err := nats.Connect(s.ClientURL(), append(more, nats.UserInfo(user, password), failed)...)
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		return nc
	}
	return connect("agent", "a"), connect("gateway", "g", nats.CustomInboxPrefix("_INBOX_gateway"))
}

// serve runs an agent's side and returns once it answers. stop ends it and waits.
func serve(t *testing.T, nc *nats.Conn, gateway *nats.Conn, handlers Handlers, timing Timing) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { require.NoError(t, ServeTimed(ctx, nc, "n1", handlers, timing)) })
	stop = func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	require.Eventually(t, func() bool {
		_, err := gateway.Request("rpc.n1.in.nobody", nil, 20*time.Millisecond)
		return !errors.Is(err, nats.ErrNoResponders)
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, nc.Flush()) // the verbs' subscriptions follow the input's on the same connection
	return stop
}

func TestLogsArriveWholeAndInOrder(t *testing.T) {
	agent, gateway := startServer(t)
	const lines = 5000 // many windows
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	long := bytes.Repeat([]byte("x"), 3*MaxChunk+7)
	serve(t, agent, gateway, Handlers{Logs: func(_ context.Context, r LogsRequest, emit func(LogLine) error) error {
		if r.Instance.Name != "web-0-1" || r.Tail != 7 || !r.Follow || !r.Since.Equal(at) {
			return fmt.Errorf("%+v: %w", r, events.ErrInvalid)
		}
		for n := range lines {
			if err := emit(LogLine{Time: at, Stream: "stderr", Text: fmt.Append(nil, n)}); err != nil {
				return err
			}
		}
		return emit(LogLine{Time: at, Stream: "stdout", Text: long})
	}}, DefaultTiming)

	var got []LogLine
	request := LogsRequest{Instance: events.InstanceKey{Namespace: "default", Workload: "web", Name: "web-0-1"}, Tail: 7, Follow: true, Since: at}
	err := NewCaller(gateway).Logs(t.Context(), "n1", request, func(line LogLine) error {
		got = append(got, line)
		return nil
	})
	require.NoError(t, err)
	for n := range lines {
		require.Equal(t, LogLine{Time: at, Stream: "stderr", Text: fmt.Append(nil, n)}, got[n])
	}
	var joined []byte
	for i, part := range got[lines:] {
		require.Equal(t, i < len(got)-lines-1, part.Partial, "only the last part ends the line")
		joined = append(joined, part.Text...)
	}
	require.Equal(t, long, joined)
}

func TestASlowReaderHoldsTheWriter(t *testing.T) {
	agent, gateway := startServer(t)
	sent := make(chan int, 10*Window)
	serve(t, agent, gateway, Handlers{Logs: func(ctx context.Context, _ LogsRequest, emit func(LogLine) error) error {
		for n := range 10 * Window {
			if err := emit(LogLine{Text: []byte("line")}); err != nil {
				return err
			}
			sent <- n
		}
		return nil
	}}, DefaultTiming)
	ctx, cancel := context.WithCancel(t.Context())
	taken := 0
	err := NewCaller(gateway).Logs(ctx, "n1", LogsRequest{}, func(LogLine) error {
		if taken++; taken == 3 {
			// The window is full once as many were sent; the writer then waits for this reader.
			require.Eventually(t, func() bool { return len(sent) == Window }, 10*time.Second, time.Millisecond)
			require.Never(t, func() bool { return len(sent) > Window }, 50*time.Millisecond, 5*time.Millisecond)
			cancel()
		}
		return ctx.Err()
	})
	require.ErrorIs(t, err, context.Canceled)
}

func TestExecPassesStreamsSizeAndExitCode(t *testing.T) {
	agent, gateway := startServer(t)
	serve(t, agent, gateway, Handlers{Exec: func(_ context.Context, r ExecRequest, s ExecStreams) (int, error) {
		size := <-s.Resize
		typed, err := io.ReadAll(s.Stdin)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(s.Stdout, "%v %v %d", r.Command, size, len(typed))
		_, err = s.Stderr.Write(typed)
		return 42, err
	}}, DefaultTiming)
	typed := strings.Repeat("0123456789", 20*MaxChunk) // many windows in both directions
	resize := make(chan TerminalSize, 1)
	resize <- TerminalSize{Width: 80, Height: 24}
	var out, errOut bytes.Buffer
	code, err := NewCaller(gateway).Exec(t.Context(), "n1", ExecRequest{Command: []string{"cat", "-"}}, ExecStreams{
		Stdin: strings.NewReader(typed), Stdout: &out, Stderr: &errOut, Resize: resize,
	})
	require.NoError(t, err)
	require.Equal(t, 42, code)
	require.Equal(t, fmt.Sprintf("[cat -] {80 24} %d", len(typed)), out.String())
	require.True(t, errOut.String() == typed, "input comes back as it was")
}

func TestExecWithoutStdinHasNone(t *testing.T) {
	agent, gateway := startServer(t)
	serve(t, agent, gateway, Handlers{Exec: func(_ context.Context, _ ExecRequest, s ExecStreams) (int, error) {
		if s.Stdin != nil {
			return 0, errors.New("there is an input")
		}
		return 0, nil
	}}, DefaultTiming)
	_, err := NewCaller(gateway).Exec(t.Context(), "n1", ExecRequest{Command: []string{"true"}}, ExecStreams{})
	require.NoError(t, err)
}

func TestStats(t *testing.T) {
	agent, gateway := startServer(t)
	want := []ContainerStats{{Name: "main", CPU: time.Second, Memory: 1 << 20, PIDs: 3}}
	serve(t, agent, gateway, Handlers{Stats: func(context.Context, StatsRequest) ([]ContainerStats, error) { return want, nil }}, DefaultTiming)
	got, err := NewCaller(gateway).Stats(t.Context(), "n1", StatsRequest{})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestErrorsKeepWhatTheyAre(t *testing.T) {
	agent, gateway := startServer(t)
	var fault error
	serve(t, agent, gateway, Handlers{Stats: func(context.Context, StatsRequest) ([]ContainerStats, error) { return nil, fault }}, DefaultTiming)
	for _, kind := range []error{events.ErrNotFound, events.ErrConflict, events.ErrInvalid, events.ErrDenied, events.ErrUnavailable, events.ErrBusy} {
		fault = fmt.Errorf("instance web-0-1: %w", kind)
		_, err := NewCaller(gateway).Stats(t.Context(), "n1", StatsRequest{})
		require.ErrorIs(t, err, kind)
		require.EqualError(t, err, fault.Error())
	}
	fault = errors.New("of no kind")
	_, err := NewCaller(gateway).Stats(t.Context(), "n1", StatsRequest{})
	require.EqualError(t, err, "of no kind")
	_, err = NewCaller(gateway).Exec(t.Context(), "n1", ExecRequest{}, ExecStreams{})
	require.ErrorIs(t, err, events.ErrUnavailable, "a verb that the node does not serve")
}

func TestANodeWithoutAgentFailsAtOnce(t *testing.T) {
	_, gateway := startServer(t)
	err := NewCaller(gateway).Logs(t.Context(), "n1", LogsRequest{}, func(LogLine) error { return nil })
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "node n1 cannot be reached")
}

func TestACancelledCallerEndsTheStream(t *testing.T) {
	agent, gateway := startServer(t)
	ended := make(chan error, 1)
	serve(t, agent, gateway, Handlers{Logs: func(ctx context.Context, _ LogsRequest, emit func(LogLine) error) error {
		if err := emit(LogLine{Text: []byte("first")}); err != nil {
			return err
		}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	}}, DefaultTiming)
	ctx, cancel := context.WithCancel(t.Context())
	err := NewCaller(gateway).Logs(ctx, "n1", LogsRequest{}, func(LogLine) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, <-ended, errCallerGone)
}

func TestACallerThatVanishesIsNoticed(t *testing.T) {
	agent, gateway := startServer(t)
	ended := make(chan error, 1)
	quick := Timing{Ping: 5 * time.Millisecond, Silence: 50 * time.Millisecond}
	serve(t, agent, gateway, Handlers{Logs: func(ctx context.Context, _ LogsRequest, _ func(LogLine) error) error {
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return ctx.Err()
	}}, quick)
	// A request by hand, whose maker then says nothing more.
	require.NoError(t, gateway.PublishRequest("rpc.n1.logs", Answers("n1")+".by-hand", []byte("{}")))
	require.ErrorIs(t, <-ended, errCallerGone)
}

func TestAnAgentThatVanishesIsNoticed(t *testing.T) {
	agent, gateway := startServer(t)
	quick := Timing{Ping: 5 * time.Millisecond, Silence: 50 * time.Millisecond}
	serve(t, agent, gateway, Handlers{Logs: func(ctx context.Context, _ LogsRequest, emit func(LogLine) error) error {
		return errors.Join(emit(LogLine{}), func() error { <-ctx.Done(); return ctx.Err() }())
	}}, quick)
	err := NewCallerTimed(gateway, quick).Logs(t.Context(), "n1", LogsRequest{}, func(LogLine) error { agent.Close(); return nil })
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "fallen silent")
}

func TestAnAgentThatStopsSaysSo(t *testing.T) {
	agent, gateway := startServer(t)
	stop := serve(t, agent, gateway, Handlers{Logs: func(ctx context.Context, _ LogsRequest, emit func(LogLine) error) error {
		if err := emit(LogLine{}); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}}, DefaultTiming)
	err := NewCaller(gateway).Logs(t.Context(), "n1", LogsRequest{Follow: true}, func(LogLine) error { go stop(); return nil })
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "shutting down")
}

// Who may answer may not be told where: a request whose reply subject is not the node's part of the gateways' inbox is not heard.
func TestAnswersGoToGatewaysAlone(t *testing.T) {
	agent, gateway := startServer(t)
	asked := make(chan string, 16)
	serve(t, agent, gateway, Handlers{Stats: func(_ context.Context, r StatsRequest) ([]ContainerStats, error) {
		asked <- r.Instance.Name
		return nil, nil
	}}, DefaultTiming)
	for _, reply := range []string{"", "cmd.workload.default.web", "_INBOX_gateway.x", "_INBOX_gateway.rpc.n2.x", "_INBOX_gateway.rpc.n1", "_INBOX_scheduler.rpc.n1.x"} {
		require.NoError(t, gateway.PublishMsg(&nats.Msg{Subject: "rpc.n1.stats", Reply: reply, Data: []byte(`{"instance":{"name":"steered"}}`)}))
	}
	_, err := NewCaller(gateway).Stats(t.Context(), "n1", StatsRequest{Instance: events.InstanceKey{Name: "honest"}})
	require.NoError(t, err)
	require.Equal(t, "honest", <-asked)
	require.Empty(t, asked)
}
