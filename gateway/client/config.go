package client

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Config says which gateway to talk to and how. In client.json it is {"address": "https://…", "token": "…", "ca": "…"}.
type Config struct {
	Address string `json:"address"`
	Token   string `json:"token"`
	CA      string `json:"ca,omitempty"` // PEM, or the path of a PEM file; the system's roots where empty
}

// The environment variables that go over client.json.
const (
	EnvAddress = "RUTTER_ADDRESS"
	EnvToken   = "RUTTER_TOKEN"
	EnvCA      = "RUTTER_CA"
	EnvConfig  = "RUTTER_CLIENT_CONFIG" // another path of client.json
)

// DefaultPath is where the client's configuration is looked for: in the data directory of root, or of the user.
func DefaultPath() string {
	if os.Geteuid() == 0 {
		return "/var/lib/rutter/client.json"
	}
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = "."
		}
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "rutter", "client.json")
}

// NoServerError says that it is not known where a gateway is.
type NoServerError struct{ Path string }

// Error implements error.
func (e *NoServerError) Error() string {
	return fmt.Sprintf("no server is known: %s does not exist\nstart one with `rutter up`, or name one with --address and --token (or %s and %s)",
		e.Path, EnvAddress, EnvToken)
}

// FindConfig fills what given leaves out: from the environment, then from client.json at path (empty: RUTTER_CLIENT_CONFIG, or the default).
func FindConfig(given Config, path string) (Config, error) {
	path = cmp.Or(path, os.Getenv(EnvConfig), DefaultPath())
	found := Config{
		Address: cmp.Or(given.Address, os.Getenv(EnvAddress)), Token: cmp.Or(given.Token, os.Getenv(EnvToken)), CA: cmp.Or(given.CA, os.Getenv(EnvCA)),
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && found.Address == "":
		return found, &NoServerError{Path: path}
	case errors.Is(err, fs.ErrNotExist):
		return found, nil
	case err != nil && found.Address != "" && found.Token != "":
		return found, nil // everything that matters was given: an unreadable file of another user is not needed
	case err != nil:
		return found, fmt.Errorf("client configuration: %w (give --address and --token instead)", err)
	}
	var file Config
	if err := json.Unmarshal(data, &file); err != nil {
		return found, fmt.Errorf(`client configuration %s: %w: want {"address": …, "token": …, "ca": …}`, path, err)
	}
	if file.CA != "" && !isPEM(file.CA) && !filepath.IsAbs(file.CA) {
		file.CA = filepath.Join(filepath.Dir(path), file.CA)
	}
	// A token belongs to its server: it is never sent to another address than it was written down with.
	if found.Address == "" || found.Address == file.Address {
		found.Token = cmp.Or(found.Token, file.Token)
		found.CA = cmp.Or(found.CA, file.CA)
	}
	found.Address = cmp.Or(found.Address, file.Address)
	if found.Address == "" {
		return found, fmt.Errorf("client configuration %s names no address", path)
	}
	return found, nil
}

// Save writes client.json so that only its owner can read it.
func (c Config) Save(path string) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("client configuration: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("client configuration: %w", err)
	}
	// Through a new file, so that nobody reads half of one and an old file's mode does not stay.
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("client configuration: %w", err)
	}
	if err := os.WriteFile(next, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("client configuration: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("client configuration: %w", err)
	}
	return nil
}

func (c Config) base() (*url.URL, error) {
	address := c.Address
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("address %q: want http:// or https://, host and port, such as http://127.0.0.1:7480", c.Address)
	}
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("address %q: %w: write https://%s, or reach it through a tunnel that ends on this machine", c.Address, ErrPlain, base.Host)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	return base, nil
}

// ErrPlain says that a token would go over a network in the clear.
var ErrPlain = errors.New("plain HTTP to another machine would carry the token in the clear")

// loopback reports whether a host, as it stands in an address, is this machine.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Check reports an address or a certificate authority that no client could be made of.
func (c Config) Check() error {
	_, err := New(c)
	return err
}

func (c Config) tls() (*tls.Config, error) {
	if c.CA == "" {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	pem := []byte(c.CA)
	if !isPEM(c.CA) {
		var err error
		if pem, err = os.ReadFile(c.CA); err != nil {
			return nil, fmt.Errorf("certificate authority: %w", err)
		}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("certificate authority: no certificate in it: want PEM")
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
}

func isPEM(text string) bool { return strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN") }
