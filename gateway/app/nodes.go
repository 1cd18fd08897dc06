package app

import (
	"context"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/instance"
	"github.com/rutter-run/rutter/events/node"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
)

// Cordon keeps new instances off a node, or lets them on it again and ends its drain.
func (a *App) Cordon(ctx context.Context, by Caller, name string, on bool) (api.Result, error) {
	if on {
		return a.operate(ctx, by, name, node.CordonV1{})
	}
	return a.operate(ctx, by, name, node.UncordonV1{})
}

// Drain empties a node: what runs there is replaced elsewhere. What is left after within is stopped; zero: there is no hurry.
func (a *App) Drain(ctx context.Context, by Caller, name string, within spec.Duration) (api.Result, error) {
	return a.operate(ctx, by, name, node.DrainV1{Within: within})
}

// Taint sets taints on a node and takes others off, those by key and, where given, effect.
func (a *App) Taint(ctx context.Context, by Caller, name string, change api.TaintChange) (api.Result, error) {
	if len(change.Set)+len(change.Remove) == 0 {
		return api.Result{}, spec.Errors{{Field: "set", Want: "taints to set, or in remove taints to take off"}}
	}
	return a.operate(ctx, by, name, node.TaintV1{Set: change.Set, Remove: change.Remove})
}

// Label sets labels on a node and takes others off.
func (a *App) Label(ctx context.Context, by Caller, name string, change api.LabelChange) (api.Result, error) {
	if len(change.Set)+len(change.Remove) == 0 {
		return api.Result{}, spec.Errors{{Field: "set", Want: "labels to set, or in remove labels to take off"}}
	}
	return a.operate(ctx, by, name, node.LabelV1{Set: change.Set, Remove: change.Remove})
}

// RemoveNode takes out a node that is lost or drained, or by force any. Its name is free again; what it held is replaced elsewhere.
func (a *App) RemoveNode(ctx context.Context, by Caller, name string, force bool) (api.Result, error) {
	return a.operate(ctx, by, name, node.RemoveV1{Force: force, Message: by.Reason})
}

// operate asks node-health for a change of a node.
func (a *App) operate(ctx context.Context, by Caller, name string, data events.Payload) (api.Result, error) {
	if err := spec.ValidateName("node", name).Err(); err != nil {
		return api.Result{}, err
	}
	op, view, err := a.decide(ctx, by, events.NodeCommand(name), data)
	if err != nil {
		return api.Result{}, err
	}
	result := api.Result{Operation: &op, Verdict: verdictOf(op, api.VerdictChanged)}
	if n, ok := view.Node(name); ok {
		document := nodeOf(n)
		result.Node = &document
	}
	return result, nil
}

// Stop asks for an instance to stop by hand; another one takes its slot.
func (a *App) Stop(ctx context.Context, by Caller, namespace, name string) (api.Result, error) {
	key, err := InstanceKey(namespace, name)
	if err != nil {
		return api.Result{}, err
	}
	op, view, err := a.decide(ctx, by, events.WorkloadCommand(namespace, key.Workload), instance.StopV1{Instance: name})
	if err != nil {
		return api.Result{}, err
	}
	result := api.Result{Operation: &op, Verdict: verdictOf(op, api.VerdictStopping)}
	if i, ok := view.Instance(key); ok {
		document := instanceOf(i)
		result.Instance = &document
	}
	return result, nil
}
