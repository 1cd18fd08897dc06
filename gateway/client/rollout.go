package client

import (
	"context"
	"net/url"

	"github.com/rutter-run/rutter/gateway/api"
)

// Rollout asks something of a workload's roll-out.
func (c *Client) Rollout(ctx context.Context, namespace, name string, ask api.RolloutAction, options Options) (api.Result, error) {
	return c.ask(ctx, workloadPath(namespace, name)+"/rollout", ask, options)
}

// Revisions lists the revisions of a workload that one can go back to, oldest first.
func (c *Client) Revisions(ctx context.Context, namespace, name string) (api.List[api.Revision], error) {
	return all[api.Revision](ctx, c, workloadPath(namespace, name)+"/revisions", url.Values{})
}
