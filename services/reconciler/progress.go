package reconciler

import (
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections"
)

// kindAdvanced is the first of the kinds of Advanced: one for each number of slots that were ready.
const kindAdvanced = 1000

// stepsTold is into how many steps at most the progress of a roll-out is told.
const stepsTold = 20

// begin finds the roll-out that is going on, and says so where one begins.
func (p *pass) begin() {
	w := p.workload
	p.roll = w.InRollout()
	if p.roll != nil || w.Deleting || w.Deleted || isJob(w) {
		return
	}
	from, good := 0, w.Good
	if w.Rollout != nil {
		if w.Rollout.Revision == w.Revision {
			return // it is over
		}
		from = w.Rollout.Revision
	} else {
		for _, s := range p.slots {
			if i := s.holder(); living(i) && i.Revision != w.Revision && i.Revision >= from {
				from = i.Revision
				if ready(i) {
					good = from
				}
			}
		}
		if from == 0 {
			return // nothing of another revision is there
		}
	}
	kind := spec.Rolling
	if w.Document.Spec.Strategy != nil {
		kind = w.Document.Spec.Strategy.Type
	}
	p.roll = &projections.Rollout{Revision: w.Revision, From: from, Progress: p.author.Now}
	p.sayOfRollout(w.Applied, kindRolloutStarted, workload.RolloutStartedV1{Revision: w.Revision, From: from, Good: good, Strategy: kind})
}

func (p *pass) sayOfRollout(cause projections.Mark, kind int, data events.Payload) {
	p.say(cause, events.WorkloadSubject(p.workload.Namespace, p.workload.Name), kind, data)
}

// progress says how far the roll-out is: that it advanced, that it is over, or that it got nowhere.
func (p *pass) progress() {
	w, r := p.workload, p.workload.InRollout()
	if r == nil || w.Deleting {
		return
	}
	whole, left := 0, 0
	var stuck *projections.Instance
	for _, s := range p.slots {
		switch i := s.newest; {
		case i != nil && i.Revision == w.Revision && ready(i):
			whole++
			left += truth(s.serving != nil)
		case i != nil && i.Revision == w.Revision && i.Wished() && stuck == nil:
			stuck = i
		}
	}
	waits := p.limits.trying < len(p.slots) && !r.Paused && whole >= p.limits.trying
	switch {
	case whole == len(p.slots) && left == 0 && p.outdated == 0 && !waits:
		p.sayOfRollout(r.Started, kindRolloutCompleted, workload.RolloutCompletedV1{Revision: w.Revision, Ready: whole})
		return
	case whole-r.Ready >= max(1, len(p.slots)/stepsTold) || whole > r.Ready && whole == len(p.slots) || waits && !r.Waits:
		kind := kindAdvanced + 2*whole
		if waits {
			kind++
		}
		p.sayOfRollout(r.Started, kind, workload.RolloutAdvancedV1{Revision: w.Revision, Ready: whole, Wished: len(p.slots), Waits: waits})
		return
	}
	if s := w.Document.Spec.Strategy; s != nil && !r.Paused && !r.Waits && len(p.slots) > 0 {
		due := r.Progress.Add(time.Duration(s.ProgressDeadline))
		if p.author.Now.Before(due) {
			p.wake(due)
			return
		}
		p.giveUp(r, s, stuck)
	}
}

// giveUp ends a roll-out that got nowhere: back to the last revision that was whole, or else it stays where it is.
func (p *pass) giveUp(r *projections.Rollout, s *spec.Strategy, stuck *projections.Instance) {
	w := p.workload
	cause, message := r.Started, fmt.Sprintf("no progress within %s", s.ProgressDeadline)
	if stuck != nil {
		message += fmt.Sprintf(": %s is %s (%s)", stuck.Key.Name, stuck.Phase, stuck.Reason)
		if cause = stuck.Requested; stuck.LastReport.ID != "" {
			cause = stuck.LastReport
		}
	}
	// The same report may be what it gets stuck on again after it was resumed.
	again := 16 * int(w.Head)
	if good, ok := w.Remembered(w.Good); ok && good.Number != w.Revision && s.OnFailure == spec.FailureRollback {
		p.sayOfRollout(cause, again+kindRolledBack, workload.RolledBackV1{
			From: w.Revision, Revision: good.Number, Workload: withReplicas(good.Document, w.Document.Spec.Replicas), Message: message,
		})
		return
	}
	p.sayOfRollout(cause, again+kindRolloutPaused, workload.RolloutPausedV1{Revision: w.Revision, Message: message})
}

// wake asks for another plan at a time.
func (p *pass) wake(at time.Time) {
	if p.wakeAt.IsZero() || at.Before(p.wakeAt) {
		p.wakeAt = at
	}
}
