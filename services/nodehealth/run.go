package nodehealth

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/sirupsen/logrus"
)

// Config is what node-health needs of the world.
type Config struct {
	Log         events.Log
	Commands    events.Commands
	Heartbeats  events.Heartbeats
	Leases      events.Leases // not used without LeaderLease
	LeaderLease bool          // decide only while holding the service's lease
	Holder      string        // who this process is, for the lease and its own pulse
	Timing      Timing        // defaults where zero
	Logger      *logrus.Entry
	Metrics     prometheus.Registerer // nil: not registered
	FullPass    time.Duration         // plan at least this often; 30 s where zero
	Snapshots   events.Snapshots      // what to start from; nil: the whole log
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
		Metrics: config.Metrics, FullPass: config.FullPass, Snapshots: config.Snapshots,
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
	return s, nil
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
