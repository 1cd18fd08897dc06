// Package pki makes a small certificate authority and the certificates of one deployment, and the TLS settings that use them.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The files of a directory. Clients need ca.pem alone, servers also server.pem and server-key.pem; ca-key.pem stays with whoever
// makes certificates.
const (
	caFile        = "ca.pem"
	caKeyFile     = "ca-key.pem"
	serverFile    = "server.pem"
	serverKeyFile = "server-key.pem"
)

const (
	caLife     = 10 * 365 * 24 * time.Hour
	serverLife = 2 * 365 * 24 * time.Hour
	renewAhead = 60 * 24 * time.Hour // a certificate that ends sooner is made anew
	clockSkew  = time.Hour
)

// Init makes a CA in dir where there is none, and a server certificate for hosts (names and IP addresses) where there is none, it
// names other hosts or it ends soon. The certificate serves as a client's as well, since servers of a cluster are each other's clients.
func Init(dir string, hosts []string) error {
	if err := initDir(dir, hosts); err != nil {
		return fmt.Errorf("make certificates in %s: %w", dir, err)
	}
	return nil
}

func initDir(dir string, hosts []string) error {
	if len(hosts) == 0 {
		return errors.New("no hosts: want the names and addresses that clients reach the servers by")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, err := load(dir, caFile, caKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		ca, err = newCA(dir)
	}
	if err != nil {
		return err
	}
	server, err := load(dir, serverFile, serverKeyFile)
	switch {
	case err == nil && current(server.cert, ca.cert, hosts):
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return newServer(dir, ca, hosts)
}

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// current reports whether a server certificate still does.
func current(cert, ca *x509.Certificate, hosts []string) bool {
	if cert.CheckSignatureFrom(ca) != nil || time.Now().Add(renewAhead).After(cert.NotAfter) {
		return false
	}
	return !slices.ContainsFunc(hosts, func(host string) bool { return cert.VerifyHostname(host) != nil })
}

func newCA(dir string) (pair, error) {
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "Rutter CA"},
		NotAfter: time.Now().Add(caLife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return issue(dir, caFile, caKeyFile, template, nil)
}

func newServer(dir string, ca pair, hosts []string) error {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: hosts[0]},
		NotAfter:    time.Now().Add(serverLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	_, err := issue(dir, serverFile, serverKeyFile, template, &ca)
	return err
}

// issue draws a key and signs the template for it: with the CA's key, or with itself where there is no CA.
func issue(dir, certFile, keyFile string, template *x509.Certificate, ca *pair) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return pair{}, err
	}
	template.NotBefore = time.Now().Add(-clockSkew)
	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	if err := write(filepath.Join(dir, keyFile), "PRIVATE KEY", keyDER); err != nil {
		return pair{}, err
	}
	if err := write(filepath.Join(dir, certFile), "CERTIFICATE", der); err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return pair{cert: cert, key: key}, err
}

// write makes a file that only its owner reads, in one step.
func write(file, kind string, der []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	err = pem.Encode(temporary, &pem.Block{Type: kind, Bytes: der})
	if err = errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}

func load(dir, certFile, keyFile string) (pair, error) {
	certDER, err := read(filepath.Join(dir, certFile))
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", certFile, err)
	}
	keyDER, err := read(filepath.Join(dir, keyFile))
	if err != nil {
		return pair{}, err
	}
	key, err := x509.ParsePKCS8PrivateKey(keyDER)
	if err != nil {
		return pair{}, fmt.Errorf("%s: %w", keyFile, err)
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return pair{}, fmt.Errorf("%s: want an ECDSA key", keyFile)
	}
	return pair{cert: cert, key: private}, nil
}

func read(file string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s: want PEM", file)
	}
	return block.Bytes, nil
}
