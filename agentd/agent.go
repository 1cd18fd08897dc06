// Package agentd is the node: an agent that follows its node's ledger, runs what it wishes for and reports what it sees.
//
// The agent holds no state that it could not lose: what is wished is in the log, what runs is known to the runtime, and what was reported is in
// the store on disk. It can be killed anywhere and goes on from there. Deciding what to do is package instance's; the files here
// carry it out.
package agentd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rutter-run/rutter/agentd/instance"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/agentd/store"
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// Config is what an agent needs to know.
type Config struct {
	Node           string            // its name
	Key            string            // public key of its credentials, to which the name belongs
	Incarnation    string            // unique to this process
	Address        string            // where other hosts reach the node
	Labels         map[string]string // beyond those that the system gives
	Reserved       spec.Resources    // kept back for the system
	Version        string            // of the agent
	DataDir        string
	Heartbeat      time.Duration // between two pulses
	PartitionLease time.Duration // how long cut off before instances with onPartition: stop are stopped
	ParallelStarts int           // containers started at once
}

// Log is what an agent needs of the log: its own ledger and reports. It does what [events.LiveLog] says.
type Log interface {
	Append(ctx context.Context, batch events.Batch) (last uint64, err error)
	Read(ctx context.Context, subject events.Subject, from uint64, handle func(events.Event) error) error
	LastOf(ctx context.Context, subject events.Subject) (events.Event, error)
	Subscribe(ctx context.Context, subject events.Subject, synced func(), handle func(e events.Event, previous uint64)) error
}

// Connections is what an agent speaks through.
type Connections struct {
	Log        Log
	Commands   events.Commands
	Heartbeats events.Heartbeats
	// Reach is a round trip to whoever judges whether the node is there: nil once it has been answered. A connection that stands and carries
	// nothing does not count.
	Reach func(ctx context.Context) error
}

// Agent runs one node.
type Agent struct {
	config  Config
	runtime runtime.Runtime
	conns   Connections
	log     *logrus.Entry
	store   *store.Store
	outbox  *outbox
	starts  *semaphore.Weighted
	probes  *semaphore.Weighted // questions to containers, at once
	full    chan struct{}       // the disk is, and images may have to go
	group   *errgroup.Group

	patience time.Duration // for one step of the runtime

	mu      sync.Mutex
	ledger  *instance.Ledger
	workers map[string]*worker
	fresh   uint64 // assignments after this sequence are new, ones up to it may have ended before the store was lost
	dirty   bool   // the ledger has changed since it was saved

	cutOff atomic.Bool
	status atomic.Pointer[status]
}

// status is what the heartbeat says of the agent.
type status struct {
	ready   bool
	message string
}

// New opens the agent's store. It fails where another agent has it open.
func New(config Config, rt runtime.Runtime, conns Connections, log *logrus.Entry) (*Agent, error) {
	s, err := store.Open(filepath.Join(config.DataDir, "agent.db"))
	if err != nil {
		return nil, err
	}
	a := &Agent{
		config: config, runtime: rt, conns: conns, store: s, workers: map[string]*worker{},
		log:    log.WithField("node", config.Node),
		starts: semaphore.NewWeighted(int64(max(1, config.ParallelStarts))), probes: semaphore.NewWeighted(parallelProbes),
		full: make(chan struct{}, 1), patience: stepPatience,
	}
	a.outbox = newOutbox(s, conns.Log, events.NodeSource(config.Node), a.log)
	a.say(false, "starting")
	return a, nil
}

// Ready reports whether the node takes work, and if not why.
func (a *Agent) Ready() (bool, string) {
	s := a.status.Load()
	return s.ready, s.message
}

func (a *Agent) say(ready bool, message string) {
	a.status.Store(&status{ready: ready, message: message})
}

// Run runs the node until ctx is done. Containers go on running after it.
func (a *Agent) Run(ctx context.Context) error {
	defer func() {
		if err := a.store.Close(); err != nil {
			a.log.WithError(err).Error("the agent's store did not close")
		}
	}()
	group, ctx := errgroup.WithContext(ctx)
	a.group = group
	group.Go(func() error { return a.outbox.run(ctx) })
	group.Go(func() error { return a.beat(ctx) })
	group.Go(func() error { return a.keepContact(ctx) })
	group.Go(func() error { return a.work(ctx) })
	group.Go(func() error { return a.collect(ctx) })
	err := group.Wait()
	if saveErr := a.saveLedger(); saveErr != nil {
		err = errors.Join(err, saveErr)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// work brings the node up, step by step, then follows the ledger.
func (a *Agent) work(ctx context.Context) error {
	if err := a.untilDone(ctx, "initialise the runtime", func() error { return a.runtime.Init(ctx) }); err != nil {
		return err
	}
	l, err := a.store.Ledger()
	if err != nil {
		return err
	}
	records, err := a.store.Records()
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.ledger = l
	a.mu.Unlock()
	// What was revoked while no agent ran must not be started again first. But an agent that starts cut off supervises what it has.
	a.glance(ctx)
	if err := a.untilDone(ctx, "look at what runs", func() error { return a.adopt(ctx, records) }); err != nil {
		return err
	}
	if err := a.untilDone(ctx, "register", func() error { return a.register(ctx) }); err != nil {
		return err
	}
	return a.follow(ctx)
}

// glancePatience is how long a starting agent waits for the log before it goes by what it remembers.
const glancePatience = 3 * time.Second

// glance brings the ledger up to date if the log can be reached, before anything is done by it.
func (a *Agent) glance(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, glancePatience)
	defer cancel()
	a.mu.Lock()
	from := a.ledger.Head + 1
	a.mu.Unlock()
	var missed []events.Event
	err := a.conns.Log.Read(ctx, events.LedgerSubject(a.config.Node), from, func(e events.Event) error {
		missed = append(missed, e)
		return nil
	})
	if err != nil {
		a.log.WithError(err).Warn("the log is out of reach; going by the ledger as last saved")
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range missed {
		a.ledger.Apply(e)
		a.dirty = true
	}
	a.fresh = max(a.fresh, a.ledger.Head)
}

// untilDone tries until it succeeds or ctx is done, and says meanwhile what is in the way.
func (a *Agent) untilDone(ctx context.Context, what string, try func() error) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := try()
		if err != nil && ctx.Err() == nil {
			a.say(false, fmt.Sprintf("%s: %v", what, err))
			a.log.WithError(err).Warnf("could not %s; trying again", what)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(retryBackOff()), backoff.WithMaxElapsedTime(0))
	return err
}

func retryBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 200*time.Millisecond, 10*time.Second
	return b
}

// Name is the node's name, for those who serve its streams.
func (a *Agent) Name() string { return a.config.Node }
