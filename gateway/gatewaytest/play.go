package gatewaytest

import (
	"context"
	"fmt"
	"time"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/ledger"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/report"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/app"
)

// Join lets a node join and be ready.
func (r *Rig) Join(name string) {
	joined := r.Say(events.NodeSubject(name), "", "node:"+name, node.JoinedV1{
		Incarnation: "i1", Key: "K", Address: "10.0.0.1", Capacity: spec.Resources{CPU: 4000, Memory: 8 << 30}, Labels: map[string]string{"zone": "a"},
		Version: "v1", Runtime: "runc 1.3.0",
	})
	r.Say(events.NodeSubject(name), joined, "node:"+name, node.ReadyV1{})
}

// Lose lets a node be lost and returns the event's id.
func (r *Rig) Lose(name string) string {
	return r.Say(events.NodeSubject(name), "", "service:node-health", node.LostV1{Silent: spec.Duration(15 * time.Second)})
}

// Key names an instance of namespace default.
func Key(workload string, slot, attempt int) events.InstanceKey {
	return events.InstanceKey{Namespace: "default", Workload: workload, Name: events.InstanceName(workload, slot, attempt)}
}

// Request wishes for an instance of a workload that was applied.
func (r *Rig) Request(key events.InstanceKey, slot, attempt int, cause instance.Cause, replaces, causation string) string {
	w, ok := r.View.View().Workload(key.Namespace, key.Workload)
	if !ok {
		r.t.Errorf("no workload %s", key.Workload)
		return ""
	}
	return r.Say(events.InstanceSubject(key), causation, w.Applied.Actor, instance.RequestedV1{
		Slot: slot, Attempt: attempt, Revision: w.Revision, Spec: w.Document.Instance(), Cause: cause, Replaces: replaces,
	})
}

// Start assigns an instance to a node and lets its containers start.
func (r *Rig) Start(key events.InstanceKey, nodeName, requested string) (started string) {
	i, ok := r.View.View().Instance(key)
	if !ok {
		if r.ctx.Err() == nil {
			r.t.Errorf("no instance %s", key)
		}
		return ""
	}
	n, _ := r.View.View().Node(nodeName)
	assigned := r.Say(events.LedgerSubject(nodeName), requested, i.Requested.Actor, ledger.AssignedV2{
		Instance: key, Generation: n.Generation + 1, Spec: i.Spec, Considered: 1, Fitted: 1, Scores: []ledger.Score{{Node: nodeName, Total: 50}},
	})
	subject := events.ReportSubject(nodeName, key)
	r.Say(subject, assigned, i.Requested.Actor, report.CreatedV1{Addresses: []string{"10.1.0.5"}})
	for _, c := range i.Spec.Containers {
		started = r.Say(subject, assigned, i.Requested.Actor, report.StartedV1{
			Container: c.Name, Run: 1, ContainerID: key.Name + "." + c.Name + ".1", PID: 4242, At: r.tick(),
		})
	}
	return started
}

// Retire lets an instance be gone.
func (r *Rig) Retire(key events.InstanceKey, phase spec.Phase, cause string) string {
	return r.Say(events.InstanceSubject(key), cause, "service:reconciler", instance.RetiredV1{Phase: phase})
}

// converge makes the world what the workload wishes, on node n1.
func (r *Rig) converge(namespace, name string) {
	view := r.View.View()
	w, ok := view.Workload(namespace, name)
	if !ok {
		return
	}
	if n, ok := view.Node("n1"); !ok || n.State() != "Ready" {
		r.Join("n1")
	}
	taken := map[int]bool{}
	for i := range view.InstancesOf(namespace, name) {
		if i.Retired {
			continue
		}
		if i.Slot < w.Replicas() && i.Revision == w.Revision {
			taken[i.Slot] = true
			continue
		}
		stop := r.Say(events.InstanceSubject(i.Key), w.Changed.ID, w.Changed.Actor, instance.StopRequestedV1{Cause: instance.CauseScaled})
		r.Say(events.ReportSubject(i.Node, i.Key), stop, "", report.StoppedV1{Outcome: report.OutcomeRevoked})
		r.Retire(i.Key, spec.PhaseSucceeded, stop)
	}
	for slot := range w.Replicas() {
		if taken[slot] {
			continue
		}
		attempt := 1
		if s, ok := view.Slot(namespace, name, slot); ok {
			attempt = s.Attempt + 1
		}
		key := events.InstanceKey{Namespace: namespace, Workload: name, Name: events.InstanceName(name, slot, attempt)}
		r.Start(key, "n1", r.Request(key, slot, attempt, instance.CauseApplied, "", w.Changed.ID))
	}
	if w.Deleting {
		r.Say(events.WorkloadSubject(namespace, name), w.Changed.ID, w.Changed.Actor, workload.DeletedV1{})
	}
}

// Document is a valid workload document.
func Document(name string, replicas int) spec.Workload {
	image, err := spec.ParseImage("docker.io/library/nginx:1.27")
	if err != nil {
		panic(fmt.Sprint("a fault of the test: ", err))
	}
	w := spec.Workload{
		APIVersion: spec.APIVersion, Kind: spec.KindWorkload, Metadata: spec.Metadata{Name: name, Labels: map[string]string{"app": name}},
		Spec: spec.WorkloadSpec{Replicas: &replicas, Containers: []spec.Container{{Name: "main", Image: image}}},
	}
	w.Default()
	return w
}

// By is a caller.
var By = app.Caller{Actor: "token:ada", Reason: "because of the test"}

// Apply applies a document as By.
func (r *Rig) Apply(w spec.Workload) {
	r.t.Helper()
	if _, err := r.App.Apply(context.Background(), By, w, nil); err != nil {
		r.t.Fatal(err)
	}
}
