package fingerprint

import (
	"context"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/projections"
)

// Period is how often a process tells.
const Period = 10 * time.Second

// Teller tells the fingerprints of a projection. It hashes immutable views, so nobody waits for it.
type Teller struct {
	as   events.Fingerprint // all but the state
	to   events.Fingerprints
	view func() *projections.Cluster
	mark chan *projections.Cluster
}

// NewTeller makes a teller of the states that view gives.
func NewTeller(to events.Fingerprints, service, holder string, view func() *projections.Cluster) *Teller {
	return &Teller{
		as: events.Fingerprint{Service: service, Holder: holder, Version: projections.Version}, to: to, view: view, mark: make(chan *projections.Cluster, 1),
	}
}

// Mark takes in a state at a sequence at which every process looks, see [follow.Checkpoints]. It never waits: where the teller is busy it is left out.
func (t *Teller) Mark(view *projections.Cluster) {
	select {
	case t.mark <- view:
	default:
	}
}

// Run tells until ctx is done: every state that was marked, and once the present one when nothing happens any more, for then all processes are at the
// same.
func (t *Teller) Run(ctx context.Context) error {
	ticker := time.NewTicker(Period)
	defer ticker.Stop()
	var hasher projections.Hasher
	var told, seen uint64
	tell := func(view *projections.Cluster) error {
		f := t.as
		f.Sequence, f.Hash = view.Sequence(), hasher.Hash(view)
		told = f.Sequence
		return t.to.Tell(ctx, f)
	}
	for {
		var view *projections.Cluster
		select {
		case view = <-t.mark:
		case <-ticker.C:
			view = t.view()
			quiet := view.Sequence() == seen && view.Sequence() != told && seen > 0
			seen = view.Sequence()
			if !quiet {
				continue
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := tell(view); err != nil {
			return err
		}
	}
}
