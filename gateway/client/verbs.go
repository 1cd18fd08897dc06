package client

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
)

// Options of a change.
type Options struct {
	Reason         string // why; it stays on the record
	IdempotencyKey string // drawn where empty
	DryRun         bool   // Apply only: say what would change
	IfRevision     *int   // refuse unless the workload is at this revision; 0, Apply only: unless it does not exist
	IfSequence     uint64 // refuse unless the last event of the workload itself is this one, see [api.WorkloadStatus.Changed]; with IfRevision
}

func (o Options) call(method, path string) call {
	key := o.IdempotencyKey
	if key == "" {
		key = strings.ToLower(rand.Text())
	}
	c := call{method: method, path: path, query: url.Values{}, header: http.Header{"Idempotency-Key": {key}}}
	if o.Reason != "" {
		c.query.Set("reason", o.Reason)
	}
	switch {
	case o.IfRevision == nil:
	case *o.IfRevision == 0:
		c.header.Set("If-None-Match", "*")
	case o.IfSequence == 0:
		c.header.Set("If-Match", strconv.Quote(strconv.Itoa(*o.IfRevision)))
	default:
		c.header.Set("If-Match", fmt.Sprintf(`"%d.%d"`, *o.IfRevision, o.IfSequence))
	}
	return c
}

func workloadPath(namespace, name string) string {
	return "/v1/namespaces/" + url.PathEscape(namespace) + "/workloads/" + url.PathEscape(name)
}

func instancePath(namespace, name string) string {
	return "/v1/namespaces/" + url.PathEscape(namespace) + "/instances/" + url.PathEscape(name)
}

func nodePath(name string) string { return "/v1/nodes/" + url.PathEscape(name) }

// Apply sets a wished state.
func (c *Client) Apply(ctx context.Context, w spec.Workload, options Options) (result api.Result, err error) {
	w.Default() // its address needs the namespace
	request := options.call(http.MethodPut, workloadPath(w.Metadata.Namespace, w.Metadata.Name))
	request.header.Set("Content-Type", "application/json")
	if request.body, err = json.Marshal(w); err != nil {
		return result, err
	}
	if options.DryRun {
		request.query.Set("dryRun", "true")
	}
	return result, c.do(ctx, request, &result)
}

// Scale sets the number of replicas.
func (c *Client) Scale(ctx context.Context, namespace, name string, replicas int, options Options) (result api.Result, err error) {
	request := options.call(http.MethodPost, workloadPath(namespace, name)+"/scale")
	if request.body, err = json.Marshal(api.Scale{Replicas: &replicas}); err != nil {
		return result, err
	}
	return result, c.do(ctx, request, &result)
}

// Delete asks for a workload to go.
func (c *Client) Delete(ctx context.Context, namespace, name string, options Options) (result api.Result, err error) {
	return result, c.do(ctx, options.call(http.MethodDelete, workloadPath(namespace, name)), &result)
}

// Selection chooses things of a collection. The zero Selection is all of all namespaces.
type Selection struct {
	Namespace string
	Workload  string
	Node      string
	Selector  string // labels, such as app=web
	Gone      bool   // also what is over
	Limit     int    // of one page; lists read all pages
	Sequence  uint64 // wait until the gateway has folded it
}

func (s Selection) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("workload", s.Workload)
	set("node", s.Node)
	set("selector", s.Selector)
	if s.Gone {
		q.Set("gone", "true")
	}
	if s.Limit > 0 {
		q.Set("limit", strconv.Itoa(s.Limit))
	}
	if s.Sequence > 0 {
		q.Set("sequence", strconv.FormatUint(s.Sequence, 10))
	}
	return q
}

// all reads every page of a collection.
func all[T any](ctx context.Context, c *Client, path string, query url.Values) (api.List[T], error) {
	var whole api.List[T]
	for {
		var page api.List[T]
		if err := c.do(ctx, call{method: http.MethodGet, path: path, query: query}, &page); err != nil {
			return whole, err
		}
		whole.Items, whole.Sequence = append(whole.Items, page.Items...), page.Sequence
		if page.Continue == "" {
			return whole, nil
		}
		query.Set("continue", page.Continue)
	}
}

func get[T any](ctx context.Context, c *Client, path string, sequence uint64) (thing T, err error) {
	return thing, c.do(ctx, call{method: http.MethodGet, path: path, query: Selection{Sequence: sequence}.query()}, &thing)
}

func (s Selection) path(kind string) string {
	if s.Namespace == "" {
		return "/v1/" + kind
	}
	return "/v1/namespaces/" + url.PathEscape(s.Namespace) + "/" + kind
}

// Workloads lists workloads.
func (c *Client) Workloads(ctx context.Context, s Selection) (api.List[api.Workload], error) {
	return all[api.Workload](ctx, c, s.path("workloads"), s.query())
}

// Workload reads one workload. sequence, where not 0, is what the gateway must have folded before.
func (c *Client) Workload(ctx context.Context, namespace, name string, sequence uint64) (api.Workload, error) {
	return get[api.Workload](ctx, c, workloadPath(namespace, name), sequence)
}

// Instances lists instances.
func (c *Client) Instances(ctx context.Context, s Selection) (api.List[api.Instance], error) {
	return all[api.Instance](ctx, c, s.path("instances"), s.query())
}

// Instance reads one instance.
func (c *Client) Instance(ctx context.Context, namespace, name string, sequence uint64) (api.Instance, error) {
	return get[api.Instance](ctx, c, instancePath(namespace, name), sequence)
}

// Nodes lists nodes.
func (c *Client) Nodes(ctx context.Context, s Selection) (api.List[api.Node], error) {
	return all[api.Node](ctx, c, "/v1/nodes", s.query())
}

// Node reads one node.
func (c *Client) Node(ctx context.Context, name string, sequence uint64) (api.Node, error) {
	return get[api.Node](ctx, c, nodePath(name), sequence)
}

// Operations lists the newest commands and what became of them, at most limit (0: one page).
func (c *Client) Operations(ctx context.Context, limit int) (list api.List[api.Operation], err error) {
	return list, c.do(ctx, call{method: http.MethodGet, path: "/v1/operations", query: Selection{Limit: limit}.query()}, &list)
}

// Operation reads a command and what became of it.
func (c *Client) Operation(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, "/v1/operations/"+url.PathEscape(id), 0)
}

// State reads sequence and hash of the gateway's projection, waiting until it has folded sequence.
func (c *Client) State(ctx context.Context, sequence uint64) (api.State, error) {
	return get[api.State](ctx, c, "/v1/state", sequence)
}

// Version says what the gateway is.
func (c *Client) Version(ctx context.Context) (api.Version, error) {
	return get[api.Version](ctx, c, "/v1/version", 0)
}

// Stats reads what an instance's containers use now.
func (c *Client) Stats(ctx context.Context, namespace, name string) (api.Stats, error) {
	return get[api.Stats](ctx, c, instancePath(namespace, name)+"/stats", 0)
}

// Thing names what has a history. Exactly one of the kinds: workload, instance or node; the namespace is empty for a node.
type Thing struct{ Kind, Namespace, Name string }

func (t Thing) path() string {
	switch t.Kind {
	case "instance":
		return instancePath(t.Namespace, t.Name)
	case "node":
		return nodePath(t.Name)
	}
	return workloadPath(t.Namespace, t.Name)
}

// Why reads what the present state of a thing came from.
func (c *Client) Why(ctx context.Context, thing Thing) (api.Why, error) {
	return get[api.Why](ctx, c, thing.path()+"/why", 0)
}
