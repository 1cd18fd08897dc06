package durability

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/internal/natsserver"
)

var long = flag.Bool("long", false, "many rounds")

// rounds is how many rounds a test goes.
func rounds(short, many int) int {
	if *long {
		return many
	}
	return short
}

// deadline ends what hangs. It is no expectation of how long anything takes.
const deadline = 90 * time.Second

// served is a log server in a process of its own, which can be killed outright.
type served struct {
	Dir     string
	Name    string
	Host    string
	Port    int
	Cluster int      // port for the other servers; 0: alone
	Routes  []string // the other servers
	// Lazy runs it with nats-server's default, which acknowledges before it has fsynced.
	Lazy bool
	// Namespace is a network namespace to run it in.
	Namespace string

	cmd *exec.Cmd
}

const servedEnv = "RUTTER_DURABILITY_SERVER"

func TestMain(m *testing.M) {
	if text := os.Getenv(servedEnv); text != "" {
		if err := serve(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serve is the child process: it serves until its input ends.
func serve(text string) error {
	var s served
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	log := logrus.New()
	if level, err := logrus.ParseLevel(os.Getenv("RUTTER_DURABILITY_LOG")); err == nil {
		log.SetLevel(level)
	} else {
		log.SetOutput(io.Discard)
	}
	if err := s.listen(log); err != nil {
		return err
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// listen starts the server as the product does, and where that would not do what a test is about, as an operator would.
func (s *served) listen(log *logrus.Logger) error {
	if !s.Lazy && s.Namespace == "" {
		_, err := natsserver.Start(natsserver.Config{
			Dir: s.Dir, Name: s.Name, Port: s.Port, ClusterPort: s.Cluster, Routes: s.Routes, Log: log,
		})
		return err
	}
	o := &server.Options{
		ServerName: s.Name, Host: s.Host, Port: s.Port, JetStream: true, StoreDir: s.Dir, SyncAlways: !s.Lazy, NoSigs: true, NoLog: true,
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1},
	}
	if s.Cluster != 0 {
		o.Cluster = server.ClusterOpts{Name: "rutter", Host: s.Host, Port: s.Cluster, PoolSize: -1}
		for _, route := range s.Routes {
			u, err := url.Parse(route)
			if err != nil {
				return err
			}
			o.Routes = append(o.Routes, u)
		}
	}
	inner, err := server.NewServer(o)
	if err != nil {
		return err
	}
	inner.Start()
	if !inner.ReadyForConnections(deadline) {
		return fmt.Errorf("server %s does not listen", s.Name)
	}
	return nil
}

// start runs the server and returns once it listens.
func (s *served) start(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(s)
	require.NoError(t, err)
	args := []string{os.Args[0], "-test.run=^$"}
	if s.Namespace != "" {
		args = append([]string{"nsenter", "--net=/run/netns/" + s.Namespace}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), servedEnv+"="+string(text))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe() // ends with this process, and the server with it
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	s.cmd = cmd
	t.Cleanup(func() { s.kill(); _ = in.Close() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "server %s does not start", s.Name)
	require.Equal(t, "ready\n", line)
}

// kill ends the server's process outright.
func (s *served) kill() {
	if s.cmd == nil {
		return
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	_ = s.cmd.Wait() // it was killed
	s.cmd = nil
}

func (s *served) url() string { return "nats://" + net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// alone is one server on loopback, not started.
func alone(t *testing.T, dir string) *served {
	t.Helper()
	return &served{Dir: dir, Name: "s0", Host: "127.0.0.1", Port: logtest.Ports(t, 1)[0]}
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// quiet drops what clients say of servers that a test kills.
func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// setUp makes the streams.
func setUp(t *testing.T, o jetstream.StreamOptions, urls ...string) {
	t.Helper()
	nc := connect(t, urls...)
	defer nc.Close()
	require.NoError(t, jetstream.Setup(bounded(t), nc, o))
}

// dial is the log over a connection of its own.
func dial(t *testing.T, urls ...string) *jetstream.Log {
	t.Helper()
	nc := connect(t, urls...)
	t.Cleanup(nc.Close)
	return jetstream.Open(nc, catalog.New(), jetstream.Logger(quiet())).Log()
}

// dialOnly is dial for one server of several, whatever others it tells of.
func dialOnly(t *testing.T, url string) *jetstream.Log {
	t.Helper()
	nc, err := nats.Connect(url, nats.DontRandomize(), nats.IgnoreDiscoveredServers(), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true),
		nats.ReconnectWait(50*time.Millisecond), nats.ReconnectBufSize(-1), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return jetstream.Open(nc, catalog.New(), jetstream.Logger(quiet())).Log()
}
