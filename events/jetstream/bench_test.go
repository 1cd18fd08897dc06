package jetstream_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/cloudevent"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/logtest"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/natsserver"
)

// life is what is said of one instance from its request to its readiness.
func life(i int) events.Batch {
	image, err := spec.ParseImage("registry.example.com/shop/web:1.27@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
	if err != nil {
		panic(err)
	}
	node := fmt.Sprintf("node-%d", i%1000)
	key := events.InstanceKey{Namespace: "default", Workload: fmt.Sprintf("web%d", i/100), Name: fmt.Sprintf("web%d-%d-1", i/100, i%100)}
	what := spec.InstanceSpec{
		Containers: []spec.Container{{
			Name: "main", Image: image, Args: []string{"--listen", ":8080"}, Env: []spec.EnvVar{{Name: "REGION", Value: "eu"}},
			Ports:           []spec.Port{{ContainerPort: 8080, Protocol: spec.TCP}},
			Resources:       spec.Requirements{Requests: spec.Resources{CPU: 250, Memory: 64 << 20}, Limits: spec.Resources{CPU: 500, Memory: 128 << 20}},
			SecurityContext: spec.SecurityContext{Seccomp: spec.SeccompDefault},
		}},
		RestartPolicy: spec.RestartAlways, GracePeriod: spec.DefaultGracePeriod, OnPartition: spec.PartitionKeep, Labels: map[string]string{"app": "web"},
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)
	event := func(subject events.Subject, n int, source string, data events.Payload) events.Event {
		return events.Event{
			ID: events.DeriveID(key.Name, subject, n), Type: data.WireType(), Source: source, Time: now, Actor: "user:ada",
			Correlation: events.DeriveID(key.Workload, "", 0), Causation: events.DeriveID(key.Name, "", 1), Data: data,
		}
	}
	requested, reported := events.InstanceSubject(key), events.ReportSubject(node, key)
	return events.Batch{
		{Subject: requested, Events: []events.Event{event(requested, 0, "/rutter/reconciler", instance.RequestedV1{Slot: i % 100, Attempt: 1, Revision: 1, Spec: what, Cause: instance.CauseApplied})}},
		{Subject: events.LedgerSubject(node), Expect: 1, Events: []events.Event{event(events.LedgerSubject(node), i, "/rutter/scheduler", ledger.AssignedV2{
			Instance: key, Generation: 1, Spec: what, Considered: 1000, Fitted: 900, Scores: []ledger.Score{{Node: node, Total: 90, Parts: map[string]int64{"binpack": 90}}},
		})}},
		{Subject: reported, Events: []events.Event{
			event(reported, 0, "/rutter/agentd/"+node, report.CreatedV1{Addresses: []string{"10.1.2.3"}}),
			event(reported, 1, "/rutter/agentd/"+node, report.StartedV1{Container: "main", Run: 1, ContainerID: key.Name + "-main-1", PID: 4711, At: now, Addresses: []string{"10.1.2.3"}}),
			event(reported, 2, "/rutter/agentd/"+node, report.HealthyV1{Container: "main", Run: 1}),
		}},
	}
}

// benchServer holds a log of so many events.
func benchServer(b *testing.B, n int) (*nats.Conn, uint64) {
	b.Helper()
	server, err := natsserver.Start(natsserver.Config{Dir: b.TempDir(), Port: natsserver.RandomPort, Log: quiet()})
	require.NoError(b, err)
	b.Cleanup(server.Stop)
	nc, err := natsconn.Connect(b.Context(), natsconn.Config{URLs: []string{server.URL()}, Log: quiet()})
	require.NoError(b, err)
	b.Cleanup(nc.Close)
	require.NoError(b, jetstream.Setup(b.Context(), nc, jetstream.StreamOptions{}))
	log := jetstream.Open(nc, catalog.New(), jetstream.Logger(quiet())).Log()
	var last uint64
	heads := map[events.Subject]uint64{}
	for i := 0; last < uint64(n); {
		var batch events.Batch
		at := map[events.Subject]int{}
		for ; batch.Len() < events.MaxBatch-5; i++ {
			for _, w := range life(i) {
				if j, ok := at[w.Subject]; ok {
					batch[j].Events = append(batch[j].Events, w.Events...)
					continue
				}
				w.Expect = heads[w.Subject]
				at[w.Subject] = len(batch)
				batch = append(batch, w)
			}
		}
		last, err = log.Append(b.Context(), batch)
		require.NoError(b, err)
		sequence := last - uint64(batch.Len())
		for _, w := range batch {
			sequence += uint64(len(w.Events))
			heads[w.Subject] = sequence
		}
	}
	return nc, last
}

const benchEvents = 200_000

// BenchmarkReplay compares the raw consumption of a log with its replay into events.
func BenchmarkReplay(b *testing.B) {
	nc, last := benchServer(b, benchEvents)
	rate := func(b *testing.B, run func()) {
		runtime.GC()
		b.ResetTimer()
		for range b.N {
			run()
		}
		b.ReportMetric(float64(last)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	}
	b.Run("raw", func(b *testing.B) { rate(b, func() { consume(b, nc, last) }) })
	stop := errors.New("stop")
	b.Run("follow", func(b *testing.B) {
		log := jetstream.Open(nc, catalog.New(), jetstream.Logger(quiet())).Log()
		rate(b, func() {
			require.ErrorIs(b, log.Follow(b.Context(), 0, func(_ events.Event, pending uint64) error {
				if pending == 0 {
					return stop
				}
				return nil
			}), stop)
		})
	})
}

// consume receives every message with the library's own ordered consumer and drops it.
func consume(b *testing.B, nc *nats.Conn, last uint64) {
	api, err := js.New(nc)
	require.NoError(b, err)
	consumer, err := api.OrderedConsumer(b.Context(), jetstream.StreamEvents, js.OrderedConsumerConfig{})
	require.NoError(b, err)
	done := make(chan struct{})
	n := uint64(0)
	consuming, err := consumer.Consume(func(js.Msg) {
		if n++; n == last {
			close(done)
		}
	}, js.PullMaxMessages(10000))
	require.NoError(b, err)
	defer consuming.Stop()
	<-done
}

// BenchmarkDecode is the cost of one message on one core, by payload.
func BenchmarkDecode(b *testing.B) {
	for _, w := range life(0) {
		for _, e := range w.Events {
			e.Subject = w.Subject
			header, data, err := cloudevent.EncodeEvent(e)
			require.NoError(b, err)
			decoder := cloudevent.NewDecoder(catalog.New())
			b.Run(e.Type, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					decoder.Event(string(e.Subject), header, data)
				}
			})
		}
	}
}

// BenchmarkAppend is the rate of writes by the size of their batches.
func BenchmarkAppend(b *testing.B) {
	nc, _ := benchServer(b, 0)
	log := jetstream.Open(nc, catalog.New(), jetstream.Logger(quiet())).Log()
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			for b.Loop() {
				subject := logtest.Subject()
				_, err := log.Append(b.Context(), events.Batch{{Subject: subject, Events: logtest.Facts(string(subject), size)}})
				require.NoError(b, err)
			}
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
