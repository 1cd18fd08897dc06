// Package loopback tells what stays on this machine from what goes over a network, where nothing may go in the clear.
package loopback

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
)

// ErrPlain says that something would go over a network in the clear.
var ErrPlain = errors.New("only this machine may be spoken to without TLS")

// Host reports whether a host, as it stands in an address, is this machine and cannot be reached from another. An empty one is every
// address that the machine has.
func Host(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Dialer reaches this machine alone, whatever a name resolves to.
func Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, Control: func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return err
		}
		if !Host(host) {
			return fmt.Errorf("dial %s: %w", address, ErrPlain)
		}
		return nil
	}}
}

// Check refuses an address to listen on that others can reach unless what is served there is protected. remedy says how it can be.
func Check(address string, protected bool, remedy string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q: want host:port, such as 127.0.0.1:7480", address)
	}
	if !protected && !Host(host) {
		return fmt.Errorf("%q can be reached by others (%w): %s, or listen on 127.0.0.1", address, ErrPlain, remedy)
	}
	return nil
}

// Listen listens on an address that passes [Check].
func Listen(address string, protected bool, remedy string) (net.Listener, error) {
	if err := Check(address, protected, remedy); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	// A name is what the machine's resolver makes of it.
	if bound, ok := listener.Addr().(*net.TCPAddr); !protected && (!ok || !bound.IP.IsLoopback()) {
		return nil, errors.Join(fmt.Errorf("%q is %s here, which others can reach (%w): %s, or listen on 127.0.0.1", address, listener.Addr(), ErrPlain, remedy), listener.Close())
	}
	return listener, nil
}
