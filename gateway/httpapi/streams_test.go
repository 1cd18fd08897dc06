package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
	"github.com/rutter-run/rutter/gateway/httpapi"
	"github.com/rutter-run/rutter/internal/rpc"
)

const inPath = "/v1/namespaces/default/instances/web-0-1"

// running is a door before a cluster in which web-0-1 runs on n1 and web-1-1 waits for a node.
func running(t *testing.T) *door {
	d := open(t)
	d.Join("n1")
	d.Apply(gatewaytest.Document("web", 2))
	first, second := gatewaytest.Key("web", 0, 1), gatewaytest.Key("web", 1, 1)
	d.Start(first, "n1", d.Request(first, 0, 1, instance.CauseApplied, "", ""))
	d.Request(second, 1, 1, instance.CauseApplied, "", "")
	return d
}

func TestLogsAsTextAndAsLines(t *testing.T) {
	d := running(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var asked rpc.LogsRequest
	d.Agents.OnLogs = func(_ context.Context, node string, r rpc.LogsRequest, emit func(rpc.LogLine) error) error {
		require.Equal(t, "n1", node)
		asked = r
		for _, line := range []rpc.LogLine{
			{Time: at, Stream: "stdout", Text: []byte("one")}, {Time: at, Stream: "stderr", Partial: true, Text: []byte("tw")}, {Time: at, Stream: "stderr", Text: []byte("o\xff")},
		} {
			if err := emit(line); err != nil {
				return err
			}
		}
		return nil
	}
	data, err := io.ReadAll(d.ask("GET", inPath+"/logs?tail=7&previous=true&follow=true", "").Body)
	require.NoError(t, err)
	require.Equal(t, "one\ntwo\xff\n", string(data), "text is as it was written")
	require.Equal(t, rpc.LogsRequest{Instance: gatewaytest.Key("web", 0, 1), Container: "main", Tail: 7, Previous: true, Follow: true}, asked)
	data, err = io.ReadAll(d.ask("GET", inPath+"/logs?timestamps=true", "").Body)
	require.NoError(t, err)
	require.Equal(t, "2026-01-02T03:04:05Z one\n2026-01-02T03:04:05Z two\xff\n", string(data))

	in := json.NewDecoder(d.ask("GET", inPath+"/logs", "", "Accept", "application/x-ndjson").Body)
	for _, want := range []api.LogLine{
		{Time: at, Stream: "stdout", Text: "one"}, {Time: at, Stream: "stderr", Partial: true, Text: "tw"}, {Time: at, Stream: "stderr", Text: "o\uFFFD"},
	} {
		var got api.LogLine
		require.NoError(t, in.Decode(&got))
		require.Equal(t, want, got)
	}
}

func TestLogsThatFail(t *testing.T) {
	d := running(t)
	p := problem(t, d.ask("GET", inPath+"/logs", ""), http.StatusServiceUnavailable)
	require.Contains(t, p.Detail, "node n1 cannot be reached: its agent is not connected")
	p = problem(t, d.ask("GET", inPath+"/logs?container=other", ""), http.StatusUnprocessableEntity)
	require.Contains(t, p.Detail, "one of main")
	p = problem(t, d.ask("GET", "/v1/namespaces/default/instances/web-1-1/logs", ""), http.StatusConflict)
	require.Contains(t, p.Detail, "has no node yet (Pending: waits for the scheduler)")

	d.Agents.OnLogs = func(_ context.Context, _ string, _ rpc.LogsRequest, emit func(rpc.LogLine) error) error {
		return fmt.Errorf("%w: %w", emit(rpc.LogLine{Text: []byte("half")}), fmt.Errorf("fallen silent: %w", events.ErrUnavailable))
	}
	in := json.NewDecoder(d.ask("GET", inPath+"/logs", "", "Accept", "application/x-ndjson").Body)
	var line api.LogLine
	require.NoError(t, in.Decode(&line))
	require.NoError(t, in.Decode(&line))
	require.Contains(t, line.Error.Detail, "fallen silent")
	_, err := io.ReadAll(d.ask("GET", inPath+"/logs", "").Body)
	require.Error(t, err, "text that broke off must not look whole")
}

func TestStats(t *testing.T) {
	d := running(t)
	d.Agents.OnStats = func(context.Context, string, rpc.StatsRequest) ([]rpc.ContainerStats, error) {
		return []rpc.ContainerStats{{Name: "main", CPU: 1500 * time.Millisecond, Memory: 64 << 20, PIDs: 3}}, nil
	}
	data, err := io.ReadAll(d.ask("GET", inPath+"/stats", "").Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"containers":[{"name":"main","cpu":"1.5s","memory":"64Mi","pids":3}]}`, string(data))
}

func (d *door) dial(query string) *websocket.Conn {
	d.t.Helper()
	conn, _, err := websocket.Dial(d.t.Context(), d.url+inPath+"/exec?"+query, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + d.tokens[httpapi.RoleOperator]}}, Subprotocols: []string{api.ExecProtocol},
	})
	require.NoError(d.t, err)
	d.t.Cleanup(func() { conn.CloseNow() })
	return conn
}

func TestExecOverAWebSocket(t *testing.T) {
	d := running(t)
	d.Agents.OnExec = func(_ context.Context, node string, r rpc.ExecRequest, s rpc.ExecStreams) (int, error) {
		size := <-s.Resize
		typed, err := io.ReadAll(s.Stdin)
		if err != nil {
			return 0, err
		}
		fmt.Fprintf(s.Stdout, "%s %s %v %v", node, r.Container, r.Command, size)
		fmt.Fprintf(s.Stderr, "%s", typed)
		return 3, nil
	}
	conn := d.dial("command=sh&command=-c&command=exit+3&stdin=true&tty=true")
	require.Equal(t, api.ExecProtocol, conn.Subprotocol())
	send := func(channel byte, content string) {
		require.NoError(t, conn.Write(t.Context(), websocket.MessageBinary, append([]byte{channel}, content...)))
	}
	send(api.ExecResize, `{"width":80,"height":24}`)
	send(api.ExecStdin, "ab")
	send(api.ExecStdin, "c")
	send(api.ExecCloseStdin, "")
	got := map[byte]string{}
	for {
		_, message, err := conn.Read(t.Context())
		if err != nil {
			require.Equal(t, websocket.StatusNormalClosure, websocket.CloseStatus(err))
			break
		}
		got[message[0]] += string(message[1:])
	}
	require.Equal(t, map[byte]string{
		api.ExecStdout: "n1 main [sh -c exit 3] {80 24}", api.ExecStderr: "abc", api.ExecExit: `{"code":3}`,
	}, got)
}

func TestExecTellsItsError(t *testing.T) {
	d := running(t)
	conn := d.dial("command=sh")
	_, message, err := conn.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, api.ExecExit, message[0])
	var result api.ExecResult
	require.NoError(t, json.Unmarshal(message[1:], &result))
	require.Contains(t, result.Error.Detail, "node n1 cannot be reached")
	require.Equal(t, http.StatusServiceUnavailable, result.Error.Status)
}

func TestExecEndsWithItsClientAndWithTheServer(t *testing.T) {
	d := running(t)
	begun, ended := make(chan struct{}, 2), make(chan error, 2)
	d.Agents.OnExec = func(ctx context.Context, _ string, _ rpc.ExecRequest, _ rpc.ExecStreams) (int, error) {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- ctx.Err()
		return 0, ctx.Err()
	}
	conn := d.dial("command=sh")
	<-begun
	conn.CloseNow()
	require.ErrorIs(t, <-ended, context.Canceled)

	conn = d.dial("command=sh")
	<-begun
	d.api.Close()
	_, _, err := conn.Read(t.Context())
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err))
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestExecIsRefusedBeforeTheUpgrade(t *testing.T) {
	d := running(t)
	p := problem(t, d.ask("GET", "/v1/namespaces/default/instances/web-1-1/exec?command=sh", ""), http.StatusConflict)
	require.Contains(t, p.Detail, "has no node yet")
}

func TestTokensFile(t *testing.T) {
	path := t.TempDir() + "/tokens.yaml"
	secret, entry := httpapi.NewToken("ada", httpapi.RoleAdmin)
	require.True(t, strings.HasPrefix(secret, "rutter_"))
	require.NotContains(t, entry.SHA256, secret)
	require.NoError(t, httpapi.SaveTokens(path, entry))
	_, err := httpapi.LoadTokens(path)
	require.NoError(t, err)
	require.ErrorContains(t, httpapi.SaveTokens(path, httpapi.Token{Name: "ada", Role: "god", SHA256: entry.SHA256}), "viewer, operator or admin")
	_, err = httpapi.NewTokens(entry, entry)
	require.ErrorContains(t, err, "each name once")
	_, err = httpapi.NewTokens(httpapi.Token{Name: "x", Role: httpapi.RoleViewer, SHA256: "abc"})
	require.ErrorContains(t, err, "64 hex digits")
	_, err = httpapi.LoadTokens(path + ".none")
	require.ErrorContains(t, err, "tokens file")
}
