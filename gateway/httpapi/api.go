// Package httpapi is the HTTP front door: routes, authentication, documents in and out. It decides nothing; status codes are known
// here and nowhere else.
package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/rutter-run/rutter/gateway/app"
)

// Config is what the front door needs.
type Config struct {
	App     *app.App
	Tokens  *Tokens              // who may do what; without any nobody may do anything
	Log     *logrus.Entry        // access log
	Metrics *prometheus.Registry // shown at /metrics; an own one where nil
	Version string               // of the program

	// ReadOnly, where not empty, is why nothing can be changed here: every change is refused with it.
	ReadOnly string
	// MaxBody is how large a request's body may be; 1 MiB where zero.
	MaxBody int64
	// KeepAlive is how often an idle stream says that it is still there; 15 s where zero.
	KeepAlive time.Duration
}

// API serves HTTP.
type API struct {
	Config
	router  chi.Router
	openapi []byte
	closing context.Context // done when streams are to end
	close   context.CancelFunc
}

const (
	defaultMaxBody   = 1 << 20
	defaultKeepAlive = 15 * time.Second
)

// New makes the front door. It fails only where its own description cannot be generated, which is a fault of the program.
func New(config Config) (*API, error) {
	if config.MaxBody == 0 {
		config.MaxBody = defaultMaxBody
	}
	if config.KeepAlive == 0 {
		config.KeepAlive = defaultKeepAlive
	}
	if config.Metrics == nil {
		config.Metrics = prometheus.NewRegistry()
	}
	if config.Log == nil {
		config.Log = logrus.NewEntry(logrus.StandardLogger())
	}
	if config.Tokens == nil {
		config.Tokens = &Tokens{}
	}
	a := &API{Config: config}
	a.closing, a.close = context.WithCancel(context.Background())
	a.router = a.routes()
	var err error
	a.openapi, err = describe(a.router, config.Version)
	return a, err
}

// Handler is the whole API as one handler.
func (a *API) Handler() http.Handler { return a.router }
