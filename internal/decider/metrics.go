package decider

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// meters are the figures of one loop.
type meters struct {
	plans     prometheus.Counter
	conflicts prometheus.Counter
	failures  prometheus.Counter
	commands  prometheus.Counter
	planTime  prometheus.Histogram
	batch     prometheus.Histogram
	leading   prometheus.Gauge
	sequence  prometheus.Gauge
	notes     prometheus.Gauge
}

// newMeters makes the figures and registers them, each labelled with the service, so that several services can share a process.
func newMeters(service string, registerer prometheus.Registerer) (*meters, error) {
	labels := prometheus.Labels{"service": service}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "rutter", Subsystem: "decider", Name: name, Help: help, ConstLabels: labels})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "rutter", Subsystem: "decider", Name: name, Help: help, ConstLabels: labels})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "rutter", Subsystem: "decider", Name: name, Help: help, ConstLabels: labels, Buckets: buckets,
		})
	}
	m := &meters{
		plans:     counter("plans_total", "Plans made, empty ones included."),
		conflicts: counter("conflicts_total", "Batches refused because the log had moved on."),
		failures:  counter("append_failures_total", "Batches that could not be appended for another reason than a conflict."),
		commands:  counter("commands_total", "Commands whose outcome is in the log and which were acknowledged."),
		planTime:  histogram("plan_seconds", "Time that making one plan took.", prometheus.ExponentialBuckets(0.0001, 4, 8)),
		batch:     histogram("batch_events", "Events in one committed batch.", []float64{1, 2, 5, 10, 50, 100, 500, 1000}),
		leading:   gauge("leading", "1 while this process decides."),
		sequence:  gauge("sequence", "Last event of the log that the last plan was made on."),
		notes:     gauge("held_back", "Things that the last plan did not do, for a reason that it gave."),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.plans, m.conflicts, m.failures, m.commands, m.planTime, m.batch, m.leading, m.sequence, m.notes} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of %s: %w", service, err)
		}
	}
	return m, nil
}

func (m *meters) planned(p Plan, sequence uint64, took time.Duration) {
	m.plans.Inc()
	m.planTime.Observe(took.Seconds())
	m.sequence.Set(float64(sequence))
	m.notes.Set(float64(len(p.Notes)))
}
