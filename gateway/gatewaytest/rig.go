// Package gatewaytest is a small cluster for the tests of the front doors: a log in memory, the use cases over it, and a stand-in for the
// services that decides on commands and plays what becomes of instances.
package gatewaytest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/memlog"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/app"
	"github.com/rutter-run/rutter/internal/rpc"
	"github.com/rutter-run/rutter/projections/follow"
	"github.com/rutter-run/rutter/projections/past"
)

// Begin is when a rig's first event happens; each further one is a second later.
var Begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Rig is the small cluster.
type Rig struct {
	App      *app.App
	Log      *memlog.Log
	Commands *memlog.Commands
	View     *follow.Follower
	Agents   *Agents
	Vault    *memlog.Vault

	// AutoRun makes every applied or scaled workload's instances ready at once, and retires those that are not wished for.
	AutoRun bool
	// Undecided lets commands lie: nobody decides.
	Undecided bool

	t        *testing.T
	audit    *auditing
	ctx      context.Context // done when the test is over: what is still being played then ends
	mu       sync.Mutex
	sequence int
}

// New starts a rig that ends with the test.
func New(t *testing.T, options ...func(*Rig, *app.Config)) *Rig {
	t.Helper()
	registry := catalog.New()
	r := &Rig{t: t, Log: memlog.New(registry), Commands: memlog.NewCommands(registry, memlog.Faults{}), Agents: &Agents{}, Vault: memlog.NewVault()}
	r.View = follow.New(r.Log)
	config := app.Config{Commands: r.Commands, Log: r.Log, Records: r.Log, Vault: r.Vault, View: r.View, Past: past.New(r.Log), Images: Images{}, Agents: r.Agents, Clock: r.tick}
	for _, option := range options {
		option(r, &config)
	}
	r.App = app.New(config)
	ctx, cancel := context.WithCancel(context.Background())
	r.ctx = ctx
	var running sync.WaitGroup
	running.Go(func() { ended(t, r.View.Run(ctx)) })
	running.Go(func() { ended(t, r.App.Run(ctx)) })
	if !r.Undecided {
		running.Go(func() { ended(t, r.Commands.Consume(ctx, events.ServiceReconciler, r.decide)) })
		running.Go(func() { ended(t, r.Commands.Consume(ctx, events.ServiceNodeHealth, r.decideNode)) })
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	require.NoError(t, r.View.WaitLive(t.Context()))
	return r
}

// Decide has the stand-in decide on what lies there and what comes, until ctx is done; for a rig that was left [Rig.Undecided].
func (r *Rig) Decide(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { ended(r.t, r.Commands.Consume(ctx, events.ServiceReconciler, r.decide)) })
	r.t.Cleanup(func() { cancel(); running.Wait() })
}

func ended(t *testing.T, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the rig broke: %v", err)
	}
}

// tick is the rig's clock: every look at it is a second later.
func (r *Rig) tick() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sequence++
	return Begin.Add(time.Duration(r.sequence) * time.Second)
}

// Say appends one event and returns its id. cause may be empty.
func (r *Rig) Say(subject events.Subject, cause, actor string, data events.Payload) string {
	r.t.Helper()
	return r.say(events.Event{ID: fmt.Sprintf("e%d", r.tick().Sub(Begin)/time.Second), Subject: subject, Causation: cause, Actor: actor, Data: data})
}

func (r *Rig) say(e events.Event) string {
	expect := uint64(0)
	if last, err := r.Log.LastOf(context.Background(), e.Subject); err == nil {
		expect = last.Sequence
	}
	e.Source, e.Time = "/rutter/"+string(e.Subject.Aggregate()), r.tick()
	sequence, err := r.Log.Append(context.Background(), events.Batch{{Subject: e.Subject, Expect: expect, Events: []events.Event{e}}})
	if err != nil {
		r.t.Errorf("append %s: %v", e.ID, err)
		return ""
	}
	if _, err := r.View.WaitFor(r.ctx, sequence); err != nil && r.ctx.Err() == nil {
		r.t.Error(err)
	}
	return e.ID
}

// decide answers a command as the reconciler would, as far as these tests need it.
func (r *Rig) decide(d events.Delivery) {
	c := d.Command()
	namespace, name := events.Subject(c.Subject).Workload()
	subject := events.WorkloadSubject(namespace, name)
	w, ok := r.View.View().Workload(namespace, name)
	ok = ok && !w.Deleted
	said := func(data events.Payload) []events.Payload { return []events.Payload{data} }
	var what []events.Payload
	var code command.Code
	message := ""
	if data, ok := c.Data.(instance.StopV1); ok {
		r.stopped(c, data)
		if err := d.Ack(); err != nil {
			r.t.Error(err)
		}
		return
	}
	switch data := c.Data.(type) {
	case workload.ApplyV1:
		revision := 1
		if ok {
			revision = w.Revision
		}
		switch {
		case data.IfRevision != nil && (ok && *data.IfRevision != w.Revision || !ok && *data.IfRevision != 0),
			data.IfSequence != 0 && (!ok || data.IfSequence != w.Changed.Sequence):
			code, message = command.CodeConflict, "the workload is not at that revision"
		case ok && w.Deleting:
			code, message = command.CodeConflict, "the workload is being deleted: wait until it is gone"
		case ok && same(w.Document, data.Workload):
		default:
			if ok && !same(w.Document.Spec.Containers, data.Workload.Spec.Containers) {
				revision++
			}
			what = said(workload.AppliedV1{Revision: revision, Workload: data.Workload})
		}
	case workload.RolloutV1:
		if !ok {
			code, message = command.CodeNotFound, "there is no workload "+name+" in namespace "+namespace
		} else {
			what, code, message = rolledOut(w, data)
		}
	case workload.ScaleV1:
		if data.IfSequence != 0 && ok && data.IfSequence != w.Changed.Sequence {
			code, message = command.CodeConflict, "the workload was changed since"
		} else if !ok {
			code, message = command.CodeNotFound, "there is no workload "+name+" in namespace "+namespace
		} else if w.Replicas() != data.Replicas {
			what = said(workload.ScaledV1{From: w.Replicas(), Replicas: data.Replicas})
		}
	case workload.DeleteV1:
		if data.IfSequence != 0 && ok && data.IfSequence != w.Changed.Sequence {
			code, message = command.CodeConflict, "the workload was changed since"
		} else if !ok {
			code, message = command.CodeNotFound, "there is no workload "+name+" in namespace "+namespace
		} else if !w.Deleting {
			what = said(workload.DeleteRequestedV1{})
		}
	}
	r.record(c, subject, what, code, message)
	if err := d.Ack(); err != nil {
		r.t.Error(err)
	}
	if r.AutoRun && code == "" {
		r.converge(namespace, name)
	}
}

// record writes the outcome of a command to the reconciler and what follows from it, as one decision.
func (r *Rig) record(c events.Command, subject events.Subject, what []events.Payload, code command.Code, message string) {
	r.recordOf(events.ServiceReconciler, c, subject, what, code, message)
}

func (r *Rig) recordOf(service string, c events.Command, subject events.Subject, what []events.Payload, code command.Code, message string) {
	now, batch := r.tick(), events.Batch{}
	event := func(id string, data events.Payload) events.Event {
		return events.Event{ID: id, Source: "/rutter/reconciler", Time: now, Actor: c.Actor, Causation: events.OutcomeID(c.ID), Correlation: c.ID, Data: data}
	}
	head := func(s events.Subject) uint64 {
		if last, err := r.Log.LastOf(context.Background(), s); err == nil {
			return last.Sequence
		}
		return 0
	}
	var ids []string
	if len(what) > 0 {
		write := events.Write{Subject: subject, Expect: head(subject)}
		for i, data := range what {
			id := events.DeriveID(c.ID, subject, i)
			ids, write.Events = append(ids, id), append(write.Events, event(id, data))
		}
		batch = append(batch, write)
	}
	outcome := events.CommandSubject(service)
	var end events.Payload = command.AcceptedV1{Command: command.RecordOf(c), Events: ids}
	if code != "" {
		end = command.RejectedV1{Command: command.RecordOf(c), Code: code, Message: message}
	}
	e := event(events.OutcomeID(c.ID), end)
	e.Causation = ""
	batch = append(batch, events.Write{Subject: outcome, Expect: head(outcome), Events: []events.Event{e}})
	sequence, err := r.Log.Append(context.Background(), batch)
	if err != nil {
		r.t.Errorf("decide %s: %v", c.ID, err)
		return
	}
	if _, err := r.View.WaitFor(r.ctx, sequence); err != nil && r.ctx.Err() == nil {
		r.t.Error(err)
	}
}

func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

// Images resolves every tag but those of the repository missing, and reaches every registry but down.example.
type Images struct{}

// Digest is what Images resolves to.
const Digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Resolve implements app.ImageResolver.
func (Images) Resolve(_ context.Context, ref spec.ImageRef) (spec.ImageRef, error) {
	switch {
	case strings.HasSuffix(ref.Repository, "missing"):
		return ref, fmt.Errorf("%w: registry %s has no image %s: check repository and tag", events.ErrNoImage, ref.Registry, ref)
	case ref.Registry == "down.example":
		return ref, fmt.Errorf("%w: registry %s cannot be reached to resolve image %s", events.ErrUnavailable, ref.Registry, ref)
	}
	ref.Digest = Digest
	return ref, nil
}

// Agents answers streams with the functions given.
type Agents struct {
	OnLogs  func(ctx context.Context, node string, r rpc.LogsRequest, emit func(rpc.LogLine) error) error
	OnExec  func(ctx context.Context, node string, r rpc.ExecRequest, s rpc.ExecStreams) (int, error)
	OnStats func(ctx context.Context, node string, r rpc.StatsRequest) ([]rpc.ContainerStats, error)
}

// Logs implements app.AgentCaller.
func (a *Agents) Logs(ctx context.Context, node string, r rpc.LogsRequest, emit func(rpc.LogLine) error) error {
	if a.OnLogs == nil {
		return unreachable(node)
	}
	return a.OnLogs(ctx, node, r, emit)
}

// Exec implements app.AgentCaller.
func (a *Agents) Exec(ctx context.Context, node string, r rpc.ExecRequest, s rpc.ExecStreams) (int, error) {
	if a.OnExec == nil {
		return 0, unreachable(node)
	}
	return a.OnExec(ctx, node, r, s)
}

// Stats implements app.AgentCaller.
func (a *Agents) Stats(ctx context.Context, node string, r rpc.StatsRequest) ([]rpc.ContainerStats, error) {
	if a.OnStats == nil {
		return nil, unreachable(node)
	}
	return a.OnStats(ctx, node, r)
}

func unreachable(node string) error {
	return fmt.Errorf("node %s cannot be reached: its agent is not connected: %w", node, events.ErrUnavailable)
}
