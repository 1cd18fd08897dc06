package loopback_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/internal/loopback"
)

func TestHost(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.8.8.8": true, "::1": true, "localhost": true, "LocalHost": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.example.org": false, "127.0.0.1.example.org": false, "gateway": false,
		"::ffff:10.0.0.1": false, "0": false, "2130706433": false, "*": false,
	} {
		require.Equal(t, want, loopback.Host(host), host)
	}
}

func TestListen(t *testing.T) {
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.org:0", "0:0"} {
		_, err := loopback.Listen(address, false, "give --tls-cert")
		require.ErrorIs(t, err, loopback.ErrPlain, address)
		require.ErrorContains(t, err, "give --tls-cert", address)
	}
	_, err := loopback.Listen("127.0.0.1", false, "")
	require.ErrorContains(t, err, "host:port")
	for _, address := range []string{"127.0.0.1:0", "localhost:0"} {
		listener, err := loopback.Listen(address, false, "")
		require.NoError(t, err)
		require.NoError(t, listener.Close())
	}
	listener, err := loopback.Listen("0.0.0.0:0", true, "")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
}

func TestDialerLeavesTheMachineForNobody(t *testing.T) {
	listener, err := loopback.Listen("127.0.0.1:0", false, "")
	require.NoError(t, err)
	defer listener.Close()
	d := loopback.Dialer(5 * time.Second)
	conn, err := d.DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = d.DialContext(t.Context(), "tcp", "192.0.2.1:4222")
	require.ErrorIs(t, err, loopback.ErrPlain)
}
