package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/unplaced"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/gateway/client"
	"github.com/rutter-run/rutter/gateway/gatewaytest"
	"github.com/rutter-run/rutter/gateway/httpapi"
	"github.com/rutter-run/rutter/internal/rpc"
)

// terminal runs command lines against a gateway of a test.
type terminal struct {
	*gatewaytest.Rig
	t      *testing.T
	config string // path of its client.json
	server *httptest.Server
}

func newTerminal(t *testing.T, options ...func(*gatewaytest.Rig, *app.Config)) *terminal {
	t.Helper()
	rig := gatewaytest.New(t, options...)
	secret, entry := httpapi.NewToken("ada", httpapi.RoleAdmin)
	tokens, err := httpapi.NewTokens(entry)
	require.NoError(t, err)
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	api, err := httpapi.New(httpapi.Config{App: rig.App, Tokens: tokens, Log: logrus.NewEntry(quiet), Version: "v1.2.3"})
	require.NoError(t, err)
	server := httptest.NewServer(api.Handler())
	t.Cleanup(server.Close)
	t.Cleanup(api.Close)
	path := filepath.Join(t.TempDir(), "client.json")
	require.NoError(t, client.Config{Address: server.URL, Token: secret}.Save(path))
	return &terminal{Rig: rig, t: t, config: path, server: server}
}

// said is what a command line said and how it ended.
type said struct {
	out, err string
	code     int
}

func (m *terminal) run(line ...string) said { return m.runWith(m.t.Context(), "", line...) }

func (m *terminal) runWith(ctx context.Context, input string, line ...string) said {
	m.t.Helper()
	var out, errOut bytes.Buffer
	c := &cli{in: strings.NewReader(input), out: &out, err: &errOut, width: 100, now: func() time.Time { return gatewaytest.Begin.Add(100 * time.Hour) }}
	root := newRootCommand(c)
	c.config = m.config // unless a flag says otherwise
	root.SetArgs(line)
	code := c.exitCode(ctx, root.ExecuteContext(ctx))
	return said{out: out.String(), err: errOut.String(), code: code}
}

// scene is a cluster with one of everything that a table can show.
func scene(t *testing.T) *terminal {
	m := newTerminal(t)
	m.Join("n1")
	m.Join("n2")
	m.Apply(gatewaytest.Document("web", 3))
	w, _ := m.View.View().Workload("default", "web")
	for slot, node := range []string{"n1", "n2"} {
		key := gatewaytest.Key("web", slot, 1)
		m.Start(key, node, m.Request(key, slot, 1, instance.CauseApplied, "", w.Applied.ID))
	}
	waiting := gatewaytest.Key("web", 2, 1)
	m.Say(events.UnplacedSubject(waiting), m.Request(waiting, 2, 1, instance.CauseApplied, "", w.Applied.ID), "", unplaced.UnplaceableV2{
		Nodes: 2, Reasons: []unplaced.Reason{{Filter: "resources", Detail: "memory", Nodes: 1}, {Filter: "node-selector", Detail: "zone in a far away place", Nodes: 1}},
	})
	crashed := gatewaytest.Key("web", 1, 1)
	subject := events.ReportSubject("n2", crashed)
	at := gatewaytest.Begin.Add(time.Minute)
	m.Say(subject, "", "", report.ExitedV1{Container: "main", Run: 1, Code: 137, OOM: true, At: at})
	m.Say(subject, "", "", report.StartedV1{Container: "main", Run: 2, ContainerID: "x", PID: 7, At: at})
	m.Say(subject, "", "", report.ExitedV1{Container: "main", Run: 2, Code: 3, At: at})
	m.Say(subject, "", "", report.RestartingV1{Container: "main", Run: 3, NotBefore: at.Add(time.Minute), Failures: 2})
	idle := gatewaytest.Document("idle", 0)
	idle.Metadata.Namespace = "team"
	m.Apply(idle)
	return m
}

func TestTables(t *testing.T) {
	m := scene(t)
	for _, c := range []struct{ line, want string }{
		{"get workloads -A", `
NAMESPACE   NAME   READY   STATE      REVISION   AGE    MESSAGE
default     web    1/3     Degraded   1          4d3h   web-1-1 is CrashLoopBackOff: main ended wit…
team        idle   0/0     Ready      1          4d3h
`},
		{"get wl web -o name", "\nworkload/web\n"},
		{"get in", `
NAME      READY   PHASE              RESTARTS        AGE    NODE   REASON
web-0-1   1/1     Ready              0               4d3h   n1
web-1-1   0/1     CrashLoopBackOff   1 (4d3h ago)    4d3h   n2     main ended with code 3, next run …
web-2-1   0/1     Pending            0               4d3h   -      unplaceable: 0 of 2 nodes fit: 1 …
`},
		{"get instance/web-0-1 -o wide", `
NAME      READY   PHASE   RESTARTS   AGE    NODE   REASON   ADDRESS    REVISION   LABELS
web-0-1   1/1     Ready   0          4d3h   n1              10.1.0.5   1          app=web
`},
		{"nodes", `
NAME   STATE   INSTANCES   CPU   MEMORY   AGE    VERSION   MESSAGE
n1     Ready   1           0/4   0/8Gi    4d3h   v1
n2     Ready   1           0/4   0/8Gi    4d3h   v1
`},
		{"get nodes n1 -o wide", `
NAME   STATE   INSTANCES   CPU   MEMORY   AGE    VERSION   MESSAGE   ADDRESS    RUNTIME       LABELS   TAINTS
n1     Ready   1           0/4   0/8Gi    4d3h   v1                  10.0.0.1   runc 1.3.0    zone=a   -
`},
		{"get instances --node n2 -o name", "\ninstance/web-1-1\n"},
		{"get instances -l app=other", "\n"},
	} {
		t.Run(c.line, func(t *testing.T) {
			got := m.run(strings.Fields(c.line)...)
			require.Zero(t, got.code, got.err)
			require.Equal(t, strings.TrimPrefix(squeeze(c.want), "\n"), squeeze(got.out))
			if !strings.Contains(c.line, "wide") {
				for line := range strings.Lines(got.out) {
					require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), 100, line)
				}
			}
		})
	}
	require.Equal(t, "no instances in namespace default\n", m.run("get", "instances", "-l", "app=other").err)
}

// squeeze leaves the width of columns out of account, not what stands in them: widths are cut, and then counted, elsewhere.
func squeeze(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestColumnsStandUnderTheirHeads(t *testing.T) {
	lines := strings.Split(scene(t).run("get", "in").out, "\n")
	phase, node := strings.Index(lines[0], "PHASE"), strings.Index(lines[0], "NODE")
	require.Equal(t, "Ready", lines[1][phase:phase+5])
	require.Equal(t, "CrashLoopBackOff", lines[2][phase:phase+16])
	require.Equal(t, "n1", lines[1][node:node+2])
	require.Equal(t, "n2", lines[2][node:node+2])
}

func TestErrorsNameWhatAndTheRemedy(t *testing.T) {
	m := scene(t)
	none := filepath.Join(t.TempDir(), "none.json")
	for _, c := range []struct {
		line string
		code int
		want []string
	}{
		{"get pods", 2, []string{`there is no kind "pods" here: want one of workloads, instances, nodes`}},
		{"get", 2, []string{"what? want a kind, such as workloads"}},
		{"get workloads -A -n x", 2, []string{"leave out -n"}},
		{"get workloads -o xml", 2, []string{`output format "xml": want table, wide, json, yaml or name`}},
		{"get workload/", 2, []string{"has no name"}},
		{"get workload/web node/n1", 2, []string{"name things of one kind"}},
		{"get workload nobody", 1, []string{"there is no workload nobody in namespace default"}},
		{"get --colour", 2, []string{"unknown flag: --colour", "see `rutter get --help`"}},
		{"frobnicate", 2, []string{`there is no command "frobnicate"`}},
		{"apply", 2, []string{"give -f FILE"}},
		{"apply -f nowhere.yaml", 1, []string{"nowhere.yaml", "no such file"}},
		{"delete", 2, []string{"delete what? want workload/<name>, node/<name>"}},
		{"delete web", 2, []string{`there is no kind "web" here`, "workload/web"}},
		{"delete workload nobody", 1, []string{"workload/nobody: reconciler rejected it: there is no workload nobody"}},
		{"scale web", 2, []string{"how many? give --replicas N"}},
		{"scale web --replicas -1", 1, []string{"workload/web: ", `replicas: "-1": want 0 to 100000`}},
		{"run", 2, []string{"want an image"}},
		{"run NGINX", 2, []string{`IMAGE: "NGINX": want an image reference`}},
		{"run nginx --cpu lots --port x", 2, []string{`--cpu: "lots": want a CPU quantity`, `--port: "x": want [NODE:]CONTAINER`}},
		{"run missing:1", 1, []string{"spec.containers[0].image: ", "registry docker.io has no image docker.io/library/missing:1"}},
		{"describe workload", 2, []string{"want one thing"}},
		{"logs nobody", 1, []string{"nobody"}},
		{"logs web-2-1", 1, []string{"has no node yet (Pending: unplaceable"}},
		{"logs web-0-1 --since yesterday", 2, []string{"--since"}},
		{"exec web-0-1 ls", 2, []string{"then -- and the command"}},
		{"exec -t web-0-1 -- ls", 2, []string{"-t needs a terminal"}},
		{"why workload/nobody", 1, []string{"the log has nothing about workload/default/nobody"}},
		{"history pod/x", 2, []string{`there is no kind "pod"`}},
		{"replay", 2, []string{"want --verify"}},
		{"events extra", 2, []string{"filters are flags"}},
		{"events --aggregate pod", 1, []string{"aggregate: \"pod\": want one of"}},
		{"nodes --address http://127.0.0.1:1 --token x", 1, []string{"no gateway answers at http://127.0.0.1:1", "start one with `rutter up`"}},
		{"nodes --address ftp://x --token x", 1, []string{"want http:// or https://"}},
		{"nodes --client-config " + none, 1, []string{"no server is known", "rutter up"}},
		{"nodes --token wrong", 1, []string{"the token is not one of this cluster's"}},
	} {
		t.Run(c.line, func(t *testing.T) {
			got := m.run(strings.Fields(c.line)...)
			require.Equal(t, c.code, got.code, got.err)
			require.True(t, strings.HasPrefix(got.err, "error: "), got.err)
			for _, want := range c.want {
				require.Contains(t, got.err, want)
			}
			require.NotContains(t, got.err, "log unavailable", "an error of a registry or a node is none of the log")
		})
	}
}

const webYAML = `apiVersion: rutter.run/v1
kind: Workload
metadata: {name: web}
spec:
  replicas: 2
  containers: [{image: "nginx:1.27"}]
`

func autoRun(r *gatewaytest.Rig, _ *app.Config) { r.AutoRun = true }

func TestApplyWaitsScaleWaitsDeleteWaits(t *testing.T) {
	m := newTerminal(t, autoRun)
	got := m.runWith(t.Context(), webYAML, "apply", "-f", "-", "--reason", "why not")
	require.Zero(t, got.code, got.err)
	require.Equal(t, "workload/web created (revision 1)\nworkload/web is ready: 2 of 2 instances\n", got.out)
	got = m.runWith(t.Context(), strings.Replace(webYAML, "replicas: 2", "replicas: 3", 1), "apply", "-f", "-", "--dry-run")
	require.Equal(t, "workload/web changed (revision 1) (dry run: nothing was sent)\n  ~ spec.replicas: 2 → 3\n", got.out)
	got = m.run("scale", "web", "--replicas", "1")
	require.Zero(t, got.code, got.err)
	require.Equal(t, "workload/web changed (revision 1)\nworkload/web is ready: 1 of 1 instances\n", got.out)
	got = m.run("delete", "workload/web")
	require.Zero(t, got.code, got.err)
	require.Equal(t, "workload/web deleting\nworkload/web deleted\n", got.out)
	require.Equal(t, 1, m.run("get", "workload", "web").code)
	require.Equal(t, "workload/web is not there\n", m.run("delete", "workload/web", "--ignore-not-found").out)
}

func TestApplySaysWhatIsMissingWhenItsTimeIsOver(t *testing.T) {
	m := newTerminal(t)
	got := m.runWith(t.Context(), webYAML, "apply", "-f", "-", "--timeout", "50ms")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "workload web is not ready after 50ms: web: 0 of 2 ready, 2 instances are not there yet")
	require.Contains(t, got.err, "see `rutter describe workload/web`")
}

func TestAnInterruptEndsTheWaitAndSaysNothing(t *testing.T) {
	m := newTerminal(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = m.View.WaitFor(context.Background(), 1) // the command was decided: the wait is on
		cancel()
	}()
	got := m.runWith(ctx, webYAML, "apply", "-f", "-")
	require.Equal(t, exitInterrupted, got.code)
	require.NotContains(t, got.err, "error:")
}

func TestApplyReadsFilesAndDirectoriesAndTellsAllFaults(t *testing.T) {
	m := newTerminal(t, autoRun)
	directory := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600))
	}
	write("a.yaml", webYAML+"---\n"+strings.Replace(webYAML, "web", "api", 1))
	write("notes.txt", "not a document")
	got := m.run("apply", "-f", directory)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "workload/web created")
	require.Contains(t, got.out, "workload/api created")

	write("b.yaml", strings.Replace(webYAML, "replicas: 2", "replica: 2", 1))
	write("c.json", `{"kind": 1}`)
	before, err := m.Log.Last(t.Context())
	require.NoError(t, err)
	got = m.run("apply", "-f", directory)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "b.yaml is not valid:\n  spec.replica: no such field")
	require.Contains(t, got.err, "c.json is not valid:\n  kind: \"1\": want a string")
	after, err := m.Log.Last(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, after, "nothing is applied unless all is valid")
}

func TestRunMakesADocument(t *testing.T) {
	m := newTerminal(t, autoRun)
	got := m.run("run", "redis:7", "--print", "-e", "A=b", "-p", "6380:6379", "--cpu", "500m", "--memory", "64Mi", "--command", "--", "redis-server", "--save", "")
	require.Zero(t, got.code, got.err)
	require.Equal(t, `apiVersion: rutter.run/v1
kind: Workload
metadata:
  name: redis
spec:
  containers:
  - command:
    - redis-server
    - --save
    - ""
    env:
    - name: A
      value: b
    image: docker.io/library/redis:7
    name: main
    ports:
    - containerPort: 6379
      hostPort: 6380
    resources:
      limits:
        cpu: 500m
        memory: 64Mi
  replicas: 1
`, got.out)
	applied := m.runWith(t.Context(), got.out, "apply", "-f", "-")
	require.Zero(t, applied.code, applied.err)
	got = m.run("run", "nginx", "--name", "front", "-n", "team")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "workload/front is ready")
	require.Zero(t, m.run("get", "workload", "front", "-n", "team").code)
}

func TestWhatIsReadCanBeAppliedAgain(t *testing.T) {
	m := newTerminal(t, autoRun)
	require.Zero(t, m.runWith(t.Context(), webYAML, "apply", "-f", "-").code)
	for _, format := range []string{"yaml", "json"} {
		document := m.run("get", "workload", "web", "-o", format)
		require.Contains(t, document.out, "status")
		got := m.runWith(t.Context(), document.out, "apply", "-f", "-")
		require.Zero(t, got.code, got.err)
		require.Contains(t, got.out, "workload/web unchanged")
	}
}

func TestEventsHistoryAndWhy(t *testing.T) {
	m := scene(t)
	got := m.run("events", "--workload", "web", "--aggregate", "workload,unplaced")
	require.True(t, strings.HasPrefix(got.out, "SEQUENCE  TIME (UTC)           EVENT\n       5  2026-03-01 12:00:1"), got.out)
	require.Contains(t, got.out, "workload/default/web applied: revision 1, 3 × docker.io/library/ngin…")
	for line := range strings.Lines(got.out) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimRight(line, "\n")), 100)
	}
	for line := range strings.Lines(m.run("events", "-o", "json").out) {
		require.True(t, json.Valid([]byte(line)), line)
	}
	got = m.run("history", "instance/web-1-1")
	require.Contains(t, got.out, "report/n2/default/web/web-1-1 main exited out of memory, run 1")
	got = m.run("why", "instance/web-0-1")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "instance/default/web-0-1 is Ready on node n1 since 2026-03-01")
	require.Contains(t, got.out, `            └─ command/reconciler accepted run.rutter.workload.apply.v1 of cmd.workload.default.web
               by token:ada, because "because of the test" [6, `)
	require.True(t, json.Valid([]byte(m.run("why", "workload/web", "-o", "json").out)))
	got = m.run("describe", "instance", "web-1-1")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "Last exit:  code 3, run 2")
	require.Contains(t, m.run("describe", "node/n1").out, "cpu 4, memory 8Gi")
	require.Contains(t, m.run("describe", "workload/web").out, "Newest events (`rutter history workload/web` has all):")
}

func TestReplayVerifiesTheLiveState(t *testing.T) {
	m := scene(t)
	got := m.run("replay", "--verify")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "live     "+m.View.View().Hash())
	require.Contains(t, got.out, "replayed "+m.View.View().Hash())
	require.Contains(t, got.out, "verified")
}

func TestWatchPrintsWhatChanges(t *testing.T) {
	m := scene(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	c := &cli{out: writer, err: io.Discard, width: 100, now: time.Now}
	root := newRootCommand(c)
	c.config = m.config
	root.SetArgs([]string{"get", "nodes", "-w"})
	done := make(chan int, 1)
	go func() {
		done <- c.exitCode(ctx, root.ExecuteContext(ctx))
		writer.Close()
	}()
	seen := make(chan string, 100)
	go func() {
		data := make([]byte, 4096)
		for {
			n, err := reader.Read(data)
			if err != nil {
				close(seen)
				return
			}
			seen <- string(data[:n])
		}
	}()
	until := func(text string) {
		for all := ""; !strings.Contains(all, text); all += <-seen {
		}
	}
	until("n2")
	m.Lose("n1")
	until("Lost")
	cancel()
	require.Equal(t, exitInterrupted, <-done)
}

func TestLogsAndExec(t *testing.T) {
	m := scene(t)
	m.Agents.OnLogs = func(_ context.Context, node string, r rpc.LogsRequest, emit func(rpc.LogLine) error) error {
		return emit(rpc.LogLine{Time: gatewaytest.Begin, Stream: "stdout", Text: []byte(node + " says hello")})
	}
	require.Equal(t, "n1 says hello\n", m.run("logs", "web-0-1").out)
	require.Equal(t, "2026-03-01T12:00:00Z n1 says hello\n", m.run("logs", "instance/web-0-1", "--timestamps").out)
	all := m.run("logs", "web").out
	require.Contains(t, all, "[web-0-1] n1 says hello\n")
	require.Contains(t, all, "[web-1-1] n2 says hello\n")

	m.Agents.OnExec = func(_ context.Context, _ string, r rpc.ExecRequest, s rpc.ExecStreams) (int, error) {
		if s.Stdin != nil {
			if _, err := io.Copy(s.Stdout, s.Stdin); err != nil {
				return 0, err
			}
		}
		_, err := io.WriteString(s.Stderr, strings.Join(r.Command, "|"))
		return 3, err
	}
	got := m.runWith(t.Context(), "typed", "exec", "-i", "web-0-1", "--", "cat", "-u")
	require.Equal(t, said{out: "typed", err: "cat|-u", code: 3}, got)
	got = m.runWith(t.Context(), "typed", "exec", "workload/web", "--", "cat")
	require.Equal(t, said{err: "cat", code: 3}, got)
}

func TestOverTLSAndHTTP2(t *testing.T) {
	m := scene(t)
	m.Agents.OnExec = func(_ context.Context, _ string, _ rpc.ExecRequest, s rpc.ExecStreams) (int, error) {
		_, err := io.WriteString(s.Stdout, "hello")
		return 0, err
	}
	secure := httptest.NewUnstartedServer(m.server.Config.Handler)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	plain, err := client.FindConfig(client.Config{}, m.config)
	require.NoError(t, err)
	m.config = filepath.Join(t.TempDir(), "client.json")
	require.NoError(t, client.Config{Address: secure.URL, Token: plain.Token}.Save(m.config))
	got := m.run("nodes")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "is not trusted: x509: ", "nobody is trusted without being told to")

	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	require.NoError(t, client.Config{Address: secure.URL, Token: plain.Token, CA: authority}.Save(m.config))
	got = m.run("nodes", "-o", "name")
	require.Equal(t, "node/n1\nnode/n2\n", got.out, got.err)
	got = m.run("exec", "web-0-1", "--", "true")
	require.Equal(t, said{out: "hello"}, got, "a WebSocket needs HTTP/1.1, and gets it")
	require.Zero(t, m.run("replay", "--verify").code)
}

func TestVersionAndCompletion(t *testing.T) {
	m := newTerminal(t)
	got := m.run("version")
	require.Contains(t, got.out, "gateway  v1.2.3")
	require.Contains(t, m.run("completion", "bash").out, "rutter")
}

func TestCompletionOffersKindsAndNames(t *testing.T) {
	m := scene(t)
	require.Contains(t, m.run("__complete", "get", "").out, "workload/\nworkloads\n")
	require.Contains(t, m.run("__complete", "why", "instance/").out, "instance/web-0-1\n")
	require.Contains(t, m.run("__complete", "describe", "node", "").out, "n1\nn2\n")
}

func TestStats(t *testing.T) {
	m := scene(t)
	m.Agents.OnStats = func(_ context.Context, node string, _ rpc.StatsRequest) ([]rpc.ContainerStats, error) {
		return []rpc.ContainerStats{{Name: "main", CPU: 1500 * time.Millisecond, Memory: 3 << 19, PIDs: 2}}, nil
	}
	got := m.run("stats", "workload/web")
	require.Equal(t, "NAME CONTAINER CPU TIME MEMORY PROCESSES\nweb-0-1 main 1.5s 1.5Mi 2\nweb-1-1 main 1.5s 1.5Mi 2", squeeze(got.out))
}
