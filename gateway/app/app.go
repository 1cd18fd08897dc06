// Package app holds the use cases under every front door: what can be asked of a cluster, whoever asks and however. It knows
// neither HTTP nor MCP. Reads come from a projection, history and causes from the log, and every change goes out as a command
// whose outcome some service writes into the log.
package app

import (
	"cmp"
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/rpc"
	"github.com/rutter-run/rutter/projections/follow"
	"github.com/rutter-run/rutter/projections/past"
)

// ImageResolver finds the digest that a tag names now.
type ImageResolver interface {
	// Resolve returns ref with a digest. It fails with [events.ErrNoImage] where there is no such image and with
	// [events.ErrUnavailable] where the registry cannot be asked.
	Resolve(ctx context.Context, ref spec.ImageRef) (spec.ImageRef, error)
}

// AgentCaller reaches the agents for byte streams. Package internal/rpc implements it.
type AgentCaller interface {
	// Logs calls emit for each line until the log ends or ctx is done.
	Logs(ctx context.Context, node string, request rpc.LogsRequest, emit func(rpc.LogLine) error) error
	// Exec runs a process and returns its exit code.
	Exec(ctx context.Context, node string, request rpc.ExecRequest, streams rpc.ExecStreams) (int, error)
	// Stats is what an instance uses now.
	Stats(ctx context.Context, node string, request rpc.StatsRequest) ([]rpc.ContainerStats, error)
}

// Config is what the use cases stand on.
type Config struct {
	Commands events.Commands
	Log      events.Log
	View     *follow.Follower
	Past     *past.Reader
	Images   ImageResolver
	Agents   AgentCaller
	Records  events.Records   // of the same log
	Vault    events.Vault     // what the auditor keeps; nil: nothing is audited here
	Clock    func() time.Time // time.Now where nil

	// DecisionWait is how long a request waits for its outcome before it is answered as pending; 10 s where zero.
	DecisionWait time.Duration
	// SendWait is how long a command is sent again while the log does not take it, as during an election; 20 s where zero.
	SendWait time.Duration
}

// App is the use cases. Run must be going for history and why.
type App struct {
	Config
	trail   *trail
	pending *pendingCommands
	hashes  hashes
}

// New makes the use cases.
func New(config Config) *App {
	if config.Clock == nil {
		config.Clock = time.Now
	}
	config.DecisionWait = cmp.Or(config.DecisionWait, 10*time.Second)
	config.SendWait = cmp.Or(config.SendWait, 20*time.Second)
	return &App{Config: config, trail: newTrail(), pending: newPendingCommands()}
}

// Run keeps the index behind history and why up to date until ctx is done. The projection is run by whoever made it.
func (a *App) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.trail.follow(ctx, a.Log) })
	return group.Wait()
}

// Caller is who asks, and how the request is to be told from its repetitions.
type Caller struct {
	Actor          string // such as token:ci
	Reason         string // why, in the actor's words
	IdempotencyKey string // drawn where empty
	TraceParent    string // W3C trace context
}

// readyWait is how long the log may take to say that it is there.
const readyWait = 3 * time.Second

// Ready reports whether the gateway can answer: its projection has caught up and the log answers.
func (a *App) Ready(ctx context.Context) error {
	if !a.View.Live() {
		return &NotReadyError{What: "the projection is still catching up with the log"}
	}
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	if _, err := a.Log.Last(ctx); err != nil {
		return &NotReadyError{What: "the log does not answer", Err: err}
	}
	return nil
}
