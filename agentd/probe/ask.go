package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/rutter-run/rutter/events/spec"
)

// Target is the container that is asked.
type Target struct {
	Address string // of its instance, as the node reaches it
	Ports   []spec.Port
	// Exec runs a program in the container and writes what that says.
	Exec func(ctx context.Context, command []string, output io.Writer) (code int, err error)
}

// mostOutput is how much of what a program or a server says is looked at, and mostMessage how much of that is reported.
const (
	mostOutput  = 10 << 10
	mostMessage = 200
)

// Ask puts the question once. What cannot be asked at all is a bad answer: a probe does not tell a broken container from a broken question.
func Ask(ctx context.Context, p *spec.Probe, t Target) Answer {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout())
	defer cancel()
	var err error
	switch {
	case p.Exec != nil:
		err = askExec(ctx, p.Exec, t)
	case p.HTTPGet != nil:
		err = askHTTP(ctx, p.HTTPGet, t)
	case p.TCPSocket != nil:
		err = askTCP(ctx, p.TCPSocket, t)
	case p.GRPC != nil:
		err = askGRPC(ctx, p.GRPC, t)
	default:
		err = errors.New("the probe asks nothing")
	}
	if err == nil {
		return Answer{Good: true}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", p.Timeout())
	}
	return Answer{Message: clean(err.Error())}
}

// clean is text on one line that is not too long.
func clean(text string) string {
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "")
	if len(text) > mostMessage {
		text = strings.ToValidUTF8(text[:mostMessage], "") + "…"
	}
	return text
}

func askExec(ctx context.Context, p *spec.ExecProbe, t Target) error {
	out := limited{most: mostOutput}
	code, err := t.Exec(ctx, p.Command, &out)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", p.Command[0], err)
	case code != 0:
		return fmt.Errorf("%s ended with code %d: %s", p.Command[0], code, out.String())
	}
	return nil
}

// limited keeps the beginning of what is written to it.
type limited struct {
	bytes.Buffer
	most int
}

func (l *limited) Write(p []byte) (int, error) {
	if room := l.most - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// client follows no redirect (one is a good answer), keeps no connection, and goes through no proxy.
var client = http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // as kubelet: certificates are for clients by name
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func askHTTP(ctx context.Context, p *spec.HTTPProbe, t Target) error {
	path, err := url.Parse(p.Path)
	if err != nil {
		return err
	}
	path.Scheme, path.Host = strings.ToLower(string(p.Scheme)), t.at(p.Host, p.Port)
	if path.Scheme == "" {
		path.Scheme = "http"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, path.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "rutter-probe")
	for _, h := range p.HTTPHeaders {
		if strings.EqualFold(h.Name, "Host") {
			request.Host = h.Value
		}
		request.Header.Set(h.Name, h.Value)
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= 200 && answer.StatusCode < 400 {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(answer.Body, mostOutput))
	return fmt.Errorf("GET %s: %s: %s", p.Path, answer.Status, body)
}

func askTCP(ctx context.Context, p *spec.TCPProbe, t Target) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", t.at(p.Host, p.Port))
	if err != nil {
		return err
	}
	return conn.Close()
}

func askGRPC(ctx context.Context, p *spec.GRPCProbe, t Target) error {
	conn, err := grpc.NewClient("passthrough:///"+t.at("", p.Port), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(), grpc.WithUserAgent("rutter-probe"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: p.Service})
	if err != nil {
		return fmt.Errorf("health of service %q: %s: %s", p.Service, status.Code(err), status.Convert(err).Message())
	}
	if answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("health of service %q: %s", p.Service, answer.GetStatus())
	}
	return nil
}

// at is where a port is.
func (t Target) at(host string, port spec.PortRef) string {
	if host == "" {
		host = t.Address
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port.Number(t.Ports)))
}
