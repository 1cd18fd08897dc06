package reconciler

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections/snapshot"
	"github.com/sirupsen/logrus"
)

// Config is what the reconciler needs of the world.
type Config struct {
	Log          events.Log
	Commands     events.Commands
	Leases       events.Leases // not used without LeaderLease
	LeaderLease  bool          // decide only while holding the service's lease
	Holder       string        // who this process is, for the lease
	Logger       *logrus.Entry
	Metrics      prometheus.Registerer // nil: not registered
	FullPass     time.Duration         // plan at least this often; 30 s where zero
	Snapshots    events.Snapshots      // what to start from; nil: the whole log
	Fingerprints events.Fingerprints   // what processes tell each other of their folds; nil: nothing
	Keep         *snapshot.Schedule    // when to write snapshots while leading; nil: never
}

// Service is a running reconciler: it follows the log, and leads or stands by.
type Service struct{ *decider.Loop }

// New makes a reconciler; Run sets it going.
func New(config Config) (*Service, error) {
	c := decider.Config{
		Service: events.ServiceReconciler, Holder: config.Holder, Log: config.Log, Commands: config.Commands, Logger: config.Logger,
		Metrics: config.Metrics, FullPass: config.FullPass, Snapshots: config.Snapshots, Fingerprints: config.Fingerprints, Keep: config.Keep,
	}
	if config.LeaderLease {
		c.Leases = config.Leases
	}
	loop, err := decider.NewLoop(c, Plan)
	if err != nil {
		return nil, err
	}
	return &Service{Loop: loop}, nil
}

// Run decides until ctx is done.
func (s *Service) Run(ctx context.Context) error { return s.Loop.Run(ctx) }
