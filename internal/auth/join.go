package auth

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/sirupsen/logrus"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/internal/natsconn"
)

// JoinRequest says who wants to join where.
type JoinRequest struct {
	URLs  []string
	Token string
	Node  string
	File  string // for the credentials, in a directory of the agent's own; the key beside it, in <File>.nk, is drawn once and kept
	TLS   *tls.Config
	Log   logrus.FieldLogger
}

// Join asks for admission and saves the node's credentials (0600). It asks again until somebody answers or ctx is done. It fails with
// [events.ErrDenied] where the token is not good, [events.ErrExists] where the name belongs to another key and [events.ErrInvalid]
// where the request is refused. Called again it takes the same key, so that the name still belongs to it.
func Join(ctx context.Context, r JoinRequest) error {
	if err := join(ctx, r); err != nil {
		return fmt.Errorf("join as %s: %w", r.Node, err)
	}
	return nil
}

func join(ctx context.Context, r JoinRequest) error {
	creds, err := CredsOfToken(r.Token)
	if err != nil {
		return err
	}
	seed, key, err := agentKey(r.File + ".nk")
	if err != nil {
		return err
	}
	nc, err := natsconn.Connect(ctx, natsconn.Config{URLs: r.URLs, Name: "join " + r.Node, Token: creds, TLS: r.TLS, Log: r.Log})
	if errors.Is(err, events.ErrDenied) {
		return fmt.Errorf("the servers do not take the join token: %w", err)
	}
	if err != nil {
		return err
	}
	defer nc.Close()
	answer, err := ask(ctx, nc, r.Node, key)
	switch {
	case err != nil:
		return err
	case answer.Taken:
		return fmt.Errorf("the name belongs to another key, choose another or have an operator remove the node: %w", events.ErrExists)
	case answer.Error != "":
		return fmt.Errorf("refused (%s): %w", answer.Error, events.ErrInvalid)
	}
	data, err := jwt.FormatUserConfig(answer.JWT, seed)
	if err != nil {
		return fmt.Errorf("answer of node-health: %w", err)
	}
	return writeSecret(r.File, data)
}

// ask repeats the request until it is answered.
func ask(ctx context.Context, nc *nats.Conn, node, key string) (answer joinAnswer, err error) {
	const wait, pause = 2 * time.Second, 50 * time.Millisecond
	data, err := json.Marshal(joinRequest{Key: key})
	if err != nil {
		return answer, err
	}
	for {
		once, cancel := context.WithTimeout(ctx, wait)
		msg, err := nc.RequestWithContext(once, joinSubject(node), data)
		cancel()
		if err == nil {
			return answer, json.Unmarshal(msg.Data, &answer)
		}
		select {
		case <-ctx.Done():
			return answer, fmt.Errorf("%w: node-health does not answer: %w", events.ErrUnavailable, err)
		case <-time.After(pause):
		}
	}
}

// agentKey reads the agent's own key, and draws it where there is none.
func agentKey(file string) (seed []byte, public string, err error) {
	seed, err = os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		var pair nkeys.KeyPair
		if pair, err = nkeys.CreateUser(); err != nil {
			return nil, "", err
		}
		if seed, err = pair.Seed(); err != nil {
			return nil, "", err
		}
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
			err = writeSecret(file, seed)
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("the agent's key: %w", err)
	}
	pair, err := nkeys.FromSeed(seed)
	if err != nil {
		return nil, "", fmt.Errorf("the agent's key %s: %w", file, err)
	}
	public, err = pair.PublicKey()
	return seed, public, err
}

// NodeKey is the public key in a node's credentials file, which it registers with.
func NodeKey(file string) (string, error) {
	creds, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("node's credentials: %w", err)
	}
	pair, err := jwt.ParseDecoratedUserNKey(creds)
	if err != nil {
		return "", fmt.Errorf("node's credentials %s: %w", file, err)
	}
	return pair.PublicKey()
}

// Term is from when until when a node's credentials are good; a zero end: for ever.
func Term(file string) (from, to time.Time, err error) {
	creds, err := os.ReadFile(file)
	if err != nil {
		return from, to, fmt.Errorf("node's credentials: %w", err)
	}
	token, err := jwt.ParseDecoratedJWT(creds)
	if err != nil {
		return from, to, fmt.Errorf("node's credentials %s: %w", file, err)
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return from, to, fmt.Errorf("node's credentials %s: %w", file, err)
	}
	if claims.Expires > 0 {
		to = time.Unix(claims.Expires, 0)
	}
	return time.Unix(claims.IssuedAt, 0), to, nil
}

// Renew puts a new JWT of the same key into a node's credentials file.
func Renew(file, token string) error {
	creds, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("node's credentials: %w", err)
	}
	pair, err := jwt.ParseDecoratedUserNKey(creds)
	if err != nil {
		return fmt.Errorf("node's credentials %s: %w", file, err)
	}
	key, err := pair.PublicKey()
	if err != nil {
		return fmt.Errorf("node's credentials %s: %w", file, err)
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return fmt.Errorf("renewed credentials: %w", err)
	}
	if claims.Subject != key {
		return fmt.Errorf("renewed credentials are of key %s, not of %s: %w", claims.Subject, key, events.ErrInvalid)
	}
	seed, err := pair.Seed()
	if err != nil {
		return fmt.Errorf("node's credentials %s: %w", file, err)
	}
	data, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		return fmt.Errorf("renewed credentials: %w", err)
	}
	return writeSecret(file, data)
}
