package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/rutter-run/rutter/gateway/api"
)

// LogOptions chooses lines of a container's log.
type LogOptions struct {
	Container string // may be empty where the instance has only one
	Previous  bool   // of the run before the newest
	Follow    bool
	Tail      int // last lines only; below 0 all
	Since     time.Time
}

// Logs calls handle with each line until the log ends, ctx is done or handle fails.
func (c *Client) Logs(ctx context.Context, namespace, instance string, options LogOptions, handle func(api.LogLine) error) error {
	query := url.Values{"tail": {strconv.Itoa(options.Tail)}}
	if options.Container != "" {
		query.Set("container", options.Container)
	}
	if options.Previous {
		query.Set("previous", "true")
	}
	if options.Follow {
		query.Set("follow", "true")
	}
	if !options.Since.IsZero() {
		query.Set("since", options.Since.UTC().Format(time.RFC3339Nano))
	}
	response, err := c.send(ctx, call{
		method: http.MethodGet, path: instancePath(namespace, instance) + "/logs", query: query, header: http.Header{"Accept": {"application/x-ndjson"}},
	})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	in := json.NewDecoder(bufio.NewReader(response.Body))
	for {
		var line api.LogLine
		switch err := in.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("the log broke off: %w", err)
		case line.Error != nil:
			return line.Error
		}
		if err := handle(line); err != nil {
			return err
		}
	}
}
