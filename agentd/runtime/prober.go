package runtime

import "context"

// Prober is a runtime that answers probes itself, as one does whose containers nobody can reach.
type Prober interface {
	// Probe is what the container answers to its startup, liveness or readiness probe.
	Probe(ctx context.Context, id, kind string) (good bool, message string)
}
