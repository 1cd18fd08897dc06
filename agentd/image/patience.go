package image

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// patience gives a registry up that has begun an answer and sends nothing more of it. A download may take as long as it goes on.
type patience struct {
	next  http.RoundTripper
	quiet time.Duration // between two pieces of an answer
}

// RoundTrip implements http.RoundTripper.
func (p patience) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.Context())
	response, err := p.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	body := &steadyBody{ReadCloser: response.Body, quiet: p.quiet, end: cancel}
	body.timer = time.AfterFunc(p.quiet, func() {
		body.stalled.Store(true)
		cancel()
	})
	body.timer.Stop() // it runs only while somebody waits for bytes
	response.Body = body
	return response, nil
}

type steadyBody struct {
	io.ReadCloser
	quiet   time.Duration
	timer   *time.Timer
	stalled atomic.Bool
	end     context.CancelFunc
}

// Read implements io.Reader.
func (b *steadyBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.quiet)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && err != io.EOF && b.stalled.Load() {
		err = fmt.Errorf("the registry sent nothing for %s: %w", b.quiet, context.DeadlineExceeded)
	}
	return n, err
}

// Close implements io.Closer.
func (b *steadyBody) Close() error {
	b.timer.Stop()
	err := b.ReadCloser.Close()
	b.end()
	return err
}
