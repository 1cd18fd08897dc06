package app

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
	"github.com/rutter-run/rutter/projections"
)

// Selection chooses things of a collection.
type Selection struct {
	Namespace string // all where empty
	Workload  string // instances of it only
	Node      string // instances on it only
	Selector  string // label selector as in Kubernetes, such as app=web,tier!=cache
	Gone      bool   // also what is over but still remembered
	Page
}

func (s Selection) labels() (labels.Selector, error) {
	selector, err := labels.Parse(s.Selector)
	if err != nil {
		return nil, spec.Errors{{Field: "selector", Value: s.Selector, Want: "a label selector such as app=web,tier!=cache (" + err.Error() + ")"}}
	}
	return selector, nil
}

// CatchUp returns once the view includes the sequence, so that a client reads what it has written, whichever gateway it asks.
func (a *App) CatchUp(ctx context.Context, sequence uint64) error {
	if a.View.View().Sequence() >= sequence {
		return nil
	}
	asking, end := context.WithTimeout(ctx, endWait)
	last, err := a.Log.Last(asking)
	end()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, events.ErrUnavailable), errors.Is(err, events.ErrUnknown): // perhaps it comes
	case err != nil:
		return fmt.Errorf("wait for sequence %d: %w", sequence, err)
	case sequence > last:
		return spec.Errors{{Field: "sequence", Value: fmt.Sprint(sequence), Want: fmt.Sprintf("at most %d, the last in the log now", last)}}
	}
	waiting, cancel := context.WithTimeout(ctx, a.DecisionWait)
	defer cancel()
	if _, err := a.View.WaitFor(waiting, sequence); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &NotReadyError{What: fmt.Sprintf("the projection has not reached sequence %d", sequence)}
	}
	return nil
}

// Workload is one workload with its status. One that is gone is not found, and the error says when it went.
func (r Reading) Workload(namespace, name string) (api.Workload, error) {
	view := r.view
	w, ok := view.Workload(namespace, name)
	if !ok {
		return api.Workload{}, notFound("there is no workload %s in namespace %s", name, namespace)
	}
	if w.Deleted {
		return api.Workload{}, notFound("workload %s in namespace %s was deleted at %s (`rutter history workload/%s -n %s` tells its story)",
			name, namespace, w.Changed.Time.UTC().Format(time.RFC3339), name, namespace)
	}
	return workloadOf(view, w), nil
}

// Workloads lists workloads by namespace and name.
func (r Reading) Workloads(s Selection) (api.List[api.Workload], error) {
	selector, err := s.labels()
	if err != nil {
		return api.List[api.Workload]{}, err
	}
	view := r.view
	var all []*projections.Workload
	for w := range view.Workloads() {
		if w.Deleted || (s.Namespace != "" && w.Namespace != s.Namespace) || !selector.Matches(labels.Set(w.Document.Metadata.Labels)) {
			continue
		}
		all = append(all, w)
	}
	page, err := paginate(all, s.Page, view.Sequence(), func(w *projections.Workload) string { return w.Namespace + "/" + w.Name })
	return convert(page, func(w *projections.Workload) api.Workload { return workloadOf(view, w) }), err
}

// Instance is one instance.
func (r Reading) Instance(namespace, name string) (api.Instance, error) {
	i, err := r.instance(namespace, name)
	if err != nil {
		return api.Instance{}, err
	}
	return instanceOf(i), nil
}

func (r Reading) instance(namespace, name string) (*projections.Instance, error) {
	key, err := InstanceKey(namespace, name)
	if err != nil {
		return nil, err
	}
	i, ok := r.view.Instance(key)
	if !ok {
		return nil, notFound("there is no instance %s in namespace %s (where it once was, `rutter why instance/%s -n %s` and `rutter history` still tell)",
			name, namespace, name, namespace)
	}
	return i, nil
}

var instanceName = regexp.MustCompile(`^([a-z0-9][-a-z0-9]*)-([0-9]+)-([0-9]+)$`)

// InstanceKey finds the workload in an instance's name, which is <workload>-<slot>-<attempt>.
func InstanceKey(namespace, name string) (events.InstanceKey, error) {
	parts := instanceName.FindStringSubmatch(name)
	if parts == nil {
		return events.InstanceKey{}, spec.Errors{{Field: "instance", Value: name, Want: "<workload>-<slot>-<attempt>, such as web-0-1"}}
	}
	return events.InstanceKey{Namespace: namespace, Workload: parts[1], Name: name}, nil
}

// Instances lists instances by namespace, workload and name; those that are over only where asked for.
func (r Reading) Instances(s Selection) (api.List[api.Instance], error) {
	selector, err := s.labels()
	if err != nil {
		return api.List[api.Instance]{}, err
	}
	view := r.view
	source := view.Instances()
	if s.Namespace != "" && s.Workload != "" {
		source = view.InstancesOf(s.Namespace, s.Workload)
	}
	var all []*projections.Instance
	for i := range source {
		switch {
		case i.Retired && !s.Gone,
			s.Namespace != "" && i.Key.Namespace != s.Namespace,
			s.Workload != "" && i.Key.Workload != s.Workload,
			s.Node != "" && i.Node != s.Node,
			!selector.Matches(labels.Set(i.Spec.Labels)):
			continue
		}
		all = append(all, i)
	}
	page, err := paginate(all, s.Page, view.Sequence(), func(i *projections.Instance) string {
		return i.Key.Namespace + "/" + i.Key.Workload + "/" + i.Key.Name
	})
	return convert(page, instanceOf), err
}

// Node is one node.
func (r Reading) Node(name string) (api.Node, error) {
	n, ok := r.view.Node(name)
	if !ok {
		return api.Node{}, notFound("there is no node %s", name)
	}
	return nodeOf(n), nil
}

// Nodes lists nodes by name; those that left only where asked for.
func (r Reading) Nodes(s Selection) (api.List[api.Node], error) {
	selector, err := s.labels()
	if err != nil {
		return api.List[api.Node]{}, err
	}
	view := r.view
	var all []*projections.Node
	for n := range view.Nodes() {
		if (n.Health == projections.Left && !s.Gone) || !selector.Matches(labels.Set(n.Labels)) {
			continue
		}
		all = append(all, n)
	}
	page, err := paginate(all, s.Page, view.Sequence(), func(n *projections.Node) string { return n.Name })
	return convert(page, nodeOf), err
}

// State is the projection in two numbers: where it is and the hash of what it holds there.
func (r Reading) State() api.State {
	view := r.view
	counts := view.Counts()
	return api.State{
		Sequence: view.Sequence(), Time: view.Time(), Hash: r.app.hashes.of(view), Version: projections.Version,
		Workloads: counts.Workloads, Instances: counts.Instances, Nodes: counts.Nodes, Waiting: counts.Waiting,
	}
}

// convert turns a page of the projection's things into documents; only the page pays for it.
func convert[P, D any](page api.List[P], document func(P) D) api.List[D] {
	items := make([]D, len(page.Items))
	for i, item := range page.Items {
		items[i] = document(item)
	}
	return api.List[D]{Items: items, Continue: page.Continue, Sequence: page.Sequence}
}

// hashes remembers the newest hash: it costs a walk over the whole state, and many ask at the same sequence.
type hashes struct {
	mu     sync.Mutex
	hasher projections.Hasher
	view   *projections.Cluster
	hash   string
}

func (h *hashes) of(view *projections.Cluster) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.view != view {
		h.view, h.hash = view, h.hasher.Hash(view)
	}
	return h.hash
}
