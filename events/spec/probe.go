package spec

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Probe is a question that the node's agent asks a container again and again, in one of four ways. Names, defaults and meanings are
// Kubernetes'.
type Probe struct {
	Exec      *ExecProbe `json:"exec,omitempty"`
	HTTPGet   *HTTPProbe `json:"httpGet,omitempty"`
	TCPSocket *TCPProbe  `json:"tcpSocket,omitempty"`
	GRPC      *GRPCProbe `json:"grpc,omitempty"`

	InitialDelaySeconds int `json:"initialDelaySeconds,omitempty"` // after the container's start
	PeriodSeconds       int `json:"periodSeconds,omitempty"`       // between two questions; 10 where empty
	TimeoutSeconds      int `json:"timeoutSeconds,omitempty"`      // for an answer; 1 where empty
	SuccessThreshold    int `json:"successThreshold,omitempty"`    // good answers in a row until it passes; 1 where empty
	FailureThreshold    int `json:"failureThreshold,omitempty"`    // bad answers in a row until it fails; 3 where empty
}

// ExecProbe runs a program in the container: code 0 is a good answer.
type ExecProbe struct {
	Command []string `json:"command"`
}

// HTTPProbe makes a GET request: a status from 200 to 399 is a good answer.
type HTTPProbe struct {
	Path        string       `json:"path,omitempty"` // "/" where empty
	Port        PortRef      `json:"port"`
	Host        string       `json:"host,omitempty"`   // the instance's address where empty
	Scheme      URIScheme    `json:"scheme,omitempty"` // HTTP where empty; with HTTPS certificates are not checked
	HTTPHeaders []HTTPHeader `json:"httpHeaders,omitempty"`
}

// HTTPHeader is a header of a probe's request.
type HTTPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TCPProbe opens a connection.
type TCPProbe struct {
	Port PortRef `json:"port"`
	Host string  `json:"host,omitempty"` // the instance's address where empty
}

// GRPCProbe asks gRPC's health service: SERVING is a good answer.
type GRPCProbe struct {
	Port    PortRef `json:"port"`
	Service string  `json:"service,omitempty"`
}

// URIScheme is how an HTTP probe connects.
type URIScheme string

// The schemes.
const (
	SchemeHTTP  URIScheme = "HTTP"
	SchemeHTTPS URIScheme = "HTTPS"
)

// PortRef names a port of the container: a number, or the name that stands among its ports.
type PortRef string

// MarshalJSON implements json.Marshaler: a number is one in JSON as well.
func (p PortRef) MarshalJSON() ([]byte, error) {
	if n, err := strconv.Atoi(string(p)); err == nil && strconv.Itoa(n) == string(p) {
		return []byte(p), nil
	}
	return json.Marshal(string(p))
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *PortRef) UnmarshalJSON(data []byte) error {
	const want = "a port's number or its name"
	var n int
	var text string
	switch {
	case string(data) == "null":
	case json.Unmarshal(data, &n) == nil:
		*p = PortRef(strconv.Itoa(n))
	case json.Unmarshal(data, &text) == nil:
		*p = PortRef(text)
	default:
		return notA(data, want)
	}
	return nil
}

// Number is the port's number among a container's ports; 0 where it is none of them.
func (p PortRef) Number(ports []Port) int {
	if n, err := strconv.Atoi(string(p)); err == nil {
		return n
	}
	for _, port := range ports {
		if port.Name == string(p) && p != "" {
			return port.ContainerPort
		}
	}
	return 0
}

// Limits of a probe.
const (
	MaxProbeSeconds   = 24 * 60 * 60
	MaxProbeThreshold = 10_000
)

// Default fills what the user may leave out.
func (p *Probe) Default() {
	if p == nil {
		return
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&p.PeriodSeconds, 10}, {&p.TimeoutSeconds, 1}, {&p.SuccessThreshold, 1}, {&p.FailureThreshold, 3}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if h := p.HTTPGet; h != nil {
		if h.Path == "" {
			h.Path = "/"
		}
		if h.Scheme == "" {
			h.Scheme = SchemeHTTP
		}
	}
}

// Period is the time between two questions.
func (p *Probe) Period() time.Duration { return time.Duration(max(1, p.PeriodSeconds)) * time.Second }

// Timeout is how long an answer may take.
func (p *Probe) Timeout() time.Duration { return time.Duration(max(1, p.TimeoutSeconds)) * time.Second }

// Validate reports every fault of the probe of a container with these ports. once: it has passed when it passed once, as a liveness and a
// startup probe have. Call Default first.
func (p *Probe) validate(field string, ports []Port, once bool) (errs Errors) {
	if p == nil {
		return nil
	}
	ways := 0
	if p.Exec != nil {
		ways++
		if len(p.Exec.Command) == 0 || p.Exec.Command[0] == "" {
			errs.add(field+".exec.command", "", "a program to run in the container, and its arguments")
		}
	}
	if h := p.HTTPGet; h != nil {
		ways++
		errs = append(errs, h.Port.validate(field+".httpGet.port", ports)...)
		errs = append(errs, validHost(field+".httpGet.host", h.Host)...)
		if !strings.HasPrefix(h.Path, "/") || strings.ContainsAny(h.Path, " \r\n") {
			errs.add(field+".httpGet.path", h.Path, "a path that begins with /")
		}
		if h.Scheme != SchemeHTTP && h.Scheme != SchemeHTTPS {
			errs.add(field+".httpGet.scheme", string(h.Scheme), "HTTP or HTTPS")
		}
		for i, header := range h.HTTPHeaders {
			if header.Name == "" || strings.ContainsAny(header.Name, " :\r\n\t") || strings.ContainsAny(header.Value, "\r\n\x00") {
				errs.add(fmt.Sprintf("%s.httpGet.httpHeaders[%d]", field, i), header.Name, "a header's name, and a value in one line")
			}
		}
	}
	if t := p.TCPSocket; t != nil {
		ways++
		errs = append(errs, t.Port.validate(field+".tcpSocket.port", ports)...)
		errs = append(errs, validHost(field+".tcpSocket.host", t.Host)...)
	}
	if g := p.GRPC; g != nil {
		ways++
		errs = append(errs, g.Port.validate(field+".grpc.port", ports)...)
	}
	if ways != 1 {
		errs.add(field, strconv.Itoa(ways), "exactly one of exec, httpGet, tcpSocket and grpc")
	}
	for _, n := range []struct {
		name               string
		value, least, most int
	}{
		{"initialDelaySeconds", p.InitialDelaySeconds, 0, MaxProbeSeconds}, {"periodSeconds", p.PeriodSeconds, 1, MaxProbeSeconds},
		{"timeoutSeconds", p.TimeoutSeconds, 1, MaxProbeSeconds}, {"successThreshold", p.SuccessThreshold, 1, MaxProbeThreshold},
		{"failureThreshold", p.FailureThreshold, 1, MaxProbeThreshold},
	} {
		if n.value < n.least || n.value > n.most {
			errs.add(field+"."+n.name, strconv.Itoa(n.value), "%d to %d", n.least, n.most)
		}
	}
	if once && p.SuccessThreshold > 1 {
		errs.add(field+".successThreshold", strconv.Itoa(p.SuccessThreshold), "1: only a readiness probe may ask for more")
	}
	return errs
}

func (p PortRef) validate(field string, ports []Port) (errs Errors) {
	n, err := strconv.Atoi(string(p))
	switch {
	case err == nil && (n < 1 || n > 65535):
		errs.add(field, string(p), "a port from 1 to 65535")
	case err != nil && p.Number(ports) == 0:
		errs.add(field, string(p), "a port's number, or the name of one of the container's ports")
	}
	return errs
}

func validHost(field, host string) (errs Errors) {
	if strings.ContainsAny(host, " /:@\r\n") && !strings.Contains(host, "::") {
		errs.add(field, host, "a host's name or address, without a port")
	}
	return errs
}

// Probed reports whether the container is ready only when a probe says so.
func (c Container) Probed() bool { return c.ReadinessProbe != nil || c.StartupProbe != nil }
