package natsconn

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/rutter-run/rutter/internal/loopback"
)

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
		if !loopback.Host(u.Hostname()) {
			return fmt.Errorf("%s is on another machine (%w): write tls://%s and give the certificate authority of its certificate, which `rutter init --host %s` makes",
				u.Redacted(), loopback.ErrPlain, u.Host, u.Hostname())
		}
	}
	return nil
}
