package reconciler

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/command"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/internal/decider"
	"github.com/rutter-run/rutter/projections"
)

// Decide turns a command about a workload into the events that carry it out, or turns it down. Asking for what is so
// already is accepted and changes nothing.
func Decide(view *projections.Cluster, c events.Command, now time.Time) decider.Decision {
	namespace, name := events.Subject(c.Subject).Workload()
	d := decision{
		command: c, namespace: namespace, name: name, author: author(now), subject: events.WorkloadSubject(namespace, name),
	}
	if w, ok := view.Workload(namespace, name); ok {
		d.revision = w.Newest
		if !w.Deleted {
			d.old = w
		}
	}
	switch data := c.Data.(type) {
	case workload.ApplyV1:
		return d.apply(data)
	case workload.ScaleV1:
		return d.scale(data)
	case workload.DeleteV1:
		return d.delete(data)
	case workload.RolloutV1:
		return d.rollout(data)
	case instance.StopV1:
		return d.stop(view, data)
	default:
		return decider.Reject(command.CodeInvalid, "the reconciler does not handle %s; want apply, scale, roll-out or delete of a workload, or stop of an instance", c.Type)
	}
}

// decision is one command being decided on.
type decision struct {
	command   events.Command
	namespace string
	name      string
	subject   events.Subject
	author    decider.Author
	old       *projections.Workload // nil: there is no such workload
	revision  int                   // the newest that the name ever had
}

func (d decision) apply(data workload.ApplyV1) decider.Decision {
	wished, err := defaulted(data.Workload)
	if err != nil {
		return decider.Reject(command.CodeInvalid, "%s", err)
	}
	if m := wished.Metadata; m.Namespace != d.namespace || m.Name != d.name {
		return decider.Reject(command.CodeInvalid, "the command is about %s/%s and its document about %s/%s; want the same", d.namespace, d.name, m.Namespace, m.Name)
	}
	switch {
	case d.old != nil && d.old.Deleting:
		return d.deleting()
	case d.moved(data.Condition):
		return d.movedOn(data.Condition)
	case d.old == nil:
		return d.accept(workload.AppliedV1{Revision: d.revision + 1, Workload: wished})
	case same(d.old.Document, wished):
		return decider.Accept()
	case d.old.Document.Spec.Type != wished.Spec.Type:
		return decider.Reject(command.CodeInvalid, "spec.type: workload %s/%s is a %s and cannot become a %s; delete it first", d.namespace, d.name, d.old.Document.Spec.Type, wished.Spec.Type)
	case same(withReplicas(d.old.Document, wished.Spec.Replicas), wished):
		return d.accept(workload.ScaledV1{From: d.old.Replicas(), Replicas: *wished.Spec.Replicas})
	}
	revision := d.old.Revision
	if !sameInstances(d.old.Document, wished) {
		revision = d.revision + 1
	}
	return d.accept(workload.AppliedV1{Revision: revision, Workload: wished})
}

func (d decision) scale(data workload.ScaleV1) decider.Decision {
	if err := spec.ValidateReplicas("replicas", data.Replicas).Err(); err != nil {
		return decider.Reject(command.CodeInvalid, "%s", err)
	}
	switch {
	case d.old == nil:
		return d.notFound()
	case d.old.Deleting:
		return d.deleting()
	case d.moved(data.Condition):
		return d.movedOn(data.Condition)
	case isJob(d.old):
		return d.notOfJobs("scaled: apply it with another spec.job.completions or parallelism")
	case d.old.Replicas() == data.Replicas:
		return decider.Accept()
	}
	return d.accept(workload.ScaledV1{From: d.old.Replicas(), Replicas: data.Replicas})
}

func (d decision) delete(data workload.DeleteV1) decider.Decision {
	switch {
	case d.old == nil:
		return d.notFound()
	case d.old.Deleting:
		return decider.Accept()
	case d.moved(data.Condition):
		return d.movedOn(data.Condition)
	}
	return d.accept(workload.DeleteRequestedV1{})
}

// stop takes one instance out; what follows in its slot is reconciled.
func (d decision) stop(view *projections.Cluster, data instance.StopV1) decider.Decision {
	k := events.InstanceKey{Namespace: d.namespace, Workload: d.name, Name: data.Instance}
	i, ok := view.Instance(k)
	switch {
	case !ok || i.Retired:
		return decider.Reject(command.CodeNotFound, "there is no instance %s", k)
	case i.Stop != nil:
		return decider.Accept()
	}
	return decider.Accept(d.author.Say(decider.Caused(d.command), events.InstanceSubject(k), 0, instance.StopRequestedV1{
		Cause: instance.CauseByHand, Message: d.by("revoked by hand"), Grace: i.Spec.GracePeriod,
	}))
}

func (d decision) accept(data events.Payload) decider.Decision {
	return decider.Accept(d.author.Say(decider.Caused(d.command), d.subject, 0, data))
}

// moved reports whether the workload is not where the command's actor saw it. What was decided in the same turn has no sequence yet:
// nobody has seen it.
func (d decision) moved(c workload.Condition) bool {
	revision, sequence := d.present()
	return c.IfRevision != nil && *c.IfRevision != revision || c.IfSequence != 0 && c.IfSequence != sequence
}

func (d decision) movedOn(c workload.Condition) decider.Decision {
	revision, sequence := d.present()
	if c.IfRevision != nil && *c.IfRevision != revision {
		return decider.Reject(command.CodeConflict, "workload %s/%s is at revision %d, not %d; read it again", d.namespace, d.name, revision, *c.IfRevision)
	}
	if sequence == 0 && d.old != nil {
		return decider.Reject(command.CodeConflict, "workload %s/%s was changed at this moment, not last by event %d; read it again", d.namespace, d.name, c.IfSequence)
	}
	return decider.Reject(command.CodeConflict, "workload %s/%s was last changed by event %d, not %d; read it again", d.namespace, d.name, sequence, c.IfSequence)
}

// present is where the workload is now; zero where there is none.
func (d decision) present() (revision int, sequence uint64) {
	if d.old == nil {
		return 0, 0
	}
	return d.old.Revision, d.old.Changed.Sequence
}

func (d decision) notOfJobs(what string) decider.Decision {
	return decider.Reject(command.CodeInvalid, "workload %s/%s is a job, which cannot be %s", d.namespace, d.name, what)
}

func (d decision) notFound() decider.Decision {
	return decider.Reject(command.CodeNotFound, "there is no workload %s/%s", d.namespace, d.name)
}

func (d decision) deleting() decider.Decision {
	return decider.Reject(command.CodeConflict, "workload %s/%s is being deleted; wait until it is gone and ask again", d.namespace, d.name)
}

// defaulted is a copy of a document with its defaults, if it is valid. The command's own document stays as it was sent.
func defaulted(w spec.Workload) (spec.Workload, error) {
	var copied spec.Workload
	data, err := json.Marshal(w)
	if err != nil {
		return copied, err
	}
	if err := json.Unmarshal(data, &copied); err != nil {
		return copied, err
	}
	copied.Default()
	return copied, copied.Validate()
}

func withReplicas(w spec.Workload, replicas *int) spec.Workload {
	w.Spec.Replicas = replicas
	return w
}

// sameInstances reports whether two documents ask for the same of each instance. Labels are no reason to replace what runs:
// instances carry those that their workload had when they were requested.
func sameInstances(a, b spec.Workload) bool {
	x, y := a.Instance(), b.Instance()
	x.Labels, y.Labels = nil, nil
	return same(x, y)
}

// same compares as the log would keep it: an absent list and an empty one are the same.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
