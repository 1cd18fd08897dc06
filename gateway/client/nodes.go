package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/api"
)

// Cordon keeps new instances off a node, or lets them on it again and ends its drain.
func (c *Client) Cordon(ctx context.Context, name string, on bool, options Options) (api.Result, error) {
	return c.ask(ctx, nodePath(name)+"/cordon", api.Cordon{Cordoned: &on}, options)
}

// Drain empties a node. What is left after within is stopped; zero: there is no hurry.
func (c *Client) Drain(ctx context.Context, name string, within spec.Duration, options Options) (api.Result, error) {
	return c.ask(ctx, nodePath(name)+"/drain", api.Drain{Within: within}, options)
}

// Taint sets taints on a node and takes others off.
func (c *Client) Taint(ctx context.Context, name string, change api.TaintChange, options Options) (api.Result, error) {
	return c.ask(ctx, nodePath(name)+"/taints", change, options)
}

// Label sets labels on a node and takes others off.
func (c *Client) Label(ctx context.Context, name string, change api.LabelChange, options Options) (api.Result, error) {
	return c.ask(ctx, nodePath(name)+"/labels", change, options)
}

// RemoveNode takes out a node that is lost or drained, or by force any.
func (c *Client) RemoveNode(ctx context.Context, name string, force bool, options Options) (result api.Result, err error) {
	request := options.call(http.MethodDelete, nodePath(name))
	if force {
		request.query.Set("force", "true")
	}
	return result, c.do(ctx, request, &result)
}

// Stop asks for an instance to stop; another one takes its slot.
func (c *Client) Stop(ctx context.Context, namespace, name string, options Options) (result api.Result, err error) {
	return result, c.do(ctx, options.call(http.MethodDelete, instancePath(namespace, name)), &result)
}

func (c *Client) ask(ctx context.Context, path string, body any, options Options) (result api.Result, err error) {
	request := options.call(http.MethodPost, path)
	if request.body, err = json.Marshal(body); err != nil {
		return result, err
	}
	return result, c.do(ctx, request, &result)
}
