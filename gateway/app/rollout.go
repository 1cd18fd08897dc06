package app

import (
	"context"
	"slices"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

// Rollout asks something of a workload's roll-out: to pause, go on, promote or abort it, to undo it, or to restart all instances.
func (a *App) Rollout(ctx context.Context, by Caller, namespace, name string, ask api.RolloutAction) (api.Result, error) {
	if !slices.Contains(workload.RolloutActions, ask.Action) {
		return api.Result{}, spec.Errors{{Field: "action", Value: string(ask.Action), Want: "pause, resume, promote, abort, undo or restart"}}
	}
	if ask.Revision != 0 && ask.Action != workload.ActionUndo {
		return api.Result{}, spec.Errors{{Field: "revision", Want: "nothing, or the action undo"}}
	}
	return a.change(ctx, by, namespace, name, workload.RolloutV1{Action: ask.Action, Revision: ask.Revision}, api.VerdictChanged)
}

// Revisions lists the revisions of a workload that one can go back to, oldest first.
func (a *App) Revisions(namespace, name string) (api.List[api.Revision], error) {
	view := a.View.View()
	w, ok := living(view, namespace, name)
	if !ok {
		return api.List[api.Revision]{}, notFound("there is no workload %s in namespace %s", name, namespace)
	}
	list := api.List[api.Revision]{Items: []api.Revision{}, Sequence: view.Sequence()}
	for _, r := range w.Revisions {
		revision := api.Revision{Number: r.Number, Present: r.Number == w.Revision, Good: r.Number == w.Good, Mark: markOf(r.Mark), Workload: r.Document}
		for i := range view.InstancesOf(namespace, name) {
			if i.Wished() && i.Revision == r.Number {
				revision.Instances++
			}
		}
		list.Items = append(list.Items, revision)
	}
	return list, nil
}

// rolloutOf says how far the last roll-out of a workload is; nil where there was none.
func rolloutOf(w *projections.Workload) *api.RolloutStatus {
	r := w.Rollout
	if r == nil {
		return nil
	}
	s := &api.RolloutStatus{
		Revision: r.Revision, From: r.From, Ready: r.Ready, State: api.RolloutProgressing, Message: r.Message, Started: markOf(r.Started), Progress: r.Progress,
	}
	switch {
	case r.Done:
		s.State = api.RolloutCompleted
	case r.Revision != w.Revision:
		s.State = api.RolloutAbandoned
	case r.Paused:
		s.State = api.RolloutPaused
	case r.Waits:
		s.State = api.RolloutWaiting
	}
	return s
}
