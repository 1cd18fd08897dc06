package testimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Registry is a registry that lives as long as its process.
type Registry struct {
	Host   string // address, as it stands in image references
	server *http.Server
}

// Serve starts a registry on an address of this machine, such as 127.0.0.1:0.
func Serve(address string) (*Registry, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve images: %w", err)
	}
	r := &Registry{
		Host:   listener.Addr().String(),
		server: &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0))), ReadHeaderTimeout: 10 * time.Second},
	}
	go func() {
		if err := r.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Printf("image registry: %v", err)
		}
	}()
	return r, nil
}

// Close ends the registry.
func (r *Registry) Close() error { return r.server.Close() }

// Push keeps an image under repository:tag and returns its full reference, pinned by digest.
func (r *Registry) Push(ctx context.Context, repository, tag string, image v1.Image) (string, error) {
	host, err := name.NewRegistry(r.Host, name.Insecure)
	if err != nil {
		return "", err
	}
	ref := host.Repo(repository).Tag(tag)
	if err := remote.Write(ref, image, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return "", err
	}
	return ref.String() + "@" + digest.String(), nil
}
