package durability

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// connect connects as the product does, but in the clear also to servers in the network namespaces that a test makes on this machine: the
// product itself speaks plainly to loopback alone.
func connect(t *testing.T, urls ...string) *nats.Conn {
	t.Helper()
	ctx := bounded(t)
	for {
		nc, err := nats.Connect(strings.Join(urls, ","), nats.Name(t.Name()), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
			nats.ReconnectWait(50*time.Millisecond), nats.PingInterval(2*time.Second), nats.MaxPingsOutstanding(2), nats.Timeout(2*time.Second),
			nats.IgnoreAuthErrorAbort(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err == nil {
			return nc
		}
		select {
		case <-ctx.Done():
			require.NoError(t, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
