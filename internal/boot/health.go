package boot

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rutter-run/rutter/internal/loopback"
)

// Health serves what a supervisor and an operator ask of a process: /livez, /readyz, /metrics and /state.
type Health struct {
	Ready    func() error                          // nil: ready; an error says what is in the way
	State    func() (sequence uint64, hash string) // of the projection; nil where the process has none
	Registry *prometheus.Registry
	TLS      *tls.Config // nil: plain HTTP, which is for this machine alone
}

const remedy = "give --health-tls-cert and --health-tls-key"

// Check refuses an address that others can reach unless it is served with TLS.
func (h Health) Check(address string) error {
	if address == "" {
		return nil
	}
	if err := loopback.Check(address, h.TLS != nil, remedy); err != nil {
		return fmt.Errorf("health-address: %w", err)
	}
	return nil
}

// Serve listens until ctx is done. An empty address serves nothing.
func (h Health) Serve(ctx context.Context, address string) error {
	if address == "" {
		<-ctx.Done()
		return nil
	}
	listener, err := loopback.Listen(address, h.TLS != nil, remedy)
	if err != nil {
		return fmt.Errorf("health-address: %w", err)
	}
	if h.TLS != nil {
		listener = tls.NewListener(listener, h.TLS)
	}
	server := &http.Server{Handler: h.handler(), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve health on %s: %w", address, err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop serving health: %w", err)
	}
	return nil
}

func (h Health) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := h.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.Registry, promhttp.HandlerOpts{}))
	if h.State != nil {
		mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) {
			sequence, hash := h.State()
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"sequence": sequence, "hash": hash}) // the client has gone
		})
	}
	return mux
}
