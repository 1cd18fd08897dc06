package projections

import (
	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
)

func (c *Cluster) applyWorkload(e events.Event) {
	namespace, name := e.Subject.Workload()
	w := &Workload{Namespace: namespace, Name: name, Created: e.Time}
	if old, ok := c.workloads.Get(namespace + "/" + name); ok {
		copied := *old
		w = &copied
	}
	w.Head = e.Sequence
	switch e.Data.(type) {
	case workload.RolloutStartedV1, workload.RolloutAdvancedV1, workload.RolloutPausedV1, workload.RolloutResumedV1,
		workload.RolloutPromotedV1, workload.RolloutCompletedV1:
		// How far it is changes nothing of what is wished.
		w.rolled(e)
		c.workloads.Set(namespace+"/"+name, w)
		return
	}
	switch data := e.Data.(type) {
	case workload.CompletedV1:
		w.Finished = &Finished{Succeeded: true, Message: data.Line(), At: loggedAt(e), Mark: markOf(e)}
		c.workloads.Set(namespace+"/"+name, w)
		return
	case workload.FailedV1:
		w.Finished = &Finished{Message: data.Line(), At: loggedAt(e), Mark: markOf(e)}
		c.workloads.Set(namespace+"/"+name, w)
		return
	}
	w.Changed, w.Scaled = markOf(e), false
	switch data := e.Data.(type) {
	case workload.AppliedV1:
		if w.Deleted {
			w.Created = e.Time
		}
		w.revised(data.Revision, data.Workload, markOf(e))
		w.Deleting, w.Deleted = false, false
	case workload.RestartedV1:
		w.revised(data.Revision, w.Document, markOf(e))
	case workload.RolledBackV1:
		w.revised(data.Revision, data.Workload, markOf(e))
	case workload.ScaledV1:
		replicas := data.Replicas
		w.Document.Spec.Replicas, w.Scaled = &replicas, true
	case workload.DeleteRequestedV1:
		w.Deleting = true
	case workload.DeletedV1:
		w.Deleted, w.Document = true, tombstone(w.Document)
		w.Rollout, w.Revisions, w.Good, w.Finished = nil, nil, 0, nil
		c.forgetInstances(namespace, name)
	}
	c.workloads.Set(namespace+"/"+name, w)
}

// tombstone is what is remembered of the document of a deleted workload: its name. Numbers that go on climbing stand beside it, and the
// log keeps the rest for ever.
func tombstone(w spec.Workload) spec.Workload {
	return spec.Workload{APIVersion: w.APIVersion, Kind: w.Kind, Metadata: spec.Metadata{Name: w.Metadata.Name, Namespace: w.Metadata.Namespace}}
}

// forgetInstances drops what is left of a deleted workload's instances; the log keeps them for ever. Slots stay, so that
// attempts go on climbing when the name is used again.
func (c *Cluster) forgetInstances(namespace, name string) {
	var gone []events.InstanceKey
	for i := range c.InstancesOf(namespace, name) {
		if i.Retired {
			gone = append(gone, i.Key)
		}
	}
	for _, k := range gone {
		c.dropInstance(k)
	}
}
