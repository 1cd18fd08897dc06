package subscribers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/node"
)

const examples = "../../deploy/examples/subscribers"

// The other side of the webhook is down at first, and the program is killed in between: every loss arrives, and the key tells repetitions.
func TestWebhookExample(t *testing.T) {
	r := newRig(t)
	binary := filepath.Join(t.TempDir(), "webhook")
	out, err := exec.Command("go", "build", "-o", binary, examples+"/webhook").CombinedOutput()
	require.NoError(t, err, "%s", out)

	var mu sync.Mutex
	refused, keys := 0, map[string]bool{}
	var order []string
	posted := make(chan string, 64)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		e, decodeErr := cloudevent.FromJSON(catalog.New(), body)
		mu.Lock()
		defer mu.Unlock()
		if refused++; refused <= 2 || err != nil || decodeErr != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		key := request.Header.Get("Idempotency-Key")
		if _, ok := e.Data.(node.LostV1); ok && key == e.ID && !keys[key] {
			keys[key] = true
			order = append(order, e.ID)
			posted <- e.ID
		}
	}))
	t.Cleanup(hook.Close)

	creds, position := r.creds("pager", "evt.node.*"), filepath.Join(t.TempDir(), "position")
	start := func() (stop func()) {
		cmd := exec.Command(binary, "--nats-url", r.server.URL(), "--credentials", creds, "--position", position, "--url", hook.URL)
		cmd.Stderr = t.Output()
		require.NoError(t, cmd.Start())
		var once sync.Once
		stop = func() { once.Do(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) }
		t.Cleanup(stop)
		return stop
	}
	var want []string
	want = append(want, r.say("a", node.ReadyV1{}, lost())[1])
	stop := start()
	require.Equal(t, want[0], logtest.Receive(t, logtest.Context(t), "the first loss", posted))
	want = append(want, r.say("b", lost())...)
	stop()
	want = append(want, r.say("c", lost(), node.ReadyV1{})[0]) // while nobody listens
	start()
	for range 2 {
		logtest.Receive(t, logtest.Context(t), "a loss", posted)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, want, order)
}

// A subscriber in another language, from what the NATS client and docs/subscribers.md say.
func TestNodeJSExample(t *testing.T) {
	dir := nodeModules(t)
	r := newRig(t)
	creds, position := r.creds("js", "evt.node.*"), filepath.Join(t.TempDir(), "position.json")
	type said struct {
		ID, Node, Silent, Actor string
		Sequence                uint64
	}
	start := func() (<-chan said, func()) {
		cmd := exec.Command("node", "node-loss.mjs")
		cmd.Dir, cmd.Stderr = dir, t.Output()
		cmd.Env = append(os.Environ(), "NATS_URL="+strings.TrimPrefix(r.server.URL(), "nats://"), "NATS_CREDS="+creds, "POSITION="+position)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := make(chan said, 64)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for scanner := bufio.NewScanner(out); scanner.Scan(); {
				var s said
				if err := json.Unmarshal(scanner.Bytes(), &s); err == nil {
					lines <- s
				}
			}
		}()
		var once sync.Once
		stop := func() { once.Do(func() { _ = cmd.Process.Kill(); <-done; _ = cmd.Wait() }) }
		t.Cleanup(stop)
		return lines, stop
	}
	kept := func(sequence uint64) {
		logtest.Eventually(t, "the position", func() bool {
			data, err := os.ReadFile(position)
			var at struct{ Sequence uint64 }
			return err == nil && json.Unmarshal(data, &at) == nil && at.Sequence == sequence
		})
	}
	first := r.say("a", node.ReadyV1{}, lost())
	lines, stop := start()
	require.Equal(t, said{ID: first[1], Node: "a", Silent: "2.2s", Actor: "user:Ada Lovelace €", Sequence: 2}, logtest.Receive(t, logtest.Context(t), "the first loss", lines))
	kept(2)
	stop()
	second := r.say("b", node.ReadyV1{}, lost())
	lines, stop = start()
	require.Equal(t, said{ID: second[1], Node: "b", Silent: "2.2s", Actor: "user:Ada Lovelace €", Sequence: 4}, logtest.Receive(t, logtest.Context(t), "the second loss", lines))
	third := r.say("c", lost())
	require.Equal(t, third[0], logtest.Receive(t, logtest.Context(t), "a loss while it listens", lines).ID)
	kept(5)
	stop()
	require.Empty(t, lines, "nothing is said twice")
}

// nodeModules installs what the lockfile names beside a copy of the example. Where there is no Node.js or no registry, the test is skipped, loudly.
func nodeModules(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: the example in Node.js is NOT TESTED: there is no %s", program)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc", "node-loss.mjs"} {
		data, err := os.ReadFile(filepath.Join(examples, "nodejs", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-progress", "--fetch-retries=1", "--fetch-timeout=20000")
	install.Dir, install.WaitDelay = dir, time.Second
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: the example in Node.js is NOT TESTED: npm ci: %v\n%s", err, out)
	}
	return dir
}
