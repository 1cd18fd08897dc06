package reconciler

import (
	"fmt"
	"strings"

	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/internal/decider"
)

// rollout answers what is asked of the workload's roll-out.
func (d decision) rollout(data workload.RolloutV1) decider.Decision {
	switch {
	case d.old == nil:
		return d.notFound()
	case d.old.Deleting:
		return d.deleting()
	case isJob(d.old):
		return d.notOfJobs("rolled out: delete it and apply it again")
	}
	w, r := d.old, d.old.InRollout()
	none := decider.Reject(command.CodeConflict, "no roll-out of workload %s/%s is going on: revision %d is in force", d.namespace, d.name, w.Revision)
	switch data.Action {
	case workload.ActionRestart:
		return d.accept(workload.RestartedV1{Revision: d.revision + 1})
	case workload.ActionUndo:
		return d.undo(data.Revision)
	case workload.ActionPause:
		switch {
		case r == nil:
			return none
		case r.Paused:
			return decider.Accept()
		}
		return d.accept(workload.RolloutPausedV1{Revision: w.Revision, Message: d.by("paused")})
	case workload.ActionResume:
		switch {
		case r == nil:
			return none
		case !r.Paused:
			return decider.Accept()
		}
		return d.accept(workload.RolloutResumedV1{Revision: w.Revision})
	case workload.ActionPromote:
		switch {
		case r == nil:
			return none
		case r.Promoted:
			return decider.Accept()
		case !r.Waits:
			return decider.Reject(command.CodeConflict, "revision %d of workload %s/%s does not wait to be promoted: it is no canary, or not whole yet", w.Revision, d.namespace, d.name)
		}
		return d.accept(workload.RolloutPromotedV1{Revision: w.Revision})
	case workload.ActionAbort:
		if r == nil {
			return none
		}
		to := r.From
		if _, ok := w.Remembered(w.Good); ok && w.Good != w.Revision {
			to = w.Good
		}
		return d.back(to, d.by("aborted"))
	}
	return decider.Reject(command.CodeInvalid, "action: %q: want one of %v", data.Action, workload.RolloutActions)
}

// undo goes back to a revision by number, or to the last one that was whole before the present one.
func (d decision) undo(to int) decider.Decision {
	w := d.old
	switch {
	case to < 0:
		return decider.Reject(command.CodeInvalid, "revision: %d: want the number of a revision, or 0 for the one before", to)
	case to == w.Revision:
		return decider.Accept()
	case to == 0 && w.Good != 0 && w.Good != w.Revision:
		to = w.Good
	case to == 0 && w.Rollout != nil && w.Rollout.Revision == w.Revision:
		to = w.Rollout.From
	case to == 0:
		return decider.Reject(command.CodeConflict, "workload %s/%s has no revision before %d", d.namespace, d.name, w.Revision)
	}
	return d.back(to, d.by("undone"))
}

func (d decision) back(to int, message string) decider.Decision {
	w := d.old
	old, ok := w.Remembered(to)
	if !ok {
		var known []string
		for _, r := range w.Revisions {
			known = append(known, fmt.Sprint(r.Number))
		}
		return decider.Reject(command.CodeNotFound, "workload %s/%s remembers no revision %d; want one of %s", d.namespace, d.name, to, strings.Join(known, ", "))
	}
	return d.accept(workload.RolledBackV1{From: w.Revision, Revision: to, Workload: withReplicas(old.Document, w.Document.Spec.Replicas), Message: message})
}

// by says who did something, and why.
func (d decision) by(done string) string {
	message := done
	if d.command.Actor != "" {
		message += " by " + d.command.Actor
	}
	if d.command.Reason != "" {
		message += ": " + d.command.Reason
	}
	return message
}
