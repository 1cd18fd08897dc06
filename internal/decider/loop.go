package decider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/fingerprint"
	"github.com/rutter-run/rutter/projections/follow"
	"github.com/rutter-run/rutter/projections/snapshot"
	"github.com/sirupsen/logrus"
)

// Config is what a loop needs of the world.
type Config struct {
	Service  string                // name in subjects and leases, such as [events.ServiceReconciler]
	Holder   string                // who this process is, for the lease
	Log      events.Log            // where decisions go
	Commands events.Commands       // nil: the service takes no commands
	Leases   events.Leases         // nil: decide without being elected; safe, but two of them waste work
	Logger   *logrus.Entry         // nil: silent
	Metrics  prometheus.Registerer // nil: not registered
	FullPass time.Duration         // plan at least this often; 30 s where zero
	// Snapshots are what to start from; nil: fold the whole log.
	Snapshots events.Snapshots
	// Keep lets this process write snapshots while it leads; nil: somebody else does.
	Keep *snapshot.Schedule
	// Fingerprints carry to other processes what this one's fold comes to; nil: it is not told.
	Fingerprints events.Fingerprints
	// Elected is called whenever this process begins to decide; may be nil.
	Elected func()
	// Failed is called when a batch could not be appended for another reason than a conflict; may be nil.
	Failed func(error)
}

// Loop follows the log and, while it leads, decides.
type Loop struct {
	config   Config
	decide   func(Turn) Plan
	follower *follow.Follower
	source   snapshot.Source
	teller   *fingerprint.Teller // nil: tells nobody
	meters   *meters
	wake     chan struct{}
	leading  atomic.Bool
	hashing  sync.Mutex
	hasher   projections.Hasher
}

// NewLoop makes a loop around a pure decision. It fails only where the metrics cannot be registered.
func NewLoop(config Config, decide func(Turn) Plan) (*Loop, error) {
	if config.Logger == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		config.Logger = logrus.NewEntry(silent)
	}
	config.FullPass = cmp.Or(config.FullPass, 30*time.Second)
	m, err := newMeters(config.Service, config.Metrics)
	if err != nil {
		return nil, err
	}
	source := snapshot.Source{Log: config.Log, Snapshots: config.Snapshots, Logger: config.Logger}
	l := &Loop{
		config: config, decide: decide, meters: m, wake: make(chan struct{}, 1), source: source,
	}
	options := []follow.Option{follow.From(source.Newest)}
	if config.Fingerprints != nil {
		l.teller = fingerprint.NewTeller(config.Fingerprints, config.Service, config.Holder, func() *projections.Cluster { return l.View() })
		options = append(options, follow.Checkpoints(fingerprint.Period, l.teller.Mark))
	}
	l.follower = follow.New(config.Log, options...)
	return l, nil
}

// Run follows the log until ctx is done, and decides while the service's lease is held. It gives up before only with
// [events.ErrOtherLog]: its state is of a log that is not there any more, and a new process folds the one that is.
func (l *Loop) Run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var following sync.WaitGroup
	following.Go(func() {
		l.Forever(ctx, "follow the log", func(ctx context.Context) error {
			err := l.follower.Run(ctx)
			if errors.Is(err, events.ErrOtherLog) {
				end(fmt.Errorf("%s must start anew: %w", l.config.Service, err))
			}
			return err
		})
	})
	defer following.Wait()
	if l.teller != nil {
		following.Go(func() { l.Forever(ctx, "tell fingerprints", l.teller.Run) })
	}
	err := l.run(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, events.ErrOtherLog) {
		return cause
	}
	return err
}

func (l *Loop) run(ctx context.Context) error {
	if l.follower.WaitLive(ctx) != nil {
		return nil // told to end before it began
	}
	l.config.Logger.WithField("sequence", l.follower.View().Sequence()).Info("caught up with the log")
	if l.config.Leases == nil {
		return l.lead(ctx)
	}
	l.Forever(ctx, "hold the lease", func(ctx context.Context) error {
		return l.config.Leases.Hold(ctx, l.config.Service, l.config.Holder, l.lead)
	})
	return nil
}

// lead decides until ctx is done.
func (l *Loop) lead(ctx context.Context) error {
	l.leading.Store(true)
	l.meters.leading.Set(1)
	l.config.Logger.Info("leads")
	defer func() {
		l.leading.Store(false)
		l.meters.leading.Set(0)
		l.config.Logger.Info("leads no longer")
	}()
	if l.config.Elected != nil {
		l.config.Elected()
	}
	var keeping sync.WaitGroup
	defer keeping.Wait()
	if l.config.Keep != nil && l.config.Snapshots != nil {
		keeper := snapshot.NewKeeper(l.source, *l.config.Keep, l.follower.View)
		keeping.Go(func() { l.Forever(ctx, "keep snapshots", keeper.Run) })
	}
	newTerm(l).run(ctx)
	return nil
}

// Forever does what is to go on until ctx is done, again with growing pauses when it fails.
func (l *Loop) Forever(ctx context.Context, what string, do func(context.Context) error) {
	pauses := newBackOff()
	for ctx.Err() == nil {
		began := time.Now()
		err := do(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			pauses.Reset()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			l.config.Logger.WithError(err).Warn("cannot " + what + "; tries again")
		}
		pause(ctx, pauses.NextBackOff())
	}
}

// Wake makes the loop plan soon; it never blocks.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default: // a wake is waiting already
	}
}

// Logger is the loop's; it is silent where none was given.
func (l *Loop) Logger() *logrus.Entry { return l.config.Logger }

// View is the newest state.
func (l *Loop) View() *projections.Cluster { return l.follower.View() }

// State is the sequence up to which the log is folded in, and the hash of the state there. The hash is reckoned by whoever asks, on a
// view: the loop is not held up.
func (l *Loop) State() (sequence uint64, hash string) {
	view := l.follower.View()
	l.hashing.Lock()
	defer l.hashing.Unlock()
	return view.Sequence(), l.hasher.Hash(view)
}

// Leading reports whether this process decides now.
func (l *Loop) Leading() bool { return l.leading.Load() }

// Ready is nil once the log has been folded in up to where it ended at the start: from then on this process leads or stands by, warm.
func (l *Loop) Ready() error {
	if !l.follower.Live() {
		return fmt.Errorf("%s is at sequence %d and still catching up: %w", l.config.Service, l.follower.View().Sequence(), events.ErrUnavailable)
	}
	return nil
}

// WaitReady waits until the log has been folded in up to where it ended at the start, or ctx is done.
func (l *Loop) WaitReady(ctx context.Context) error { return l.follower.WaitLive(ctx) }

// newBackOff gives growing pauses with jitter, from a few milliseconds to a few seconds.
func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier, b.RandomizationFactor = 5*time.Millisecond, 3*time.Second, 2, 0.5
	b.Reset()
	return b
}

// pause waits for d or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
