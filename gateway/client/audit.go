package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/rutter-run/rutter/gateway/api"
)

// Checkpoint is what the auditor last signed. Whoever has the log's public key checks the note.
func (c *Client) Checkpoint(ctx context.Context) (checkpoint api.Checkpoint, err error) {
	return checkpoint, c.do(ctx, call{method: http.MethodGet, path: "/v1/audit/checkpoint"}, &checkpoint)
}

// Inclusion is the proof that an event, named by its sequence or its id, stands in the newest checkpoint's tree.
func (c *Client) Inclusion(ctx context.Context, event string) (proof api.InclusionProof, err error) {
	return proof, c.do(ctx, call{method: http.MethodGet, path: "/v1/audit/inclusion", query: url.Values{"event": {event}}}, &proof)
}

// Consistency is the proof that the log of so many events only adds to that of fewer. later 0: what the newest checkpoint covers.
func (c *Client) Consistency(ctx context.Context, older, later uint64) (proof api.ConsistencyProof, err error) {
	query := url.Values{"old": {strconv.FormatUint(older, 10)}}
	if later > 0 {
		query.Set("new", strconv.FormatUint(later, 10))
	}
	return proof, c.do(ctx, call{method: http.MethodGet, path: "/v1/audit/consistency", query: query}, &proof)
}

// AuditFilter chooses entries of the audit log. The zero AuditFilter takes all.
type AuditFilter struct {
	Actor, Verb, Target, Namespace, Outcome, Since, Until string
}

// AuditLog calls handle with the entries of the audit log, oldest first.
func (c *Client) AuditLog(ctx context.Context, f AuditFilter, handle func(api.AuditEntry) error) error {
	query := url.Values{}
	for name, value := range map[string]string{
		"actor": f.Actor, "verb": f.Verb, "target": f.Target, "namespace": f.Namespace, "outcome": f.Outcome, "since": f.Since, "until": f.Until,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for {
		var page api.List[api.AuditEntry]
		if err := c.do(ctx, call{method: http.MethodGet, path: "/v1/audit/log", query: query}, &page); err != nil {
			return err
		}
		for _, entry := range page.Items {
			if err := handle(entry); err != nil {
				return err
			}
		}
		if page.Continue == "" {
			return nil
		}
		query.Set("continue", page.Continue)
	}
}

// Export is the events from one sequence to another (0: the first, the last) in the form of an export, which the caller reads to its end and closes.
func (c *Client) Export(ctx context.Context, from, to uint64) (io.ReadCloser, error) {
	query := url.Values{}
	for name, value := range map[string]uint64{"from": from, "to": to} {
		if value > 0 {
			query.Set(name, strconv.FormatUint(value, 10))
		}
	}
	response, err := c.send(ctx, call{method: http.MethodGet, path: "/v1/export", query: query})
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return response.Body, nil
}
