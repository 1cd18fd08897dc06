package main

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/natsserver"
	"github.com/rutter-run/rutter/projections/follow"
)

// exported is a scene whose log was exported.
func exported(t *testing.T) (m *terminal, file, key string) {
	t.Helper()
	m, key = signed(t)
	file = filepath.Join(t.TempDir(), "log.rutter")
	got := m.run("export", file, "--key", key)
	require.Zero(t, got.code, got.err)
	return m, file, key
}

// patience ends a test that waits in vain, also on a machine that has much else to do.
const patience = 4 * time.Minute

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// shared is what a command says while it runs.
type shared struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *shared) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

func TestAnExportIsStudiedElsewhere(t *testing.T) {
	m, file, key := exported(t)
	hash := m.View.View().Hash()
	why := m.run("why", "instance/web-1-1").out
	m.server.Close()

	ctx, stop := context.WithCancel(t.Context())
	var said shared
	done := make(chan error, 1)
	go func() {
		up := newUpCommand()
		up.SetArgs([]string{"--from", file, "--read-only", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir()})
		up.SetErr(&said)
		done <- up.ExecuteContext(ctx)
	}()
	defer func() {
		stop()
		require.NoError(t, <-done)
	}()
	where := regexp.MustCompile(`RUTTER_CLIENT_CONFIG=([^\s"]+)`)
	require.Eventually(t, func() bool { return where.MatchString(said.String()) }, patience, 20*time.Millisecond)
	m.config = where.FindStringSubmatch(said.String())[1]

	require.Contains(t, m.run("get", "workloads").out, "web")
	require.Equal(t, why, m.run("why", "instance/web-1-1").out)
	require.Contains(t, m.run("history", "instance/web-1-1").out, "exited out of memory")
	require.NotEmpty(t, m.run("events", "--from", "1", "-o", "name").out)
	require.Zero(t, m.run("get", "nodes", "--at", "3").code)
	got := m.run("replay", "--verify")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, hash)
	got = m.run("replay", "--verify", "--file", file, "--key", key)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "verified: the live state is what the log says")
	again := filepath.Join(t.TempDir(), "again.rutter")
	require.Zero(t, m.run("export", again).code, "a copy can be copied")

	for _, line := range [][]string{
		{"scale", "web", "--replicas", "9"}, {"delete", "workload/web"}, {"restore", "--at", "3", "--dry-run"}, {"exec", "web-0-1", "--", "ls"},
	} {
		got := m.run(line...)
		require.Equal(t, 1, got.code, line)
		require.Contains(t, got.err, "this is a copy of a log, events 1 to ", line)
	}
	require.Contains(t, m.run("logs", "web-0-1").err, "there are no nodes behind a copy of a log")
	require.Contains(t, m.run("audit", "checkpoint").err, "nothing is audited here")
}

func TestAnExportIsReplayedWithoutAGateway(t *testing.T) {
	m, file, key := exported(t)
	hash := m.View.View().Hash()
	m.server.Close()
	got := m.run("replay", "--file", file, "--key", key)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, hash)
	require.Equal(t, 1, m.run("replay", "--verify", "--file", file).code, "nothing to compare with")
}

func TestAnExportBecomesTheLogOfANewCluster(t *testing.T) {
	m, file, key := exported(t)
	dir := t.TempDir()
	importNow := func(line ...string) said {
		t.Helper()
		var out, errOut bytes.Buffer
		c := &cli{in: strings.NewReader(""), out: &out, err: &errOut}
		root := newRootCommand(c, newImportCommand())
		root.SetArgs(append([]string{"import"}, line...))
		code := c.exitCode(t.Context(), root.ExecuteContext(t.Context()))
		return said{out.String(), errOut.String(), code}
	}
	got := importNow(file, "--data-dir", dir, "--key", key)
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, "imported events 1 to ")

	log := logrus.New()
	log.SetOutput(t.Output())
	server, err := startServer(&natsserver.Config{Dir: filepath.Join(dir, "nats"), Name: "up", Port: natsserver.RandomPort, Log: log}, filepath.Join(dir, "keys"))
	require.NoError(t, err)
	defer server.Stop()
	require.NoError(t, setUpStreams(patient(t), server.URL(), filepath.Join(dir, "keys"), nil, jetstream.StreamOptions{}, logrus.NewEntry(log)))
	got = importNow(file, "--nats-url", server.URL(), "--keys", filepath.Join(dir, "keys"))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.err, "only an empty one can be filled")

	flags := natsFlags{urls: []string{server.URL()}, keys: filepath.Join(dir, "keys")}
	nc, client, err := flags.connect(patient(t), &process{log: logrus.NewEntry(log)}, auth.UserScheduler)
	require.NoError(t, err)
	defer nc.Close()
	follower := follow.New(client.Log())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { _ = follower.Run(ctx) }()
	view, err := follower.WaitFor(patient(t), m.View.View().Sequence())
	require.NoError(t, err)
	require.Equal(t, m.View.View().Hash(), view.Hash())
}

func TestAnExportIsShownOrImportedAndNothingElse(t *testing.T) {
	for _, line := range [][]string{{"--from", "x"}, {"--read-only"}} {
		up := newUpCommand()
		up.SetArgs(line)
		up.SilenceErrors, up.SilenceUsage = true, true
		require.Error(t, up.ExecuteContext(t.Context()))
	}
}
