package app

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

// Diff says what changed between two moments, of one namespace where one is given (nodes are then left out).
func (a *App) Diff(ctx context.Context, from, to, namespace string) (api.Diff, error) {
	before, err := a.At(ctx, from)
	if err != nil {
		return api.Diff{}, fmt.Errorf("from: %w", err)
	}
	after := a.Now()
	if to != "" {
		if after, err = a.At(ctx, to); err != nil {
			return api.Diff{}, fmt.Errorf("to: %w", err)
		}
	}
	return api.Diff{From: before.Moment(), To: after.Moment(), Differences: differences(before.view, after.view, namespace)}, nil
}

// differences lists what differs between two states, workloads first, then instances, then nodes, each by name. It is pure.
func differences(before, after *projections.Cluster, namespace string) []api.Difference {
	all := []api.Difference{}
	within := func(ns string) bool { return namespace == "" || ns == namespace }
	merge(before.Workloads(), after.Workloads(), func(w *projections.Workload) string { return w.Namespace + "/" + w.Name }, func(x, y *projections.Workload) {
		if d, ok := workloadDifference(x, y); ok && within(d.Namespace) {
			all = append(all, d)
		}
	})
	merge(before.Instances(), after.Instances(), func(i *projections.Instance) string {
		return i.Key.Namespace + "/" + i.Key.Workload + "/" + i.Key.Name
	}, func(x, y *projections.Instance) {
		if d, ok := instanceDifference(x, y); ok && within(d.Namespace) {
			all = append(all, d)
		}
	})
	if namespace != "" {
		return all
	}
	merge(before.Nodes(), after.Nodes(), func(n *projections.Node) string { return n.Name }, func(x, y *projections.Node) {
		if d, ok := nodeDifference(x, y); ok {
			all = append(all, d)
		}
	})
	return all
}

// merge walks two collections that are in the order of their keys and pairs what has one key; what one side lacks is nil there.
func merge[T any](before, after iter.Seq[*T], key func(*T) string, pair func(x, y *T)) {
	nextX, stopX := iter.Pull(before)
	defer stopX()
	nextY, stopY := iter.Pull(after)
	defer stopY()
	x, okX := nextX()
	y, okY := nextY()
	for okX || okY {
		switch {
		case okX && okY && x == y: // shared by both views: nothing of it changed
			x, okX = nextX()
			y, okY = nextY()
		case okX && okY && key(x) == key(y):
			pair(x, y)
			x, okX = nextX()
			y, okY = nextY()
		case !okY || (okX && key(x) < key(y)):
			pair(x, nil)
			x, okX = nextX()
		default:
			pair(nil, y)
			y, okY = nextY()
		}
	}
}

func workloadDifference(x, y *projections.Workload) (d api.Difference, differs bool) {
	lives := func(w *projections.Workload) bool { return w != nil && !w.Deleted }
	d = api.Difference{Kind: string(events.AggregateWorkload)}
	switch {
	case !lives(x) && !lives(y):
		return d, false
	case !lives(x):
		d.Namespace, d.Name, d.Turn = y.Namespace, y.Name, api.TurnAdded
		d.Words = fmt.Sprintf("applied with %s at revision %d", count(y.Replicas(), "replica", "replicas"), y.Revision)
		return d, true
	case !lives(y):
		d.Namespace, d.Name, d.Turn = x.Namespace, x.Name, api.TurnRemoved
		d.Words = fmt.Sprintf("deleted; it had %s at revision %d", count(x.Replicas(), "replica", "replicas"), x.Revision)
		return d, true
	}
	d.Namespace, d.Name, d.Turn = y.Namespace, y.Name, api.TurnChanged
	d.Changes = changesBetween(x.Document, y.Document)
	var words []string
	if x.Replicas() != y.Replicas() && !y.Deleting {
		words = append(words, fmt.Sprintf("scaled from %d to %d", x.Replicas(), y.Replicas()))
	}
	if x.Revision != y.Revision {
		words = append(words, fmt.Sprintf("revision %d became %d", x.Revision, y.Revision))
	} else if fields := changedFields(d.Changes); len(fields) > 0 {
		words = append(words, "changed "+strings.Join(fields, ", "))
	}
	if !x.Created.Equal(y.Created) {
		words = append(words, "deleted and applied anew")
	}
	if !x.Deleting && y.Deleting {
		words = append(words, "is being deleted")
	}
	d.Words = strings.Join(words, "; ")
	return d, len(words) > 0
}

// changedFields names the fields beside the number of replicas, which has words of its own.
func changedFields(changes []api.Change) (fields []string) {
	for _, c := range changes {
		if c.Field != "spec.replicas" {
			fields = append(fields, c.Field)
		}
	}
	return fields
}

func instanceDifference(x, y *projections.Instance) (d api.Difference, differs bool) {
	lives := func(i *projections.Instance) bool { return i != nil && !i.Retired }
	name := func(i *projections.Instance) { d.Namespace, d.Name = i.Key.Namespace, i.Key.Name }
	d.Kind = string(events.AggregateInstance)
	switch {
	case !lives(x) && !lives(y):
		return d, false
	case !lives(x):
		name(y)
		d.Turn, d.Words = api.TurnAdded, fmt.Sprintf("requested (%s), now %s%s", y.Cause, y.Phase, onNode(y))
		if y.Replaces != "" {
			d.Words += ", replaces " + y.Replaces
		}
		return d, true
	case !lives(y):
		name(x)
		d.Turn, d.Words = api.TurnRemoved, fmt.Sprintf("was %s%s", x.Phase, onNode(x))
		if y != nil && y.Stop != nil {
			d.Words += fmt.Sprintf(", stopped (%s)", y.Stop.Cause)
		}
		return d, true
	}
	name(y)
	d.Turn = api.TurnChanged
	var words []string
	if x.Node != y.Node {
		words = append(words, "placed on "+y.Node)
	}
	if x.Phase != y.Phase {
		words = append(words, fmt.Sprintf("%s became %s: %s", x.Phase, y.Phase, y.Reason))
	}
	if more := y.Restarts() - x.Restarts(); more > 0 {
		words = append(words, count(more, "restart", "restarts"))
	}
	d.Words = strings.Join(words, "; ")
	return d, len(words) > 0
}

func onNode(i *projections.Instance) string {
	if !i.Placed() {
		return ""
	}
	return " on " + i.Node
}

func nodeDifference(x, y *projections.Node) (d api.Difference, differs bool) {
	there := func(n *projections.Node) bool { return n != nil && n.Health != projections.Left }
	d.Kind = string(events.AggregateNode)
	switch {
	case !there(x) && !there(y):
		return d, false
	case !there(x):
		d.Name, d.Turn, d.Words = y.Name, api.TurnAdded, "joined, now "+y.State()
		return d, true
	case !there(y):
		d.Name, d.Turn, d.Words = x.Name, api.TurnRemoved, "left, was "+x.State()
		return d, true
	}
	d.Name, d.Turn = y.Name, api.TurnChanged
	var words []string
	if x.State() != y.State() {
		became := fmt.Sprintf("%s became %s", x.State(), y.State())
		if y.Message != "" {
			became += ": " + y.Message
		}
		words = append(words, became)
	}
	if x.Incarnation != y.Incarnation {
		words = append(words, "its agent was started again")
	}
	if x.Instances != y.Instances {
		words = append(words, fmt.Sprintf("%s became %d", count(x.Instances, "instance", "instances"), y.Instances))
	}
	d.Words = strings.Join(words, "; ")
	return d, len(words) > 0
}
