package jetstream

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

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
	if err := protected(servers, all); err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", servers, err)
	}
	nc, err := nats.Connect(servers, all...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", servers, transport(err, false))
	}
	return nc, nil
}

// protected refuses servers on other machines where the options ask for no TLS.
func protected(servers string, options []nats.Option) error {
	o := nats.GetDefaultOptions()
	for _, option := range options {
		if option == nil {
			continue
		}
		if err := option(&o); err != nil {
			return err
		}
	}
	if o.Secure || o.TLSConfig != nil {
		return nil
	}
	for server := range strings.SplitSeq(servers, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		u, err := url.Parse(server)
		if err != nil {
			return fmt.Errorf("%q is no URL: %w", server, events.ErrInvalid)
		}
		ip := net.ParseIP(u.Hostname())
		here := strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
		if !here && u.Scheme != "tls" && u.Scheme != "wss" {
			return fmt.Errorf("%s is on another machine and would be spoken to in the clear: write tls://%s, with nats.RootCAs where the authority is one's own: %w",
				u.Redacted(), u.Host, events.ErrInvalid)
		}
	}
	return nil
}
