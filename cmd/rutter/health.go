package main

import (
	"context"
	"crypto/tls"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/rutter-run/rutter/internal/boot"
)

// healthFlags say where a process tells of its health.
type healthFlags struct {
	address string
	cert    string
	key     string
}

func (f *healthFlags) define(flags *pflag.FlagSet, usage string) {
	flags.StringVar(&f.address, "health-address", "", usage+"; another than loopback needs --health-tls-cert and --health-tls-key")
	flags.StringVar(&f.cert, "health-tls-cert", "", "PEM file of a certificate for --health-address")
	flags.StringVar(&f.key, "health-tls-key", "", "PEM file of its key")
}

// check refuses what cannot be served, before anything is begun.
func (f *healthFlags) check() error {
	var h boot.Health
	if f.cert != "" || f.key != "" {
		h.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return h.Check(f.address)
}

// serve tells of a process's health until ctx is done.
func (f *healthFlags) serve(ctx context.Context, h boot.Health) error {
	if f.cert != "" || f.key != "" {
		cert, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return fmt.Errorf("health-tls-cert and health-tls-key: %w", err)
		}
		h.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	}
	return h.Serve(ctx, f.address)
}
