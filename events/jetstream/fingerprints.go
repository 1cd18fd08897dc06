package jetstream

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/rutter-run/rutter/events"
)

// Fingerprints implements [events.Fingerprints] by core messages, which no stream keeps.
type Fingerprints struct{ client *Client }

var _ events.Fingerprints = (*Fingerprints)(nil)

// Fingerprints is what processes tell each other of their folds.
func (c *Client) Fingerprints() *Fingerprints { return &Fingerprints{client: c} }

const (
	fingerprintPrefix = "state."
	fingerprintBuffer = 256
)

// Tell implements events.Fingerprints.
func (f *Fingerprints) Tell(_ context.Context, told events.Fingerprint) error {
	data, err := json.Marshal(told)
	if err != nil {
		return fmt.Errorf("fingerprint of %s: %w: %w", told.Service, events.ErrInvalid, err)
	}
	if err := f.client.nc.Publish(fingerprintPrefix+told.Service, data); err != nil {
		return fmt.Errorf("fingerprint of %s: %w", told.Service, transport(err, false))
	}
	return nil
}

// Hear implements events.Fingerprints. What is not a fingerprint, or speaks for another service than its subject's, is not heard: a service may only
// say its own.
func (f *Fingerprints) Hear(ctx context.Context, handle func(events.Fingerprint)) error {
	messages := make(chan *nats.Msg, fingerprintBuffer)
	sub, err := f.client.nc.ChanSubscribe(fingerprintPrefix+"*", messages)
	if err != nil {
		return fmt.Errorf("hear fingerprints: %w", transport(err, false))
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		select {
		case msg := <-messages:
			var told events.Fingerprint
			if json.Unmarshal(msg.Data, &told) == nil && msg.Subject == fingerprintPrefix+told.Service {
				handle(told)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
