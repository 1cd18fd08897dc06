package reconciler

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/projections"
)

// job brings a job nearer to its end. Its slots are its completions: each is run until one of its instances has succeeded, no more of them
// at a time than it may.
func (p *pass) job() {
	w := p.workload
	if w.Finished != nil {
		p.finished()
		return
	}
	j := w.Document.Spec.Job
	done, active, failures := 0, 0, 0
	newest := w.Applied
	for _, s := range p.slots {
		switch {
		case p.succeeded(s):
			done++
		case s.newest != nil && s.newest.End == nil && (s.newest.Wished() || s.newest.Placed() && !s.newest.Retired && !s.newest.NodeLost):
			active++
		}
		if h, ok := p.view.Slot(w.Namespace, w.Name, s.number); ok && h.Revision == w.Revision {
			failures += h.Failed
		}
		if s.newest != nil && s.newest.End != nil && s.newest.End.Mark.Sequence > newest.Sequence {
			newest = s.newest.End.Mark
		}
	}
	over := 16*int(w.Head) + kindFinished // a job that is applied again may end by the same instance
	due := w.Applied.Time.Add(time.Duration(j.ActiveDeadline))
	switch {
	case done == len(p.slots):
		p.sayOfRollout(newest, over, workload.CompletedV1{Succeeded: done, Failed: failures})
		return
	case failures > *j.BackoffLimit:
		p.sayOfRollout(newest, over, workload.FailedV1{
			Reason: workload.FailureBackoffLimit, Message: fmt.Sprintf("%d instances failed, and %d may", failures, *j.BackoffLimit), Succeeded: done, Failed: failures,
		})
		return
	case j.ActiveDeadline > 0 && !p.author.Now.Before(due):
		p.sayOfRollout(w.Applied, over, workload.FailedV1{
			Reason: workload.FailureDeadline, Message: "it was to be over after " + j.ActiveDeadline.String(), Succeeded: done, Failed: failures,
		})
		return
	case j.ActiveDeadline > 0:
		p.wake(due)
	}
	for _, s := range p.slots {
		if !p.succeeded(s) {
			active += p.runs(s, active < j.Parallelism)
		}
	}
}

// runs takes the next step for a slot of a job, and returns how many instances were requested.
func (p *pass) runs(s *slot, room bool) int {
	w, i := p.workload, s.newest
	switch {
	case i != nil && i.Wished() && i.End == nil && i.NodeLost:
		p.stop(i, i.Lost, instance.CauseNodeLost, "node "+i.Node+" is lost")
	case living(i) && i.Revision != w.Revision:
		p.stop(i, w.Applied, instance.CauseRolledOut, fmt.Sprintf("revision %d takes the slot", w.Revision))
	case living(i):
		if n, ok := p.view.Node(i.Node); ok && n.Drain != nil {
			p.stop(i, n.Drain.Mark, instance.CauseDrained, "node "+i.Node+" is drained")
		}
	case !room:
		p.hold(s.number, noTime, "%d run at a time", w.Document.Spec.Job.Parallelism)
	default:
		before := len(p.events)
		p.fill(s)
		return len(p.events) - before
	}
	return 0
}

// succeeded reports whether the slot's work is done.
func (p *pass) succeeded(s *slot) bool {
	i := s.newest
	return i != nil && i.Revision == p.workload.Revision && i.End != nil && i.End.Rejected == "" && i.End.Outcome == report.OutcomeSucceeded
}

// finished stops what is left of a job that is over, and lets the workload go when its time has come.
func (p *pass) finished() {
	w := p.workload
	for _, s := range p.slots {
		if i := s.newest; i != nil && i.Wished() && i.End == nil {
			p.stop(i, w.Finished.Mark, instance.CauseFinished, "the job is over: "+w.Finished.Message)
		}
	}
	ttl := w.Document.Spec.Job.TTL
	if ttl == 0 {
		return
	}
	due := w.Finished.At.Add(time.Duration(ttl))
	if p.author.Now.Before(due) {
		p.wake(due)
		return
	}
	p.sayOfRollout(w.Finished.Mark, kindExpired, workload.DeleteRequestedV1{})
}

// indexed gives each container the slot that its instance fills.
func indexed(s spec.InstanceSpec, slot int) spec.InstanceSpec {
	s.Containers = slices.Clone(s.Containers)
	for n := range s.Containers {
		c := &s.Containers[n]
		c.Env = append(slices.Clone(c.Env), spec.EnvVar{Name: spec.IndexVariable, Value: strconv.Itoa(slot)})
	}
	return s
}

func isJob(w *projections.Workload) bool { return w.Document.Spec.Type == spec.Job }
