package app

import (
	"context"

	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
	"github.com/rutter-run/rutter/projections/past"
)

// Reading answers questions about the cluster at one moment. All its answers are of the same state.
type Reading struct {
	app  *App
	view *projections.Cluster
	past bool // a moment was asked for; what has no past, such as commands that nobody has decided yet, is left out
}

// Now reads the newest state.
func (a *App) Now() Reading { return Reading{app: a, view: a.View.View()} }

// At reads the state at a moment: a sequence, a time (RFC 3339), or how long ago (-15m). It fails with an [events.ErrInvalid] that says
// where the log begins and ends where the moment lies outside of it.
func (a *App) At(ctx context.Context, moment string) (Reading, error) {
	sequence, err := a.sequenceOf(ctx, moment)
	if err != nil {
		return Reading{}, err
	}
	view, err := a.Past.At(ctx, sequence)
	if err != nil {
		return Reading{}, err
	}
	return Reading{app: a, view: view, past: true}, nil
}

// sequenceOf is the last event that had happened at a moment.
func (a *App) sequenceOf(ctx context.Context, text string) (uint64, error) {
	moment, err := past.ParseMoment(text, a.Clock())
	if err != nil {
		return 0, err
	}
	return a.Past.Resolve(ctx, moment)
}

// Moment says where a reading stands in the log.
func (r Reading) Moment() api.Moment {
	return api.Moment{Sequence: r.view.Sequence(), Time: r.view.Time()}
}

// Sequence is the last event that the reading includes.
func (r Reading) Sequence() uint64 { return r.view.Sequence() }
