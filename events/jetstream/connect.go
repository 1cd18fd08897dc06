package jetstream

import (
	"fmt"
	"os"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/rutter-run/rutter/events"
)

// Connect connects a program of one's own with a credentials file, such as `rutter subscriber` writes: replies come to the inbox that belongs to
// these credentials, and a lost connection is looked for as long as it takes. Options come on top, such as nats.RootCAs. servers is
// one URL or several with commas.
func Connect(servers, credentials string, options ...nats.Option) (*nats.Conn, error) {
	data, err := os.ReadFile(credentials)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: credentials: %w", err)
	}
	token, err := jwt.ParseDecoratedJWT(data)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %s is no credentials file (%w): %w", credentials, err, events.ErrInvalid)
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS: %s is no credentials file (%w): %w", credentials, err, events.ErrInvalid)
	}
	all := append([]nats.Option{
		nats.Name(claims.Name), nats.UserCredentialBytes(data), nats.CustomInboxPrefix("_INBOX_" + claims.Name),
		nats.MaxReconnects(-1), nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(),
	}, options...)
	nc, err := nats.Connect(servers, all...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", servers, transport(err, false))
	}
	return nc, nil
}
