package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/services/reconciler"
)

// server is an embedded log server on loopback, fsynced as in production.
type server struct {
	inner *natsserver.Server
	nc    *nats.Conn
	log   *jetstream.Client
	quiet *logrus.Entry
}

func (b *bench) serve() (*server, error) {
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	entry := logrus.NewEntry(quiet)
	inner, err := natsserver.Start(natsserver.Config{Dir: b.dir, Name: "bench", Port: natsserver.RandomPort, Log: entry})
	if err != nil {
		return nil, err
	}
	nc, err := natsconn.Connect(b.ctx, natsconn.Config{URLs: []string{inner.URL()}, Name: "bench", Log: entry})
	if err != nil {
		return nil, err
	}
	if err := jetstream.Setup(b.ctx, nc, jetstream.StreamOptions{}); err != nil {
		return nil, err
	}
	return &server{inner: inner, nc: nc, log: jetstream.Open(nc, catalog.New(), jetstream.Logger(entry)), quiet: entry}, nil
}

func (s *server) stop() {
	s.nc.Close()
	s.inner.Stop()
}

const (
	commandsSent = 400 // of ten replicas each: 12 events a command
	foldedEvents = 200_000
)

// appends measures how fast a reconciler under load brings its decisions to the log, against raw atomic batches of the same size.
func (b *bench) appends() error {
	s, err := b.serve()
	if err != nil {
		return err
	}
	defer s.stop()
	for i := range commandsSent {
		w := document(fmt.Sprintf("load-%d", i), 10)
		err := s.log.Commands().Send(b.ctx, events.Command{
			ID: w.Metadata.Name, Type: workload.ApplyV1{}.WireType(), Subject: events.WorkloadCommand(spec.DefaultNamespace, w.Metadata.Name),
			Actor: "user:bench", Time: time.Now(), Data: workload.ApplyV1{Workload: w},
		})
		if err != nil {
			return err
		}
	}
	r, err := reconciler.New(reconciler.Config{Log: s.log.Log(), Commands: s.log.Commands(), Holder: "bench", Logger: s.quiet})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	var running errgroup.Group
	begin := time.Now()
	running.Go(func() error { return r.Run(ctx) })
	const want = commandsSent * 12
	var took time.Duration
	var last, batches uint64
	err = s.log.Log().Follow(ctx, 1, func(e events.Event, _ uint64) error {
		if e.Sequence == want {
			took = time.Since(begin)
			return io.EOF
		}
		return nil
	})
	if !errors.Is(err, io.EOF) {
		return err
	}
	cancel()
	if err := running.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if last, err = s.log.Log().Last(b.ctx); err != nil {
		return err
	}
	// The reconciler fills its batches up to the limit while the one before is in flight: the floor is the log's own batches of that size.
	const size = 996
	floor, err := s.rawBatches(b.ctx, want, size)
	if err != nil {
		return err
	}
	batches = (last + size - 1) / size
	rate := float64(last) / took.Seconds()
	figure{
		Figure: "events appended by a reconciler under load", Value: rate, Unit: "events/s", Floor: floor, What: "raw atomic batches of up to 996 of the same events",
		Note: fmt.Sprintf("%d commands, %d events, at least %d batches", commandsSent, last, batches),
	}.print()
	return nil
}

// rawBatches appends already decided events as fast as the log takes them.
func (s *server) rawBatches(ctx context.Context, total, size int) (float64, error) {
	var batches []events.Batch
	for n := 0; n < total; {
		var batch events.Batch
		for ; batch.Len() < size && n < total; n++ {
			key := events.InstanceKey{Namespace: "raw", Workload: "raw", Name: fmt.Sprintf("raw-%d", n)}
			batch = append(batch, events.Write{Subject: events.InstanceSubject(key), Events: []events.Event{requested(key, 0)}})
		}
		batches = append(batches, batch)
	}
	begin := time.Now()
	for _, batch := range batches {
		if _, err := s.log.Log().Append(ctx, batch); err != nil {
			return 0, err
		}
	}
	return float64(total) / time.Since(begin).Seconds(), nil
}

func document(name string, replicas int) spec.Workload {
	w := spec.Workload{APIVersion: spec.APIVersion, Kind: spec.KindWorkload, Metadata: spec.Metadata{Name: name}, Spec: spec.WorkloadSpec{
		Replicas: &replicas, Containers: []spec.Container{{
			Name: "web", Image: spec.ImageRef{Registry: "registry.example.com", Repository: "team/web", Tag: "1", Digest: "sha256:64b549412d96a13889c97c19e40a45c128e07ecd9e17ad66f1280bd21e4777e6"},
			Env: []spec.EnvVar{{Name: "MODE", Value: "production"}}, Ports: []spec.Port{{ContainerPort: 8080}},
			Resources: spec.Requirements{Requests: spec.Resources{CPU: 100, Memory: 64 << 20}, Limits: spec.Resources{Memory: 128 << 20}},
		}},
	}}
	w.Default()
	return w
}

func event(subject events.Subject, n int, p events.Payload) events.Event {
	cause := events.DeriveID("cause", subject, n)
	return events.Event{
		ID: events.DeriveID("bench", subject, n), Type: p.WireType(), Source: "/rutter/bench", Subject: subject, Time: time.Now(),
		Correlation: cause, Causation: cause, Actor: "user:bench", Data: p,
	}
}

func requested(key events.InstanceKey, slot int) events.Event {
	return event(events.InstanceSubject(key), 0, instance.RequestedV1{Slot: slot, Attempt: 1, Revision: 1, Spec: document(key.Workload, 1).Instance(), Cause: instance.CauseApplied})
}

// folds measures how fast a process rebuilds the state from the log, against consuming the same messages and throwing them away.
func (b *bench) folds() error {
	s, err := b.serve()
	if err != nil {
		return err
	}
	defer s.stop()
	total, bytes, err := s.fill(b.ctx)
	if err != nil {
		return err
	}
	var raw, fold []time.Duration
	for range 3 {
		begin := time.Now()
		if err := s.consume(b.ctx, total); err != nil {
			return err
		}
		raw = append(raw, time.Since(begin))
		begin = time.Now()
		state := projections.NewState()
		err := s.log.Log().Follow(b.ctx, 1, func(e events.Event, _ uint64) error {
			state.Apply(e)
			if e.Sequence == total {
				return io.EOF
			}
			return nil
		})
		if !errors.Is(err, io.EOF) {
			return err
		}
		fold = append(fold, time.Since(begin))
	}
	rate := func(d time.Duration) float64 { return float64(total) / d.Seconds() }
	figure{
		Figure: "events folded", Value: rate(median(fold)), Unit: "events/s", Floor: rate(median(raw)), What: "an ordered consumer that throws the same messages away", Aim: "ratio ≥ 0.5",
		Note: fmt.Sprintf("%d events of %d bytes on average", total, bytes/int(total)),
	}.print()
	return nil
}

// fill writes the life of many instances: requested, assigned, created, started.
func (s *server) fill(ctx context.Context) (total uint64, bytes int, err error) {
	for n := 0; total < foldedEvents; n++ {
		name := fmt.Sprintf("load-%d", n)
		w := document(name, 10)
		var batch events.Batch
		add := func(e events.Event) {
			batch = append(batch, events.Write{Subject: e.Subject, Events: []events.Event{e}})
		}
		add(event(events.WorkloadSubject(spec.DefaultNamespace, name), 0, workload.AppliedV1{Revision: 1, Workload: w}))
		for slot := range 10 {
			key := events.InstanceKey{Namespace: spec.DefaultNamespace, Workload: name, Name: events.InstanceName(name, slot, 1)}
			node := fmt.Sprintf("node-%d-%d", n%1000, n/1000*10+slot) // a ledger of its own: nothing to expect
			add(requested(key, slot))
			add(event(events.LedgerSubject(node), 0, ledger.AssignedV2{Instance: key, Generation: 1, Spec: w.Instance(), Considered: 100, Fitted: 90}))
			reports := events.ReportSubject(node, key)
			batch = append(batch, events.Write{Subject: reports, Events: []events.Event{
				event(reports, 0, report.CreatedV1{Addresses: []string{"10.88.1.2"}}),
				event(reports, 1, report.StartedV1{Container: "web", Run: 1, ContainerID: "default." + key.Name + ".web.1", PID: 4711, At: time.Now(), Addresses: []string{"10.88.1.2"}}),
			}})
		}
		if total, err = s.log.Log().Append(ctx, batch); err != nil {
			return 0, 0, err
		}
	}
	stream, err := js.New(s.nc)
	if err != nil {
		return 0, 0, err
	}
	info, err := stream.Stream(ctx, jetstream.StreamEvents)
	if err != nil {
		return 0, 0, err
	}
	return total, int(info.CachedInfo().State.Bytes), nil
}

// consume reads every message and looks at none.
func (s *server) consume(ctx context.Context, total uint64) error {
	stream, err := js.New(s.nc)
	if err != nil {
		return err
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.StreamEvents, js.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	done := make(chan struct{})
	seen := uint64(0)
	consuming, err := consumer.Consume(func(js.Msg) {
		if seen++; seen == total {
			close(done)
		}
	}, js.PullMaxMessages(10_000))
	if err != nil {
		return err
	}
	defer consuming.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
