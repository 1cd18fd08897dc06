package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

// Condition refuses a change where the workload has moved on since the caller looked. The command carries it and the reconciler
// decides on it, so that of two who saw the same one wins. Nil refuses nothing.
type Condition = workload.Condition

func conditionOf(only *Condition) Condition {
	if only == nil {
		return Condition{}
	}
	return *only
}

// Apply sets a wished state: it resolves the images, sends the command and waits for its outcome. The document is defaulted and valid, as
// [spec.ParseWorkload] gives it.
func (a *App) Apply(ctx context.Context, by Caller, w spec.Workload, only *Condition) (api.Result, error) {
	w, err := a.prepared(ctx, w)
	if err != nil {
		return api.Result{}, err
	}
	before, existed := living(a.View.View(), w.Metadata.Namespace, w.Metadata.Name)
	op, view, err := a.decide(ctx, by, events.WorkloadCommand(w.Metadata.Namespace, w.Metadata.Name), workload.ApplyV1{Workload: w, Condition: conditionOf(only)})
	if err != nil {
		return api.Result{}, err
	}
	result := api.Result{Operation: &op, Verdict: verdictOf(op, api.VerdictChanged)}
	now, ok := living(view, w.Metadata.Namespace, w.Metadata.Name)
	if ok {
		document := workloadOf(view, now)
		result.Workload = &document
	}
	switch {
	case result.Verdict != api.VerdictChanged:
	case !existed || (ok && now.Created.Equal(op.Decided)):
		result.Verdict = api.VerdictCreated
	default:
		result.Changes = changesBetween(before.Document, w)
	}
	return result, nil
}

// DryRun says what an apply would do, and sends no command. That it was asked stands in the log; where it cannot be put down there is no answer.
func (a *App) DryRun(ctx context.Context, by Caller, w spec.Workload, only *Condition) (api.Result, error) {
	w, err := a.prepared(ctx, w)
	if err != nil {
		return api.Result{}, err
	}
	result, err := a.dryRun(w, only)
	answer := string(result.Verdict)
	if err != nil {
		answer = "refused: " + err.Error()
	}
	record := workload.ApplyV1{Workload: w, Condition: conditionOf(only)}
	if recordErr := a.recordDryRun(ctx, by, events.WorkloadCommand(w.Metadata.Namespace, w.Metadata.Name), record, answer); recordErr != nil {
		return api.Result{}, recordErr
	}
	return result, err
}

func (a *App) dryRun(w spec.Workload, only *Condition) (api.Result, error) {
	view := a.View.View()
	before, existed := living(view, w.Metadata.Namespace, w.Metadata.Name)
	revision, sequence := 0, uint64(0)
	if existed {
		revision, sequence = before.Revision, before.Changed.Sequence
	}
	condition := conditionOf(only)
	if condition.IfRevision != nil && *condition.IfRevision != revision {
		return api.Result{}, refuse(events.ErrConflict, "workload %s is at revision %d, not %d: read it again and decide anew",
			w.Metadata.Name, revision, *condition.IfRevision)
	}
	if condition.IfSequence != 0 && condition.IfSequence != sequence {
		return api.Result{}, refuse(events.ErrConflict, "workload %s was last changed by event %d, not %d: read it again and decide anew",
			w.Metadata.Name, sequence, condition.IfSequence)
	}
	result := api.Result{DryRun: true, Verdict: api.VerdictCreated}
	document := api.Workload{APIVersion: w.APIVersion, Kind: w.Kind, Metadata: w.Metadata, Spec: w.Spec}
	if existed {
		if before.Deleting {
			return api.Result{}, refuse(events.ErrConflict, "workload %s is being deleted: wait until it is gone", w.Metadata.Name)
		}
		document.Status = statusOf(view, before)
		result.Verdict, result.Changes = api.VerdictChanged, changesBetween(before.Document, w)
		if len(result.Changes) == 0 {
			result.Verdict = api.VerdictUnchanged
		}
	}
	result.Workload = &document
	return result, nil
}

// Scale sets the number of replicas.
func (a *App) Scale(ctx context.Context, by Caller, namespace, name string, replicas int, only *Condition) (api.Result, error) {
	if err := spec.ValidateReplicas("replicas", replicas).Err(); err != nil {
		return api.Result{}, err
	}
	return a.change(ctx, by, namespace, name, workload.ScaleV1{Replicas: replicas, Condition: conditionOf(only)}, api.VerdictChanged)
}

// Delete asks for the workload to go; its instances stop first.
func (a *App) Delete(ctx context.Context, by Caller, namespace, name string, only *Condition) (api.Result, error) {
	return a.change(ctx, by, namespace, name, workload.DeleteV1{Condition: conditionOf(only)}, api.VerdictDeleting)
}

func (a *App) change(ctx context.Context, by Caller, namespace, name string, data events.Payload, done api.Verdict) (api.Result, error) {
	if err := errors.Join(spec.ValidateName("namespace", namespace).Err(), spec.ValidateName("name", name).Err()); err != nil {
		return api.Result{}, err
	}
	op, view, err := a.decide(ctx, by, events.WorkloadCommand(namespace, name), data)
	if err != nil {
		return api.Result{}, err
	}
	result := api.Result{Operation: &op, Verdict: verdictOf(op, done)}
	if now, ok := living(view, namespace, name); ok {
		document := workloadOf(view, now)
		result.Workload = &document
	}
	return result, nil
}

// verdictOf is the verdict of an operation that was not rejected; done is what it is where something came of it.
func verdictOf(op api.Operation, done api.Verdict) api.Verdict {
	switch {
	case op.State == api.OperationPending:
		return api.VerdictPending
	case len(op.Events) == 0:
		return api.VerdictUnchanged
	}
	return done
}

func living(view *projections.Cluster, namespace, name string) (*projections.Workload, bool) {
	w, ok := view.Workload(namespace, name)
	if !ok || w.Deleted {
		return nil, false
	}
	return w, true
}

// prepared validates the document and pins its images by digest. Every image that cannot be is in the error, by its field.
func (a *App) prepared(ctx context.Context, w spec.Workload) (spec.Workload, error) {
	w.Default()
	if err := w.Validate(); err != nil {
		return w, err
	}
	w.Spec.Containers = slices.Clone(w.Spec.Containers)
	faults := make([]error, len(w.Spec.Containers))
	var group errgroup.Group
	for i := range w.Spec.Containers {
		group.Go(func() error {
			image := &w.Spec.Containers[i].Image
			if image.Digest != "" {
				return nil
			}
			pinned, err := a.Images.Resolve(ctx, *image)
			if err != nil {
				faults[i] = fmt.Errorf("spec.containers[%d].image: %w", i, err)
				return nil
			}
			*image = pinned
			return nil
		})
	}
	_ = group.Wait() // the faults are all collected
	return w, errors.Join(faults...)
}
