// Package natsconn connects a process to its NATS servers, and stays connected.
package natsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/sirupsen/logrus"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/internal/loopback"
)

// Config says where the servers are and who connects.
type Config struct {
	URLs  []string           // such as nats://10.0.0.1:4222; the others of a cluster are learnt from the first that answers
	Name  string             // of the connection, as the servers show it
	Creds string             // file with the user's JWT and seed, read at every connection; empty on a server without credentials
	Token string             // the same as text instead of a file, such as the join token's
	TLS   *tls.Config        // nil: plain, which is for servers on this machine alone
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

// Connect connects, trying again until the connection stands or ctx is done. Credentials that the servers do not take are
// [events.ErrDenied] at once. From then on it reconnects for ever, refused credentials or not. What is published while there is
// no connection fails at once with nats.ErrReconnectBufExceeded instead of being sent late.
func Connect(ctx context.Context, c Config) (*nats.Conn, error) {
	if c.Log == nil {
		c.Log = logrus.StandardLogger()
	}
	options, err := c.options(c.Log.WithField("nats", c.Name))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	servers := strings.Join(c.URLs, ",")
	for {
		nc, err := nats.Connect(servers, options...)
		switch {
		case err == nil && nc.MaxPayload() < events.MaxEvent:
			most := nc.MaxPayload()
			nc.Close()
			return nil, fmt.Errorf("connect to NATS at %s: max_payload is %d there: set it to at least %d: %w", servers, most, events.MaxEvent, events.ErrTooLarge)
		case err == nil:
			return nc, nil
		case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
			return nil, fmt.Errorf("connect to NATS at %s: %w: %w", servers, events.ErrDenied, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to NATS at %s: %w: %w: %w", servers, events.ErrUnavailable, ctx.Err(), err)
		case <-time.After(reconnectWait + rand.N(reconnectJitter)):
		}
	}
}

func (c Config) options(log *logrus.Entry) ([]nats.Option, error) {
	if len(c.URLs) == 0 {
		return nil, errors.New("no URL: want one such as nats://127.0.0.1:4222")
	}
	if c.TLS == nil {
		if err := plain(c.URLs); err != nil {
			return nil, err
		}
	}
	options := []nats.Option{
		nats.Name(c.Name),
		nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
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
	} else {
		// Neither a name that resolves to another machine nor a server that one on this machine speaks of leads out of it.
		options = append(options, nats.SetCustomDialer(loopback.Dialer(dialTimeout)))
	}
	creds, err := c.creds()
	if creds == nil || err != nil {
		return options, err
	}
	return append(options, nats.UserJWT(creds.token, creds.sign), nats.CustomInboxPrefix(InboxPrefix(creds.user))), nil
}

// NodeTag marks the JWT of a node, whose name could be a service's.
const NodeTag = "node"

// NodeUser is the name of a node's user, which no service has. All nodes' inboxes lie below one prefix.
func NodeUser(node string) string { return "node." + node }

// InboxPrefix heads the subjects on which a user receives replies; nobody else may listen there.
func InboxPrefix(user string) string { return "_INBOX_" + user }
