package main

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"

	"github.com/rutter-run/rutter/events/catalog"
	"github.com/rutter-run/rutter/events/jetstream"
	"github.com/rutter-run/rutter/internal/natsconn"
	"github.com/rutter-run/rutter/internal/pki"
)

// natsFlags say where the log is and as whom it is spoken to.
type natsFlags struct {
	urls  []string
	keys  string
	creds string
	ca    string
}

const defaultNATS = "nats://127.0.0.1:4222"

func (f *natsFlags) define(flags *pflag.FlagSet, service bool) {
	flags.StringSliceVar(&f.urls, "nats-url", []string{defaultNATS}, "where the NATS servers are; tls:// for TLS")
	flags.StringVar(&f.ca, "nats-ca", "", "PEM file of the certificate authority of the NATS servers (default ca.pem beside the keys)")
	if service {
		flags.StringVar(&f.keys, "keys", filepath.Join(dataDir(), "keys"), "directory made by `rutter init`")
		flags.StringVar(&f.creds, "creds", "", "credentials file of this service (default its own in --keys)")
	}
}

// tls is nil where no server asks for it.
func (f *natsFlags) tls() (*tls.Config, error) {
	ca := f.ca
	if ca == "" && f.keys != "" {
		ca = pki.CAFile(f.keys)
	}
	if !secure(f.urls) {
		return nil, nil
	}
	return pki.Client(ca)
}

func secure(urls []string) bool {
	for _, u := range urls {
		if strings.HasPrefix(u, "tls://") {
			return true
		}
	}
	return false
}

// log connects as a user and opens the log.
func (f *natsFlags) connect(ctx context.Context, p *process, user string) (*nats.Conn, *jetstream.Client, error) {
	creds := f.creds
	if creds == "" {
		creds = filepath.Join(f.keys, user+".creds")
	}
	config, err := f.tls()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	nc, err := natsconn.Connect(ctx, natsconn.Config{URLs: f.urls, Name: user, Creds: creds, TLS: config, Log: p.log})
	if err != nil {
		return nil, nil, err
	}
	return nc, jetstream.Open(nc, catalog.New(), jetstream.Logger(p.log)), nil
}
