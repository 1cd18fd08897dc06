// Package natsconn connects a process to its NATS servers, and stays connected.
package natsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"
)

// Config says where the servers are and who connects.
type Config struct {
	URLs  []string // such as nats://10.0.0.1:4222; the others of a cluster are learnt from the first that answers
	Name  string   // of the connection, as the servers show it
	Creds string   // file with the user's JWT and seed; empty on a server without credentials
	Token string   // the same as text instead of a file, such as the join token's
	TLS   *tls.Config
	Log   logrus.FieldLogger // logrus' standard logger where nil
}

const (
	// reconnectWait and its jitter are short: a node that is silent is suspected after seconds.
	reconnectWait   = 50 * time.Millisecond
	reconnectJitter = 50 * time.Millisecond
	// pingInterval and pingsOut find a server that died without a word.
	pingInterval = 2 * time.Second
	pingsOut     = 2
	dialTimeout  = 2 * time.Second
)

// Connect connects and returns when the connection stands or ctx is done. From then on it reconnects for ever. What is
// published while there is no connection fails at once with nats.ErrReconnectBufExceeded instead of being sent late.
func Connect(ctx context.Context, c Config) (*nats.Conn, error) {
	if c.Log == nil {
		c.Log = logrus.StandardLogger()
	}
	log := c.Log.WithField("nats", c.Name)
	options, err := c.options(log)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	connected := make(chan struct{}, 1)
	options = append(options, nats.ConnectHandler(func(*nats.Conn) { connected <- struct{}{} }))
	nc, err := nats.Connect(strings.Join(c.URLs, ","), options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", strings.Join(c.URLs, ","), err)
	}
	select {
	case <-connected:
		return nc, nil
	case <-ctx.Done():
		last := nc.LastError()
		nc.Close()
		return nil, fmt.Errorf("connect to NATS at %s: %w", strings.Join(c.URLs, ","), errors.Join(ctx.Err(), last))
	}
}

func (c Config) options(log *logrus.Entry) ([]nats.Option, error) {
	if len(c.URLs) == 0 {
		return nil, errors.New("no URL: want one such as nats://127.0.0.1:4222")
	}
	options := []nats.Option{
		nats.Name(c.Name),
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(pingsOut), nats.Timeout(dialTimeout),
		// A server that is being restarted may refuse credentials for a moment: keep trying.
		nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			entry := log.WithError(err)
			if sub != nil {
				entry = entry.WithField("subject", sub.Subject)
			}
			entry.Warn("NATS reports an error")
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // none: closed on purpose
				log.WithError(err).Warn("disconnected from NATS")
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.WithField("url", nc.ConnectedUrlRedacted()).Info("reconnected to NATS") }),
	}
	if c.TLS != nil {
		options = append(options, nats.Secure(c.TLS))
	}
	creds := []byte(c.Token)
	if c.Creds != "" {
		data, err := os.ReadFile(c.Creds)
		if err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		creds = data
	}
	if len(creds) == 0 {
		return options, nil
	}
	user, err := userOf(creds)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	return append(options, user, nats.CustomInboxPrefix(InboxPrefix(nameOf(creds)))), nil
}

// InboxPrefix heads the subjects on which a user receives replies; nobody else may listen there.
func InboxPrefix(user string) string { return "_INBOX_" + user }

func userOf(creds []byte) (nats.Option, error) {
	token, err := jwt.ParseDecoratedJWT(creds)
	if err != nil {
		return nil, err
	}
	if _, err := jwt.ParseDecoratedUserNKey(creds); err != nil {
		return nil, err
	}
	sign := func(nonce []byte) ([]byte, error) {
		key, err := jwt.ParseDecoratedUserNKey(creds)
		if err != nil {
			return nil, err
		}
		defer key.Wipe()
		return key.Sign(nonce)
	}
	return nats.UserJWT(func() (string, error) { return token, nil }, sign), nil
}

// nameOf is the user's name in its JWT.
func nameOf(creds []byte) string {
	token, err := jwt.ParseDecoratedJWT(creds)
	if err != nil {
		return ""
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return ""
	}
	return claims.Name
}
