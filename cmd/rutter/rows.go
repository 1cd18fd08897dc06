package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/events/workload"
	"github.com/rutter-run/rutter/gateway/api"
)

// listed makes rows of a list.
func listed[T any](list api.List[T], err error) func(func(T) row) ([]row, error) {
	return func(of func(T) row) ([]row, error) {
		rows := make([]row, len(list.Items))
		for i, item := range list.Items {
			rows[i] = of(item)
		}
		return rows, err
	}
}

func tableOf(k kind) table {
	switch k.name {
	case workloads.name:
		return table{head: []string{"READY", "STATE", "REVISION", "AGE", "MESSAGE"}, wide: []string{"IMAGES", "LABELS"}}
	case instances.name:
		return table{head: []string{"READY", "PHASE", "RESTARTS", "AGE", "NODE", "REASON"}, wide: []string{"ADDRESS", "REVISION", "LABELS"}}
	case nodes.name:
		return table{head: []string{"STATE", "INSTANCES", "CPU", "MEMORY", "AGE", "VERSION", "MESSAGE"}, wide: []string{"ADDRESS", "RUNTIME", "LABELS", "TAINTS"}}
	default:
		return table{head: []string{"STATE", "WHAT", "ACTOR", "AGE", "MESSAGE"}, wide: []string{"SEQUENCE", "REASON"}}
	}
}

func (c *cli) workloadRow(w api.Workload) row {
	s := w.Status
	var images []string
	for _, container := range w.Spec.Containers {
		images = append(images, container.Image.Short())
	}
	return row{
		kind: workloads, namespace: w.Metadata.Namespace, name: w.Metadata.Name, document: w,
		cells: []string{fmt.Sprintf("%d/%d", max(s.Ready, s.Succeeded), s.Wished), string(s.State), fmt.Sprint(s.Revision), c.age(s.Created), s.Message},
		wide:  []string{strings.Join(images, ","), labelText(w.Metadata.Labels)},
	}
}

func (c *cli) instanceRow(i api.Instance) row {
	reason := i.Reason
	if i.Phase == spec.PhaseReady {
		reason = "" // that all is well needs no words
	}
	restarts := fmt.Sprint(i.Restarts)
	if at := lastStart(i); i.Restarts > 0 && !at.IsZero() {
		restarts += " (" + c.age(at) + " ago)"
	}
	return row{
		kind: instances, namespace: i.Namespace, name: i.Name, document: i,
		cells: []string{fmt.Sprintf("%d/%d", i.Ready, len(i.Containers)), string(i.Phase), restarts, c.age(i.Requested.Time), none(i.Node), reason},
		wide:  []string{none(strings.Join(i.Addresses, ",")), fmt.Sprint(i.Revision), labelText(i.Labels)},
	}
}

func (c *cli) nodeRow(n api.Node) row {
	return row{
		kind: nodes, name: n.Name, document: n,
		cells: []string{
			nodeState(n), fmt.Sprint(n.Instances), n.Allocated.CPU.String() + "/" + n.Capacity.CPU.String(),
			short(n.Allocated.Memory) + "/" + short(n.Capacity.Memory), c.age(n.Joined), none(n.Version), n.Message,
		},
		wide: []string{none(n.Address), none(n.Runtime), labelText(n.Labels), taintText(n.Taints)},
	}
}

// nodeState is a node's state and what operators made of it: Ready,Draining.
func nodeState(n api.Node) string {
	switch {
	case n.Drain != nil && n.Drain.Done:
		return n.State + ",Drained"
	case n.Drain != nil:
		return n.State + ",Draining"
	case n.Cordoned:
		return n.State + ",Cordoned"
	}
	return n.State
}

func taintText(all []spec.Taint) string {
	var words []string
	for _, t := range all {
		words = append(words, t.String())
	}
	return none(strings.Join(words, ","))
}

func (c *cli) operationRow(o api.Operation) row {
	message := o.Message
	if o.Code != "" {
		message = o.Code + ": " + o.Message
	}
	return row{
		kind: operations, name: o.ID, document: o,
		cells: []string{string(o.State), whatOf(o), o.Actor, c.age(o.Asked), message},
		wide:  []string{fmt.Sprint(o.Sequence), o.Reason},
	}
}

// whatOf says in few words what an operation does: apply web.
func whatOf(o api.Operation) string {
	about := strings.Split(o.Subject, ".")
	name := about[len(about)-1]
	switch o.Type {
	case workload.ApplyV1{}.WireType():
		return "apply " + name
	case workload.DeleteV1{}.WireType():
		return "delete " + name
	case workload.ScaleV1{}.WireType():
		var scale workload.ScaleV1
		if json.Unmarshal(o.Data, &scale) == nil {
			return fmt.Sprintf("scale %s to %d", name, scale.Replicas)
		}
	}
	parts := strings.Split(strings.TrimPrefix(o.Type, "run.rutter."), ".")
	return strings.Join(parts[:max(1, len(parts)-1)], " ") + " " + name
}

// lastStart is when a container of the instance was last started.
func lastStart(i api.Instance) (at time.Time) {
	for _, container := range i.Containers {
		if container.StartedAt.After(at) {
			at = container.StartedAt
		}
	}
	return at
}

// short is an amount of memory in at most three digits: 7.7Gi.
func short(b spec.Bytes) string {
	value, unit := float64(b), ""
	for _, next := range []string{"Ki", "Mi", "Gi", "Ti", "Pi"} {
		if value < 1024 {
			break
		}
		value, unit = value/1024, next
	}
	if value >= 100 || value == float64(int64(value)) {
		return fmt.Sprintf("%.0f%s", value, unit)
	}
	return fmt.Sprintf("%.1f%s", value, unit)
}

func labelText(set map[string]string) string {
	if len(set) == 0 {
		return "-"
	}
	pairs := strings.Split(labels.Set(set).String(), ",")
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}
