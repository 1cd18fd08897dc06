package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	rt "github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
	"golang.org/x/sync/errgroup"
)

const (
	dialTimeout = 5 * time.Second
	// atOnce is how many layers of an image are downloaded side by side.
	atOnce = 3
)

func (s *Store) pull(ctx context.Context, ref spec.ImageRef, progress func(rt.PullProgress)) (*record, error) {
	image, digest, err := s.resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	if r, ok := s.whole(digest); ok {
		s.touch(digest)
		return r, nil
	}
	manifest, err := image.Digest()
	if err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", ref, classify(err))
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", ref, classify(err))
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, fmt.Errorf("layers of %s: %w", ref, classify(err))
	}
	if len(layers) != len(config.RootFS.DiffIDs) {
		return nil, fmt.Errorf("%s: %w: %d layers and %d diff ids", ref, rt.ErrBadImage, len(layers), len(config.RootFS.DiffIDs))
	}
	chain := chainIDs(config.RootFS.DiffIDs)
	defer s.pin(chain)()
	if err := s.fetch(ctx, ref, layers, chain, config.RootFS.DiffIDs, tally(layers, progress)); err != nil {
		return nil, err
	}
	r := &record{Ref: ref.String(), Digest: digest, Manifest: manifest.String(), Chain: chain}
	for _, id := range chain {
		size, err := s.layerSize(id)
		if err != nil {
			return nil, err
		}
		r.Size += size
	}
	return r, s.save(r, config)
}

// save writes what makes the image whole: its record comes last.
func (s *Store) save(r *record, config *v1.ConfigFile) error {
	for _, f := range []struct {
		path    string
		content any
	}{
		{s.path("configs", hexOf(r.Manifest)+".json"), config},
		{s.path("images", hexOf(r.Digest)+".json"), r},
	} {
		data, err := json.Marshal(f.content)
		if err != nil {
			return fmt.Errorf("keep %s: %w", r.Ref, err)
		}
		if err := writeFile(f.path, data); err != nil {
			return fmt.Errorf("keep %s: %w", r.Ref, diskFull(err))
		}
	}
	return nil
}

// resolve asks the registry for this platform's image and returns the digest that it was asked for by.
func (s *Store) resolve(ctx context.Context, ref spec.ImageRef) (v1.Image, string, error) {
	var options []name.Option
	if slices.Contains(s.config.Insecure, ref.Registry) {
		options = append(options, name.Insecure)
	}
	registry, err := name.NewRegistry(ref.Registry, options...)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w: %w", ref, rt.ErrBadConfig, err)
	}
	repository := registry.Repo(ref.Repository)
	var asked name.Reference = repository.Tag(ref.Tag)
	if ref.Digest != "" {
		asked = repository.Digest(ref.Digest)
	}
	platform := v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	desc, err := remote.Get(asked, remote.WithContext(ctx), remote.WithTransport(s.transport), remote.WithPlatform(platform),
		remote.WithAuthFromKeychain(s.config.Keychain), remote.WithRetryBackoff(remote.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Steps: 3}))
	if err != nil {
		return nil, "", fmt.Errorf("pull %s: %w", ref, classify(err))
	}
	image, err := desc.Image()
	if err != nil {
		return nil, "", fmt.Errorf("pull %s: no image for linux/%s: %w", ref, runtime.GOARCH, classify(err))
	}
	return image, desc.Digest.String(), nil
}

func newTransport(quiet time.Duration) http.RoundTripper {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	t.ResponseHeaderTimeout = quiet
	return manifestChecker{patience{next: t, quiet: quiet}}
}

// classify tells apart what another try can mend from what none can.
func classify(err error) error {
	var refused *transport.Error
	var netErr net.Error
	switch {
	case errors.Is(err, rt.ErrDigest):
		return err
	case errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%w: %w", rt.ErrImageNotFound, err)
	case errors.As(err, &refused), errors.As(err, &netErr), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", rt.ErrRegistry, err)
	case errors.Is(err, context.Canceled):
		return err
	default:
		// What was answered is not what was asked for, such as JSON that is none.
		return fmt.Errorf("%w: %w", rt.ErrBadImage, err)
	}
}

// fetch downloads the missing layers side by side and unpacks each as soon as those below it are there.
func (s *Store) fetch(ctx context.Context, ref spec.ImageRef, layers []v1.Layer, chain []string, diffs []v1.Hash, done func(bytes int64, layer bool)) (err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce + 1)
	blobs := make([]chan string, len(layers))
	for i := range layers {
		blobs[i] = make(chan string, 1)
	}
	defer func() { err = errors.Join(err, removeRest(blobs)) }()
	group.Go(func() error { // unpacks in order, while the others download
		for i := range layers {
			if exists(s.path("layers", chain[i])) {
				done(0, true)
				continue
			}
			select {
			case blob := <-blobs[i]:
				if err := s.unpack(ctx, blob, chain[:i+1], diffs[i]); err != nil {
					return fmt.Errorf("layer %d of %s: %w", i+1, ref, err)
				}
				done(0, true)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	for i, layer := range layers {
		if exists(s.path("layers", chain[i])) {
			continue
		}
		group.Go(func() error {
			blob, err := s.download(ctx, layer, func(n int64) { done(n, false) })
			if err != nil {
				return fmt.Errorf("layer %d of %s: %w", i+1, ref, err)
			}
			blobs[i] <- blob
			return nil
		})
	}
	return group.Wait()
}

// removeRest removes the blobs that nobody unpacked, because another layer failed or was there before: kept, every try would fill the
// disk a little more.
func removeRest(blobs []chan string) (err error) {
	for _, c := range blobs {
		select {
		case blob := <-c:
			err = errors.Join(err, os.Remove(blob))
		default:
		}
	}
	return err
}

// tally sums progress over the layers; it is safe for concurrent use.
func tally(layers []v1.Layer, progress func(rt.PullProgress)) func(bytes int64, layer bool) {
	if progress == nil {
		return func(int64, bool) {}
	}
	p := rt.PullProgress{Layers: len(layers)}
	for _, l := range layers {
		if size, err := l.Size(); err == nil {
			p.Bytes += size
		}
	}
	progress(p)
	var mu sync.Mutex
	return func(bytes int64, layer bool) {
		mu.Lock()
		defer mu.Unlock()
		p.BytesDone += bytes
		if layer {
			p.LayersDone++
		}
		progress(p)
	}
}
