// Package client is the Go client of a Rutter gateway. It speaks HTTP and nothing else: whatever it can do, any program can.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/gateway/api"
)

// Client talks to one gateway. It may be used by several goroutines.
type Client struct {
	base     *url.URL
	token    string
	http     *http.Client
	registry *events.Registry
	moment   string // every read is of it; empty: of now
}

// New makes a client. It does not connect yet.
func New(config Config) (*Client, error) {
	base, err := config.base()
	if err != nil {
		return nil, err
	}
	tlsConfig, err := config.tls()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second, MaxIdleConnsPerHost: 8,
	}
	return &Client{base: base, token: config.Token, http: &http.Client{Transport: transport, CheckRedirect: stayProtected}, registry: catalog.New()}, nil
}

// At is a client whose reads are all of one moment: a sequence, a time (RFC 3339) or how long ago (-15m), which the gateway works out anew for
// each request; [Client.Moment] turns it into a sequence once. Empty is now.
func (c *Client) At(moment string) *Client {
	then := *c
	then.moment = moment
	return &then
}

// stayProtected follows no redirect that would carry the token in the clear.
func stayProtected(next *http.Request, before []*http.Request) error {
	if next.URL.Scheme == "http" && !loopback(next.URL.Hostname()) {
		return fmt.Errorf("redirected to %s: %w", next.URL.Redacted(), ErrPlain)
	}
	if len(before) >= maxRedirects {
		return fmt.Errorf("redirected %d times", len(before))
	}
	return nil
}

// maxRedirects is how often a request is sent on.
const maxRedirects = 10

// Address is the gateway's.
func (c *Client) Address() string { return c.base.String() }

// UnreachableError says that the gateway does not answer.
type UnreachableError struct {
	Address string
	Err     error
}

// Error implements error.
func (e *UnreachableError) Error() string {
	why := e.Err
	var outer *url.Error
	if errors.As(why, &outer) {
		why = outer.Err // without the method and the address again
	}
	var untrusted *tls.CertificateVerificationError
	if errors.As(e.Err, &untrusted) {
		return fmt.Sprintf("the gateway at %s is not trusted: %v\ngive the certificate authority that it is of by --ca (or %s, or ca in client.json)", e.Address, untrusted.Err, EnvCA)
	}
	return fmt.Sprintf("no gateway answers at %s: %v\nstart one with `rutter up`, or name another with --address (or %s)", e.Address, why, EnvAddress)
}

// Unwrap implements errors.Unwrap.
func (e *UnreachableError) Unwrap() error { return e.Err }

// call is one request.
type call struct {
	method string
	path   string
	query  url.Values
	header http.Header
	body   []byte
}

// retries is how often a request is sent again where its answer was lost on the way or the gateway was not ready. Every request may be: reads
// change nothing and changes carry an idempotency key.
const retries = 3

// do sends a request and reads the answer into out, which may be nil.
func (c *Client) do(ctx context.Context, call call, out any) error {
	response, err := c.send(ctx, call)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, response.Body)
	} else {
		err = json.NewDecoder(response.Body).Decode(out)
	}
	if err != nil {
		return fmt.Errorf("%s %s: read the answer: %w", call.method, call.path, err)
	}
	return nil
}

// send returns an answer that is no error. Its body is the caller's to close.
func (c *Client) send(ctx context.Context, call call) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		response, err := c.once(ctx, call)
		if err == nil || attempt == retries || !worthRetrying(err) {
			return response, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond << attempt):
		}
	}
}

func (c *Client) once(ctx context.Context, call call) (*http.Response, error) {
	address := *c.base
	address.Path += call.path
	query := maps.Clone(call.query)
	if c.moment != "" && call.method == http.MethodGet {
		if query == nil {
			query = url.Values{}
		}
		query.Set("at", c.moment)
	}
	address.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, call.method, address.String(), bytes.NewReader(call.body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", call.method, call.path, err)
	}
	for name, values := range call.header {
		request.Header[name] = values
	}
	c.authorize(request.Header)
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{Address: c.Address(), Err: err}
	}
	if response.StatusCode >= http.StatusBadRequest {
		defer response.Body.Close()
		return nil, problemIn(response)
	}
	return response, nil
}

func (c *Client) authorize(h http.Header) {
	h.Set("User-Agent", "rutter-client")
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
}

// problemIn reads a problem; an answer that is none came from something on the way.
func problemIn(response *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read the answer %s: %w", response.Status, err)
	}
	var p api.Problem
	if strings.HasPrefix(response.Header.Get("Content-Type"), api.ProblemType) && json.Unmarshal(data, &p) == nil {
		return &p
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	return &api.Problem{Title: response.Status, Status: response.StatusCode, Detail: "unexpected answer " + response.Status + ": " + line}
}

func worthRetrying(err error) bool {
	var unreachable *UnreachableError
	if errors.As(err, &unreachable) {
		var dial *net.OpError
		return !(errors.As(err, &dial) && dial.Op == "dial") // nobody is there: say so at once
	}
	var p *api.Problem
	return errors.As(err, &p) && (p.Status == http.StatusBadGateway || p.Status == http.StatusServiceUnavailable)
}

// IsNotFound reports whether the gateway says that there is no such thing.
func IsNotFound(err error) bool {
	var p *api.Problem
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}
