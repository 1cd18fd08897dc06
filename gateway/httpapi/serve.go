package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Limits of the server against slow and hostile clients. Answers have no time limit: streams live long.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
	shutdownTimeout   = 10 * time.Second
)

// Serve answers on the listener until ctx is done, then ends the streams, finishes what is being answered and returns. config is nil
// for plain HTTP.
func (a *API) Serve(ctx context.Context, listener net.Listener, config *tls.Config) error {
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	server := &http.Server{
		Handler: a.router, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve HTTP on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	a.Close()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		return errors.Join(fmt.Errorf("shut HTTP down: %w", err), server.Close())
	}
	return nil
}

// Close ends every stream: followers of events and logs are told to come again elsewhere, execs are closed.
func (a *API) Close() { a.close() }

// streaming is the request's context, which ends when the server closes as well.
func (a *API) streaming(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(a.closing, cancel)
	return ctx, func() { stop(); cancel() }
}
