package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rutter-run/rutter/internal/auth"
	"github.com/rutter-run/rutter/internal/door"
)

// joinRequest is how a node is admitted, with an empty token where none is given.
func joinRequest(p *process, conn *natsFlags, f *agentFlags, tokenFile string) (auth.JoinRequest, error) {
	config, err := conn.tls()
	if err != nil {
		return auth.JoinRequest{}, err
	}
	r := auth.JoinRequest{URLs: conn.urls, Node: f.node, File: filepath.Join(f.data, "node.creds"), TLS: config, Log: p.log}
	if tokenFile == "" {
		return r, nil
	}
	token, err := os.ReadFile(tokenFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("join-token-file: %w", err)
	}
	r.Token = string(token) // none: it may have been taken away after the node joined
	return r, nil
}

// admitted makes sure that the node has credentials that are good, and returns its key.
func admitted(ctx context.Context, r auth.JoinRequest) (string, error) {
	_, until, err := auth.Term(r.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if r.Token == "" {
			return "", fmt.Errorf("join-token-file: node %s has not joined yet: want the file with the token that `rutter init` made", r.Node)
		}
	case err != nil:
		return "", err
	case until.IsZero() || time.Now().Before(until):
		return auth.NodeKey(r.File)
	case r.Token == "":
		return "", fmt.Errorf("join-token-file: the credentials of node %s ran out at %s: want the file with the token that `rutter init` made, to join again",
			r.Node, until.UTC().Format(time.RFC3339))
	}
	r.Log.WithField("node", r.Node).Info("asking to join")
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	if err := auth.Join(ctx, r); err != nil {
		return "", err
	}
	return auth.NodeKey(r.File)
}

// renewEvery is how often an agent looks whether its credentials are old.
const renewEvery = 10 * time.Minute

// keepAdmitted renews the node's credentials once a third of their time is over, through the door or, where they have run out, by joining again. The
// connection takes the new ones up when it next connects.
func keepAdmitted(ctx context.Context, d *door.Client, parts agentParts) error {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		if err := renew(ctx, d, parts.join, time.Now()); err != nil && ctx.Err() == nil {
			parts.log.WithError(err).Warn("the node's credentials were not renewed; trying again")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// renew renews credentials that are due.
func renew(ctx context.Context, d *door.Client, r auth.JoinRequest, now time.Time) error {
	from, until, err := auth.Term(r.File)
	switch {
	case err != nil:
		return err
	case !until.IsZero() && !now.Before(until) && r.Token != "":
		return auth.Join(ctx, r)
	case !until.IsZero() && now.Sub(from) < until.Sub(from)/3:
		return nil
	}
	token, err := d.Renew(ctx)
	if err != nil {
		return err
	}
	return auth.Renew(r.File, token)
}
