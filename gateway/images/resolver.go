// Package images asks registries which digest a tag names now.
package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
)

// Resolver finds digests over the network, with the credentials of the process's own Docker configuration where it has one.
type Resolver struct {
	options  []remote.Option
	timeout  time.Duration
	insecure []string
}

// patience is how long a registry may take to answer.
const patience = 15 * time.Second

// NewResolver makes a resolver. The insecure registries (host, or host:port) are asked over HTTP where they do not speak HTTPS, as those on
// loopback and private addresses are anyway.
func NewResolver(insecure ...string) *Resolver {
	return &Resolver{
		timeout: patience, insecure: insecure,
		options: []remote.Option{
			remote.WithAuthFromKeychain(authn.DefaultKeychain),
			remote.WithUserAgent("rutter"),
			// One quick second try: the person who waits for the answer can do the rest.
			remote.WithRetryBackoff(remote.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Steps: 2}),
		},
	}
}

// Resolve returns ref with the digest that its tag names now. It fails with [events.ErrNoImage] where the registry knows no such
// image or hides it, and with [events.ErrUnavailable] where it cannot be asked.
func (r *Resolver) Resolve(ctx context.Context, ref spec.ImageRef) (spec.ImageRef, error) {
	if ref.Digest != "" {
		return ref, nil
	}
	var how []name.Option
	if slices.Contains(r.insecure, ref.Registry) {
		how = append(how, name.Insecure)
	}
	tag, err := name.ParseReference(ref.String(), how...)
	if err != nil {
		return ref, refuse(events.ErrNoImage, "%s cannot be asked of a registry: %v", ref, err)
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	options := append([]remote.Option{remote.WithContext(ctx)}, r.options...)
	if descriptor, err := remote.Head(tag, options...); err == nil {
		ref.Digest = descriptor.Digest.String()
		return ref, nil
	}
	// Some registries do not answer HEAD, and no HEAD says why it failed: only a GET does both.
	descriptor, err := remote.Get(tag, options...)
	if err != nil {
		return ref, explain(ref, err)
	}
	ref.Digest = descriptor.Digest.String()
	return ref, nil
}

func explain(ref spec.ImageRef, err error) error {
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return refuse(events.ErrUnavailable, "registry %s cannot be reached to resolve image %s: check the name and the network, or give the image by digest (%v)",
			ref.Registry, ref, err)
	}
	switch answer.StatusCode {
	case http.StatusNotFound:
		return refuse(events.ErrNoImage, "registry %s has no image %s: check repository and tag", ref.Registry, ref)
	case http.StatusUnauthorized, http.StatusForbidden:
		return refuse(events.ErrNoImage, "registry %s has no image %s, or none for these credentials: check the name, and log the gateway in to a private registry",
			ref.Registry, ref)
	case http.StatusTooManyRequests:
		return refuse(events.ErrUnavailable, "registry %s allows no more requests now: try again later, or give image %s by digest", ref.Registry, ref)
	}
	return refuse(events.ErrUnavailable, "registry %s answers %d for image %s: try again, or give it by digest", ref.Registry, answer.StatusCode, ref)
}

// refusal says in its own words why there is no digest; is tells which kind of error that is.
type refusal struct {
	text string
	is   error
}

// Error implements error.
func (r *refusal) Error() string { return r.text }

// Unwrap implements errors.Unwrap.
func (r *refusal) Unwrap() error { return r.is }

func refuse(is error, format string, args ...any) error {
	return &refusal{text: fmt.Sprintf(format, args...), is: is}
}
