package auditor

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// meters are the auditor's figures.
type meters struct {
	signed prometheus.Gauge
	alarm  prometheus.Gauge
}

func newMeters(registerer prometheus.Registerer) (*meters, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "rutter", Subsystem: "auditor", Name: name, Help: help})
	}
	m := &meters{
		signed: gauge("signed_sequence", "Last event that the newest signed checkpoint covers."),
		alarm:  gauge("alarm", "1 while nothing is signed because the log is not what was signed before."),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.signed, m.alarm} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the auditor: %w", err)
		}
	}
	return m, nil
}

func (m *meters) signedUpTo(size int64) { m.signed.Set(float64(size)) }

func (m *meters) alarmed(on bool) {
	m.alarm.Set(0)
	if on {
		m.alarm.Set(1)
	}
}
