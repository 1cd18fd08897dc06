package auditor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/audit"
	"github.com/rutter-run/rutter/internal/boot"
)

// Config is what the auditor needs of the world.
type Config struct {
	Log         events.Log
	Records     events.Records // of the same log
	Vault       events.Vault
	Leases      events.Leases // not used without LeaderLease
	LeaderLease bool          // sign only while holding the service's lease
	Holder      string        // who this process is, for the lease
	Signer      note.Signer
	Verifier    note.Verifier
	Logger      *logrus.Entry
	Metrics     prometheus.Registerer // nil: not registered

	Tail     int64         // events before the newest checkpoint that are compared with the log before anything is signed; 4,096 where zero
	Interval time.Duration // between two checkpoints at most one is signed; 1 s where zero
	Recheck  time.Duration // how often the whole log is compared with the tree again; 24 h where zero
	Patience time.Duration // how long the log may end before what was signed, as it does while a new leader applies what it has; 10 s where zero
}

// Service is a running auditor: it signs, or stands by.
type Service struct {
	config Config
	meters *meters

	mu     sync.Mutex
	signed audit.Checkpoint
	alarm  string
	begun  bool
}

const (
	// signEvery is after how many events a checkpoint is signed also where more are waiting: what is kept of a long catching up.
	signEvery = 16384
	// alarmRetry is how long the auditor rests after an alarm before it looks again.
	alarmRetry = time.Minute
)

// New makes an auditor; Run sets it going.
func New(config Config) (*Service, error) {
	config.Interval, config.Recheck = cmp.Or(config.Interval, time.Second), cmp.Or(config.Recheck, 24*time.Hour)
	config.Tail, config.Patience = cmp.Or(config.Tail, 4096), cmp.Or(config.Patience, 10*time.Second)
	if config.Signer.Name() != config.Verifier.Name() || config.Signer.KeyHash() != config.Verifier.KeyHash() {
		return nil, fmt.Errorf("auditor: the public key %s does not belong to the signing key %s: want the two that `rutter init` made together: %w",
			config.Verifier.Name(), config.Signer.Name(), events.ErrInvalid)
	}
	m, err := newMeters(config.Metrics)
	if err != nil {
		return nil, err
	}
	return &Service{config: config, meters: m}, nil
}

// Run audits until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	err := boot.Keep(ctx, s.config.Logger, "audit the log", func(ctx context.Context) error {
		if !s.config.LeaderLease {
			return s.lead(ctx)
		}
		s.standBy()
		return s.config.Leases.Hold(ctx, events.ServiceAuditor, s.config.Holder, s.lead)
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// standBy: whoever waits for the lease is fit for it.
func (s *Service) standBy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = true
}

// Ready is an error where the log is not what was signed, and until the first checkpoint.
func (s *Service) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.alarm != "":
		return fmt.Errorf("ALARM: %s", s.alarm)
	case !s.begun:
		return fmt.Errorf("the auditor has not opened its tree yet: %w", events.ErrUnavailable)
	}
	return nil
}

// State is the newest checkpoint that this process signed or took up: how many events and their root.
func (s *Service) State() (sequence uint64, hash string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(s.signed.Size), s.signed.Root.String()
}

// lead signs until ctx is done or something is in the way.
func (s *Service) lead(ctx context.Context) error {
	err := s.audit(ctx)
	if !errors.Is(err, audit.ErrForked) || ctx.Err() != nil {
		return err
	}
	s.config.Logger.WithError(err).Error("ALARM: the log was changed after it was signed; nothing more is signed")
	s.raise(err.Error())
	if storeErr := audit.SetAlarm(ctx, s.config.Vault, err.Error()); storeErr != nil {
		s.config.Logger.WithError(storeErr).Warn("the alarm could not be stored")
	}
	timer := time.NewTimer(alarmRetry)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return err
}

func (s *Service) raise(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alarm = why
	s.meters.alarmed(why != "")
}

// audit opens the tree, holds the log to it and goes on from there.
func (s *Service) audit(ctx context.Context) error {
	extent, err := s.config.Log.Extent(ctx)
	if err != nil {
		return err
	}
	store, err := audit.OpenStore(ctx, s.config.Vault, s.config.Signer, s.config.Verifier, extent.Created.UTC().Format(time.RFC3339Nano))
	if err != nil {
		return err
	}
	alarm, err := audit.Alarm(ctx, s.config.Vault)
	if err != nil {
		return err
	}
	from := max(0, store.Signed.Size-s.config.Tail)
	if alarm != "" {
		from = 0 // not trusted again before all of it has been seen
	}
	if err := s.check(ctx, store.Signed, from); err != nil {
		return err
	}
	if alarm != "" {
		s.config.Logger.WithField("was", alarm).Warn("the log is again what was signed: the alarm is over")
		if err := audit.SetAlarm(ctx, s.config.Vault, ""); err != nil {
			return err
		}
	}
	s.raise("")
	s.standBy()
	s.tell(store)
	s.config.Logger.WithFields(logrus.Fields{"origin": store.Signed.Origin, "sequence": store.Signed.Size}).Info("audits the log")
	return s.follow(ctx, store)
}

func (s *Service) tell(store *audit.Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signed = store.Signed
	s.meters.signedUpTo(store.Signed.Size)
}

// leaf is an event on its way into the tree.
type leaf struct {
	hash tlog.Hash
	last bool // nothing more is at hand
}

// follow adds what comes and signs, and compares the whole log with the tree now and then.
func (s *Service) follow(ctx context.Context, store *audit.Store) error {
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer cancel()
	leaves, failed := make(chan leaf, 1024), make(chan error, 2)
	background.Go(func() { failed <- s.read(ctx, uint64(store.Tree.Size())+1, leaves) })
	base := store.Signed // its tree is part of every later one
	background.Go(func() { failed <- s.recheck(ctx, base) })
	ticker := time.NewTicker(s.config.Interval)
	defer ticker.Stop()
	rested := true // the interval has passed since the last checkpoint
	for {
		sign := false
		select {
		case err := <-failed:
			if ctx.Err() != nil {
				s.farewell(ctx, store)
			}
			return err
		case <-ticker.C:
			rested, sign = true, store.Tree.Size() > store.Signed.Size
		case l := <-leaves:
			store.Tree.Append(l.hash)
			sign = l.last && rested || store.Tree.Size()-store.Signed.Size >= signEvery
		}
		if !sign {
			continue
		}
		if err := store.Sign(ctx); err != nil {
			return err
		}
		rested = false
		s.tell(store)
	}
}

// farewell signs what was read and not signed yet, so that an orderly end leaves nothing open.
func (s *Service) farewell(ctx context.Context, store *audit.Store) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := store.Sign(ctx); err != nil {
		s.config.Logger.WithError(err).Debug("the last events were not signed; the next auditor will")
		return
	}
	s.tell(store)
}

// read sends the leaves of the log's events from a sequence on.
func (s *Service) read(ctx context.Context, next uint64, leaves chan<- leaf) error {
	return s.config.Records.Records(ctx, next, func(r events.Record, pending uint64) error {
		if r.Sequence != next {
			return fmt.Errorf("event %d is missing: the log goes on with %d: %w", next, r.Sequence, audit.ErrForked)
		}
		next++
		select {
		case leaves <- leaf{audit.Leaf(r), pending == 0}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// recheck compares the log with what was signed at the start, at once and then every so often.
func (s *Service) recheck(ctx context.Context, base audit.Checkpoint) error {
	ticker := time.NewTicker(s.config.Recheck)
	defer ticker.Stop()
	for {
		if err := s.check(ctx, base, 0); errors.Is(err, audit.ErrForked) {
			return err
		} else if err != nil && ctx.Err() == nil {
			s.config.Logger.WithError(err).Warn("the log could not be compared with its tree; tries again later")
		}
		select {
		case <-ticker.C:
			if signed, err := audit.Newest(ctx, s.config.Vault); err == nil {
				if c, err := audit.Open(signed, s.config.Verifier); err == nil {
					base = c
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
