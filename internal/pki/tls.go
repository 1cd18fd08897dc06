package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
)

// Server is how a server shows itself to clients: with the certificate of dir. Clients need none.
func Server(dir string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, serverFile), filepath.Join(dir, serverKeyFile))
	if err != nil {
		return nil, fmt.Errorf("server's certificate: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}}, nil
}

// Peer is how the servers of a cluster meet: each shows the certificate of dir, and takes only what the same CA signed.
func Peer(dir string) (*tls.Config, error) {
	config, err := Server(dir)
	if err != nil {
		return nil, err
	}
	pool, err := pool(filepath.Join(dir, caFile))
	if err != nil {
		return nil, err
	}
	config.RootCAs, config.ClientCAs, config.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
	return config, nil
}

// Client is how a client knows its servers: by the CA's certificate.
func Client(caFile string) (*tls.Config, error) {
	pool, err := pool(caFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool}, nil
}

// CAFile is the CA's certificate in a directory that [Init] made, to be copied to clients.
func CAFile(dir string) string { return filepath.Join(dir, caFile) }

func pool(file string) (*x509.CertPool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("CA's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("CA's certificate %s: want PEM", file)
	}
	return pool, nil
}
