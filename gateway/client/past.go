package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/rutter-run/rutter/gateway/api"
)

// Moment is the last event that had happened at the client's moment, or the newest.
func (c *Client) Moment(ctx context.Context) (api.Moment, error) {
	return get[api.Moment](ctx, c, "/v1/moment", 0)
}

// Diff says what changed between two moments (to empty: until now), in all namespaces or in one.
func (c *Client) Diff(ctx context.Context, from, to, namespace string) (diff api.Diff, err error) {
	query := url.Values{"from": {from}}
	if to != "" {
		query.Set("to", to)
	}
	if namespace != "" {
		query.Set("namespace", namespace)
	}
	return diff, c.do(ctx, call{method: http.MethodGet, path: "/v1/diff", query: query}, &diff)
}

// Query evaluates an expression over the state at the client's moment.
func (c *Client) Query(ctx context.Context, expression string) (result api.QueryResult, err error) {
	return result, c.post(ctx, call{method: http.MethodPost, path: "/v1/query"}, api.Query{Expression: expression, At: c.moment}, &result)
}

// Bisect finds the event that made a predicate false.
func (c *Client) Bisect(ctx context.Context, bisect api.Bisect) (result api.BisectResult, err error) {
	return result, c.post(ctx, call{method: http.MethodPost, path: "/v1/bisect"}, bisect, &result)
}

// Restore wishes again for what was wished for at a moment.
func (c *Client) Restore(ctx context.Context, restore api.Restore, options Options) (result api.Restored, err error) {
	return result, c.post(ctx, options.call(http.MethodPost, "/v1/restore"), restore, &result)
}

// Undo changes back what an operation changed.
func (c *Client) Undo(ctx context.Context, operation string, undo api.Undo, options Options) (result api.Restored, err error) {
	return result, c.post(ctx, options.call(http.MethodPost, "/v1/operations/"+url.PathEscape(operation)+"/undo"), undo, &result)
}

// post sends a document and reads the answer.
func (c *Client) post(ctx context.Context, request call, document, out any) (err error) {
	if request.body, err = json.Marshal(document); err != nil {
		return err
	}
	return c.do(ctx, request, out)
}
