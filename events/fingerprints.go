package events

import "context"

// Fingerprint is what a process's fold of the log has come to: two of one version, log and sequence have one hash, or one of the two processes is
// wrong.
type Fingerprint struct {
	Service  string `json:"service"`
	Holder   string `json:"holder"`  // who the process is among those of the service
	Version  int    `json:"version"` // of the projection
	Sequence uint64 `json:"sequence"`
	Hash     string `json:"hash"`
}

// Fingerprints carries what processes tell each other of their folds. It is never part of the log, and a fingerprint may be lost.
type Fingerprints interface {
	// Tell sends a fingerprint to whoever hears.
	Tell(ctx context.Context, f Fingerprint) error
	// Hear calls handle for each one from now on until ctx is done, then returns its error.
	Hear(ctx context.Context, handle func(Fingerprint)) error
}
