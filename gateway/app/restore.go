package app

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

// notRestored is what no event can bring back. Whoever restores is told before and after.
var notRestored = []string{
	"what containers wrote to their own file systems and to volumes on nodes",
	"effects outside the cluster: messages sent, rows written, money spent",
	"the instances of that time: new ones are requested, under new names and with new addresses",
}

// Restore wishes again for what was wished for at a moment. Nothing is rewritten: each workload that differs gets a command of its own,
// whose outcome is a new event. It goes on where one of them fails and says so in its step.
func (a *App) Restore(ctx context.Context, by Caller, r api.Restore) (api.Restored, error) {
	if len(r.Workloads) > 0 && r.Namespace == "" {
		return api.Restored{}, spec.Errors{{Field: "namespace", Want: "the namespace of the workloads"}}
	}
	if r.At == "" {
		return api.Restored{}, spec.Errors{{Field: "at", Want: "the moment to restore: a sequence, an RFC 3339 time, or how long ago (-15m)"}}
	}
	then, err := a.At(ctx, r.At)
	if err != nil {
		return api.Restored{}, fmt.Errorf("at: %w", err)
	}
	steps := restoreSteps(then.view, a.Now().view, func(namespace, name string) bool {
		return (r.Namespace == "" || namespace == r.Namespace) && (len(r.Workloads) == 0 || slices.Contains(r.Workloads, name))
	}, r.Prune)
	for _, name := range r.Workloads {
		if _, lived := living(then.view, r.Namespace, name); lived {
			continue
		}
		if _, lives := living(a.Now().view, r.Namespace, name); !lives {
			return api.Restored{}, notFound("there was no workload %s in namespace %s at sequence %d, and there is none now", name, r.Namespace, then.Sequence())
		}
	}
	why := fmt.Sprintf("restore of sequence %d (%s)", then.Sequence(), then.view.Time().UTC().Format(time.RFC3339))
	return a.restore(ctx, by, then, steps, why, r.DryRun)
}

// Undo brings the workload that one operation changed back to what it was before. Where somebody has changed it since it is refused,
// unless force is given.
func (a *App) Undo(ctx context.Context, by Caller, id string, u api.Undo) (api.Restored, error) {
	now := a.Now()
	o, ok := now.view.Outcome(id)
	switch {
	case !ok:
		_, err := now.Operation(id) // tells pending and unknown apart
		return api.Restored{}, cmp.Or(err, refuse(events.ErrConflict, "operation %s is not decided yet", id))
	case !o.Accepted:
		return api.Restored{}, refuse(events.ErrConflict, "operation %s was rejected: there is nothing to undo", id)
	case len(o.Events) == 0:
		return api.Restored{}, refuse(events.ErrConflict, "operation %s changed nothing: there is nothing to undo", id)
	case events.Subject(o.Command.Subject).Aggregate() != events.AggregateWorkload:
		return api.Restored{}, refuse(events.ErrConflict, "operation %s is about %s: only changes of workloads can be undone", id, subjectText(o.Command.Subject))
	}
	namespace, name := events.Subject(o.Command.Subject).Workload()
	first, last, err := a.extentOf(ctx, o)
	if err != nil {
		return api.Restored{}, fmt.Errorf("undo %s: %w", id, err)
	}
	// What followed from the operation itself, such as the end of a deletion, is of its own chain.
	if w, ok := now.view.Workload(namespace, name); ok && !u.Force && w.Changed.Sequence > last && w.Changed.Correlation != o.Mark.Correlation {
		return api.Restored{}, refuse(events.ErrConflict, "workload %s in namespace %s was changed again at sequence %d, after operation %s: look at `rutter history`, and force the undo where that may be lost",
			name, namespace, w.Changed.Sequence, id)
	}
	then := Reading{app: a, view: projections.Empty(), past: true}
	if first > 1 {
		view, err := a.Past.At(ctx, first-1)
		if err != nil {
			return api.Restored{}, fmt.Errorf("undo %s: %w", id, err)
		}
		then.view = view
	}
	steps := restoreSteps(then.view, now.view, func(ns, n string) bool { return ns == namespace && n == name }, true)
	return a.restore(ctx, by, then, steps, "undo of operation "+id, u.DryRun)
}

// extentOf is the sequences of the first and the last event that the command of an outcome brought about.
func (a *App) extentOf(ctx context.Context, o *projections.Outcome) (first, last uint64, err error) {
	if err := a.trailAtEnd(ctx); err != nil {
		return 0, 0, err
	}
	err = a.fetch(ctx, a.trail.withID(o.Events...), func(e events.Event) error {
		if slices.Contains(o.Events, e.ID) {
			last = e.Sequence
			if first == 0 {
				first = e.Sequence
			}
		}
		return nil
	})
	if err == nil && first == 0 {
		err = notFound("the log does not have the events of the operation any more")
	}
	return first, last, err
}

func subjectText(subject string) string {
	return strings.ReplaceAll(strings.TrimPrefix(subject, events.CommandPrefix), ".", "/")
}

// restoreSteps is what has to be done for the workloads chosen to be wished for as they were then. It is pure.
func restoreSteps(then, now *projections.Cluster, chosen func(namespace, name string) bool, prune bool) []restoreStep {
	steps := []restoreStep{}
	key := func(w *projections.Workload) string { return w.Namespace + "/" + w.Name }
	merge(lives(then), lives(now), key, func(x, y *projections.Workload) {
		w := cmp.Or(x, y)
		if !chosen(w.Namespace, w.Name) {
			return
		}
		step := restoreStep{RestoreStep: api.RestoreStep{Namespace: w.Namespace, Name: w.Name, Action: api.RestoreApply}}
		switch {
		case y == nil:
			step.Words = "apply again, " + count(x.Replicas(), "replica", "replicas")
			step.document, step.seen = x.Document, absent()
		case x == nil && prune:
			step.Action, step.Words = api.RestoreDelete, "delete: it did not exist then"
			step.seen = workload.Condition{IfSequence: y.Changed.Sequence}
		case x == nil:
			step.Action, step.Words = api.RestoreKeep, "left alone: it did not exist then (prune deletes it)"
		default:
			step.Changes = changesBetween(y.Document, x.Document)
			if len(step.Changes) == 0 && !y.Deleting {
				return
			}
			step.Words, step.document, step.seen = changeWords(y, step.Changes), x.Document, workload.Condition{IfSequence: y.Changed.Sequence}
			if y.Deleting {
				step.Words, step.seen = "apply again once its deletion is over", absent()
			}
		}
		steps = append(steps, step)
	})
	return steps
}

// restoreStep is a step with what it needs.
type restoreStep struct {
	api.RestoreStep
	document spec.Workload
	seen     workload.Condition // what the step was worked out on: what has changed since is not overwritten unseen
}

// absent is the condition that there is no such workload.
func absent() workload.Condition {
	none := 0
	return workload.Condition{IfRevision: &none}
}

// lives goes through the workloads that are wished for: those that are being deleted are, for a restore now, still there.
func lives(view *projections.Cluster) iter.Seq[*projections.Workload] {
	return func(yield func(*projections.Workload) bool) {
		for w := range view.Workloads() {
			if !w.Deleted && !yield(w) {
				return
			}
		}
	}
}

func changeWords(now *projections.Workload, changes []api.Change) string {
	var words []string
	for _, c := range changes {
		if c.Field == "spec.replicas" {
			words = append(words, fmt.Sprintf("scale from %s to %s", c.From, c.To))
		}
	}
	if fields := changedFields(changes); len(fields) > 0 {
		words = append(words, fmt.Sprintf("change %s back, from revision %d", strings.Join(fields, ", "), now.Revision))
	}
	return strings.Join(words, "; ")
}

// deletionPatience is how long a restore waits for a workload's deletion to be over before it applies it again.
const deletionPatience = 90 * time.Second

func (a *App) restore(ctx context.Context, by Caller, then Reading, steps []restoreStep, why string, dryRun bool) (api.Restored, error) {
	done := api.Restored{At: then.Moment(), DryRun: dryRun, Steps: []api.RestoreStep{}, NotRestored: notRestored}
	if by.Reason != "" {
		why += ": " + by.Reason
	}
	key := by.IdempotencyKey
	for _, step := range steps {
		if dryRun && step.Action != api.RestoreKeep {
			asked := by
			asked.Reason = why
			if err := a.recordDryRun(ctx, asked, events.WorkloadCommand(step.Namespace, step.Name), step.command(), "would "+step.Words); err != nil {
				return api.Restored{}, err
			}
		}
		if !dryRun && step.Action != api.RestoreKeep {
			by.Reason = why
			if key != "" {
				by.IdempotencyKey = fmt.Sprintf("%s:%s:%s", key, step.Namespace, step.Name)
			}
			op, err := a.carryOut(ctx, by, step)
			if err != nil {
				step.Error = err.Error()
			} else {
				step.Operation = &op
			}
		}
		done.Steps = append(done.Steps, step.RestoreStep)
	}
	return done, ctx.Err()
}

// command is what the step asks for.
func (s restoreStep) command() events.Payload {
	if s.Action == api.RestoreDelete {
		return workload.DeleteV1{Condition: s.seen}
	}
	return workload.ApplyV1{Workload: s.document, Condition: s.seen}
}

func (a *App) carryOut(ctx context.Context, by Caller, step restoreStep) (api.Operation, error) {
	if w, ok := a.View.View().Workload(step.Namespace, step.Name); ok && w.Deleting && !w.Deleted && step.Action == api.RestoreApply {
		if err := a.awaitDeletion(ctx, step.Namespace, step.Name); err != nil {
			return api.Operation{}, err
		}
	}
	op, _, err := a.decide(ctx, by, events.WorkloadCommand(step.Namespace, step.Name), step.command())
	return op, err
}

// awaitDeletion waits until the workload is gone.
func (a *App) awaitDeletion(ctx context.Context, namespace, name string) error {
	waiting, cancel := context.WithTimeout(ctx, deletionPatience)
	defer cancel()
	for {
		changed := a.View.Changed()
		if _, lives := living(a.View.View(), namespace, name); !lives {
			return nil
		}
		select {
		case <-changed:
		case <-waiting.Done():
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &NotReadyError{What: fmt.Sprintf("workload %s in namespace %s is still being deleted", name, namespace)}
		}
	}
}
