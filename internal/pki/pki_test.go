package pki_test

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/internal/pki"
)

// meet is one handshake between a server and a client.
func meet(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	ended := make(chan error, 1)
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer func() { _ = raw.Close() }()
		ended <- tls.Server(raw, server).Handshake()
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = raw.Close() }()
	clientErr := tls.Client(raw, client).Handshake()
	_ = raw.(*net.TCPConn).CloseWrite()
	return errors.Join(clientErr, <-ended)
}

func named(config *tls.Config, host string) *tls.Config {
	config = config.Clone()
	config.ServerName = host
	return config
}

func TestInit(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	require.NoError(t, pki.Init(dir, []string{"127.0.0.1", "node.example.com"}))
	require.NoError(t, pki.Init(other, []string{"127.0.0.1"}))
	server, err := pki.Server(dir)
	require.NoError(t, err)
	client, err := pki.Client(pki.CAFile(dir))
	require.NoError(t, err)
	stranger, err := pki.Client(pki.CAFile(other))
	require.NoError(t, err)

	require.NoError(t, meet(t, server, named(client, "127.0.0.1")))
	require.NoError(t, meet(t, server, named(client, "node.example.com")))
	require.Error(t, meet(t, server, named(client, "elsewhere.example.com")))
	require.Error(t, meet(t, server, named(stranger, "127.0.0.1")))
}

func TestPeersTakeOnlyTheirOwn(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	require.NoError(t, pki.Init(dir, []string{"127.0.0.1"}))
	require.NoError(t, pki.Init(other, []string{"127.0.0.1"}))
	peer, err := pki.Peer(dir)
	require.NoError(t, err)
	client, err := pki.Client(pki.CAFile(dir))
	require.NoError(t, err)
	stranger, err := pki.Peer(other)
	require.NoError(t, err)
	stranger.RootCAs = peer.RootCAs
	require.NoError(t, meet(t, peer, named(peer, "127.0.0.1")))
	require.Error(t, meet(t, peer, named(client, "127.0.0.1")), "without a certificate")
	require.Error(t, meet(t, peer, named(stranger, "127.0.0.1")), "of another CA")
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"ca.pem", "ca-key.pem", "server.pem", "server-key.pem"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), name)
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		all[name] = string(data)
	}
	return all
}

func TestInitAgain(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, pki.Init(dir, []string{"127.0.0.1"}))
	first := read(t, dir)
	require.NoError(t, pki.Init(dir, []string{"127.0.0.1"}))
	require.Equal(t, first, read(t, dir))
	// Another host needs another certificate, of the same CA.
	require.NoError(t, pki.Init(dir, []string{"127.0.0.1", "10.0.0.7"}))
	second := read(t, dir)
	require.Equal(t, first["ca.pem"], second["ca.pem"])
	require.NotEqual(t, first["server.pem"], second["server.pem"])
	require.Error(t, pki.Init(dir, nil))
}
