package natsconn

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// ErrPlain says that a connection would carry everything in the clear over a network.
var ErrPlain = errors.New("plain NATS is for servers on this machine alone")

// plain refuses URLs of servers on other machines.
func plain(urls []string) error {
	for _, text := range urls {
		if !strings.Contains(text, "://") {
			text = "nats://" + text
		}
		u, err := url.Parse(text)
		if err != nil {
			return fmt.Errorf("%q is no URL: want one such as nats://127.0.0.1:4222 or tls://10.0.0.1:4222", text)
		}
		if !Loopback(u.Hostname()) {
			return fmt.Errorf("%s without TLS (%w): write tls://%s and give the certificate authority of its certificate, which `rutter init --host %s` makes",
				u.Redacted(), ErrPlain, u.Host, u.Hostname())
		}
	}
	return nil
}

// Loopback reports whether a host, as it stands in an address, is this machine and cannot be reached from another.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// loopbackDialer reaches this machine alone: neither a name that resolves to another nor a server that one on this machine speaks of leads
// a plain connection out of it.
func loopbackDialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		if !Loopback(host) {
			return fmt.Errorf("dial %s: %w", address, ErrPlain)
		}
		return nil
	}}
}
