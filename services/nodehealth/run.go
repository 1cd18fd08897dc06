package nodehealth

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections/fingerprint"
	"github.com/sirupsen/logrus"
)

// Config is what node-health needs of the world.
type Config struct {
	Log          events.Log
	Commands     events.Commands
	Heartbeats   events.Heartbeats
	Leases       events.Leases // not used without LeaderLease
	LeaderLease  bool          // decide only while holding the service's lease
	Holder       string        // who this process is, for the lease and its own pulse
	Timing       Timing        // defaults where zero
	Logger       *logrus.Entry
	Metrics      prometheus.Registerer // nil: not registered
	FullPass     time.Duration         // plan at least this often; 30 s where zero
	Snapshots    events.Snapshots      // what to start from; nil: the whole log
	Fingerprints events.Fingerprints   // what processes tell each other of their folds; nil: nothing
}

// SelfPrefix heads the names under which node-health sends its own pulse. No node has such a name: names are DNS labels.
const SelfPrefix = "_node-health_"

// Service is a running node-health: it listens and follows the log, and leads or stands by.
type Service struct {
	*decider.Loop
	config Config
	ear    *ear
	logger *logrus.Entry
	held   string // what the last plan held back, for saying it once
	states stateMeters
}

// New makes a node-health; Run sets it going.
func New(config Config) (*Service, error) {
	config.Timing = config.Timing.Default()
	if err := config.Timing.Validate(); err != nil {
		return nil, err
	}
	s := &Service{config: config, ear: newEar(config.Timing, events.Heartbeat{Node: selfName(config.Holder), Incarnation: uuid.NewString()})}
	c := decider.Config{
		Service: events.ServiceNodeHealth, Holder: config.Holder, Log: config.Log, Commands: config.Commands, Logger: config.Logger,
		Metrics: config.Metrics, FullPass: config.FullPass, Snapshots: config.Snapshots, Fingerprints: config.Fingerprints,
		Elected: func() { s.ear.afresh(time.Now()) },
		// What could not be written may have been wrong when it can be: everybody was out of our sight, or we out of the log's.
		Failed: func(error) { s.ear.afresh(time.Now()) },
	}
	if config.LeaderLease {
		c.Leases = config.Leases
	}
	loop, err := decider.NewLoop(c, s.plan)
	if err != nil {
		return nil, err
	}
	s.Loop, s.logger = loop, loop.Logger()
	if s.states, err = newStateMeters(config.Metrics); err != nil {
		return nil, err
	}
	return s, nil
}

// stateMeters count what comes of comparing the states of all processes.
type stateMeters struct{ compared, differ prometheus.Counter }

func newStateMeters(registerer prometheus.Registerer) (stateMeters, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "rutter", Subsystem: "states", Name: name, Help: help})
	}
	m := stateMeters{
		compared: counter("compared_total", "States of two processes at one sequence that were compared."),
		differ:   counter("differ_total", "Of these, how many were not the same: one of the two processes is wrong."),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.compared, m.differ} {
		if err := registerer.Register(c); err != nil {
			return m, fmt.Errorf("register metrics of compared states: %w", err)
		}
	}
	return m, nil
}

// compare holds what all processes tell of their states against each other.
func (s *Service) compare(ctx context.Context) error {
	var told fingerprint.Comparison
	return s.config.Fingerprints.Hear(ctx, func(f events.Fingerprint) {
		d, differ, compared := told.Hear(f)
		if compared {
			s.states.compared.Inc()
		}
		if differ {
			s.states.differ.Inc()
			s.logger.Error("one log has led to two states: " + d.String())
		}
	})
}

// selfName is the holder's name as one word of a subject.
func selfName(holder string) string {
	return SelfPrefix + strings.Map(func(r rune) rune {
		if strings.ContainsRune(".*> \t\r\n", r) {
			return '-'
		}
		return r
	}, holder)
}

// Run listens and decides until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { s.Forever(ctx, "listen to heartbeats", s.listen) })
	background.Go(func() { s.beat(ctx) })
	if s.config.Fingerprints != nil {
		background.Go(func() { s.Forever(ctx, "hear what others have folded", s.compare) })
	}
	return s.Loop.Run(ctx)
}

func (s *Service) listen(ctx context.Context) error {
	return s.config.Heartbeats.Listen(ctx, func(beat events.Heartbeat, replayed bool) {
		// What was said before we listened says nothing about now.
		if !replayed && s.ear.hear(beat, time.Now(), s.View()) {
			s.Wake()
		}
	})
}

// beat sends the own pulse, as often as nodes send theirs.
func (s *Service) beat(ctx context.Context) {
	ticker := time.NewTicker(s.config.Timing.Interval)
	defer ticker.Stop()
	for {
		beat := s.ear.self
		beat.Time = time.Now()
		if err := s.config.Heartbeats.Beat(ctx, beat); err != nil && ctx.Err() == nil {
			s.logger.WithError(err).Debug("cannot send the own pulse") // not hearing it is what counts
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// plan answers the commands of the turn and judges on what they lead to.
func (s *Service) plan(turn decider.Turn) decider.Plan {
	hearing := s.ear.at(turn.View, turn.Now)
	plan := Plan(turn, hearing, s.config.Timing)
	held := ""
	for _, n := range plan.Notes {
		held += n.About + ": " + n.Why
	}
	if held != s.held {
		s.held = held
		if held != "" {
			s.logger.Warn(held)
		}
	}
	return plan
}
