package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/rutter-run/rutter/events/spec"
)

// portOf is the port in an address.
func portOf(t *testing.T, address string) spec.PortRef {
	t.Helper()
	a, err := netip.ParseAddrPort(address)
	require.NoError(t, err)
	return spec.PortRef(strconv.Itoa(int(a.Port())))
}

// nobody is a port that nobody listens on.
func nobody(t *testing.T) spec.PortRef {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return portOf(t, l.Addr().String())
}

func ask(t *testing.T, p spec.Probe, target Target) Answer {
	t.Helper()
	p.Default()
	p.TimeoutSeconds = 30
	target.Address = "127.0.0.1"
	return Ask(t.Context(), &p, target)
}

func TestHTTP(t *testing.T) {
	mux := http.NewServeMux()
	for code := range map[int]bool{200: true, 204: true, 302: true, 399: true, 400: true, 404: true, 500: true, 503: true} {
		mux.HandleFunc(fmt.Sprintf("/%d", code), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/500")
			w.WriteHeader(code)
			_, _ = io.WriteString(w, strings.Repeat("the database is\naway ", 1000))
		})
	}
	mux.HandleFunc("/header", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Probe") != "yes" || r.Host != "shop.example.com" || r.URL.RawQuery != "deep=1" {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	plain, secure := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	for scheme, server := range map[spec.URIScheme]*httptest.Server{spec.SchemeHTTP: plain, spec.SchemeHTTPS: secure} {
		port := portOf(t, server.Listener.Addr().String())
		for _, code := range []int{200, 204, 302, 399} {
			a := ask(t, spec.Probe{HTTPGet: &spec.HTTPProbe{Path: fmt.Sprintf("/%d", code), Port: port, Scheme: scheme}}, Target{})
			require.Equal(t, Answer{Good: true}, a, code)
		}
		for _, code := range []int{400, 404, 500, 503} {
			a := ask(t, spec.Probe{HTTPGet: &spec.HTTPProbe{Path: fmt.Sprintf("/%d", code), Port: port, Scheme: scheme}}, Target{})
			require.False(t, a.Good)
			require.Contains(t, a.Message, strconv.Itoa(code))
			require.Contains(t, a.Message, "the database is away the")
			require.Less(t, len(a.Message), 300)
		}
	}
	named := spec.Probe{HTTPGet: &spec.HTTPProbe{Path: "/header?deep=1", Port: "web", HTTPHeaders: []spec.HTTPHeader{{Name: "X-Probe", Value: "yes"}, {Name: "Host", Value: "shop.example.com"}}}}
	n, err := strconv.Atoi(string(portOf(t, plain.Listener.Addr().String())))
	require.NoError(t, err)
	require.True(t, ask(t, named, Target{Ports: []spec.Port{{Name: "web", ContainerPort: n}}}).Good)
	require.False(t, ask(t, spec.Probe{HTTPGet: &spec.HTTPProbe{Port: nobody(t)}}, Target{}).Good)
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	require.Equal(t, Answer{Good: true}, ask(t, spec.Probe{TCPSocket: &spec.TCPProbe{Port: portOf(t, l.Addr().String())}}, Target{}))
	a := ask(t, spec.Probe{TCPSocket: &spec.TCPProbe{Port: nobody(t)}}, Target{})
	require.False(t, a.Good)
	require.Contains(t, a.Message, "refused")
}

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, state := grpc.NewServer(), health.NewServer()
	healthpb.RegisterHealthServer(server, state)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	state.SetServingStatus("db", healthpb.HealthCheckResponse_NOT_SERVING)
	port := portOf(t, l.Addr().String())
	require.Equal(t, Answer{Good: true}, ask(t, spec.Probe{GRPC: &spec.GRPCProbe{Port: port}}, Target{}))
	require.Contains(t, ask(t, spec.Probe{GRPC: &spec.GRPCProbe{Port: port, Service: "db"}}, Target{}).Message, "NOT_SERVING")
	require.Contains(t, ask(t, spec.Probe{GRPC: &spec.GRPCProbe{Port: port, Service: "mail"}}, Target{}).Message, "NotFound")
	require.Contains(t, ask(t, spec.Probe{GRPC: &spec.GRPCProbe{Port: nobody(t)}}, Target{}).Message, "Unavailable")
}

func TestExec(t *testing.T) {
	run := func(code int, said string, err error) Answer {
		return ask(t, spec.Probe{Exec: &spec.ExecProbe{Command: []string{"check", "-x"}}}, Target{Exec: func(_ context.Context, command []string, output io.Writer) (int, error) {
			require.Equal(t, []string{"check", "-x"}, command)
			for range 100 {
				_, _ = io.WriteString(output, said)
			}
			return code, err
		}})
	}
	require.Equal(t, Answer{Good: true}, run(0, "fine", nil))
	require.Contains(t, run(3, "the disk is full\n", nil).Message, "check ended with code 3: the disk is full the disk")
	require.Contains(t, run(0, "", errors.New("no such file")).Message, "check: no such file")
}

// A container that does not answer is no reason to wait for longer than the probe says.
func TestNoAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts nothing: the kernel does, and nobody speaks
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	port := portOf(t, l.Addr().String())
	for name, p := range map[string]spec.Probe{
		"http": {HTTPGet: &spec.HTTPProbe{Port: port}}, "grpc": {GRPC: &spec.GRPCProbe{Port: port}}, "exec": {Exec: &spec.ExecProbe{Command: []string{"check"}}},
	} {
		p.Default()
		a := Ask(t.Context(), &p, Target{Address: "127.0.0.1", Exec: func(ctx context.Context, _ []string, _ io.Writer) (int, error) {
			<-ctx.Done()
			return -1, ctx.Err()
		}})
		require.Equal(t, Answer{Message: "no answer within 1s"}, a, name)
	}
}
