// Package image pulls images by digest and keeps them unpacked: one directory a layer, put together by overlayfs.
//
// A layer is downloaded whole and its digest checked, then unpacked beside its place and renamed into it, so that no reader ever
// sees half a layer, whenever the machine stops. Nothing in an image is trusted before its digest was checked.
package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
)

// Config says where images are kept and how far they are trusted.
type Config struct {
	Dir         string
	Insecure    []string       // registries, host or host:port, that are asked over HTTP or with any certificate
	Keychain    authn.Keychain // credentials; those of ~/.docker/config.json where nil
	MaxUnpacked int64          // bytes that one layer may unpack to; 20 GiB where 0
	MaxEntries  int            // files that one layer may hold; 2 million where 0
	Quiet       time.Duration  // how long a registry may send nothing; 30 s where 0
	Collection  Collection     // when images have to make room
}

// Store is the images of a node.
type Store struct {
	config    Config
	pulls     flights
	transport http.RoundTripper
	use       func(dir string) (percent float64, err error)

	pins   sync.Mutex
	pinned map[string]int // layers that pulls under way are about to use
}

// record is what is kept of an image that is whole.
type record struct {
	Ref      string   `json:"ref"`
	Digest   string   `json:"digest"`   // as asked for: of a manifest or of an index
	Manifest string   `json:"manifest"` // digest of this platform's manifest
	Chain    []string `json:"chain"`    // layer directories, the lowest first
	Size     int64    `json:"size"`
}

const (
	defaultMaxUnpacked = 20 << 30
	defaultMaxEntries  = 2_000_000
	defaultQuiet       = 30 * time.Second
)

// New opens the store and clears what an unfinished pull left.
func New(config Config) (*Store, error) {
	if config.MaxUnpacked == 0 {
		config.MaxUnpacked = defaultMaxUnpacked
	}
	if config.MaxEntries == 0 {
		config.MaxEntries = defaultMaxEntries
	}
	if config.Quiet == 0 {
		config.Quiet = defaultQuiet
	}
	if err := config.Collection.Validate(); err != nil {
		return nil, err
	}
	if config.Keychain == nil {
		config.Keychain = authn.DefaultKeychain
	}
	if strings.ContainsAny(config.Dir, ":,\\") {
		return nil, fmt.Errorf("image directory %q: want a path without ':', ',' and '\\', which overlayfs options cannot hold", config.Dir)
	}
	s := &Store{config: config, transport: newTransport(config.Quiet), use: use, pinned: map[string]int{}}
	if err := os.RemoveAll(s.path("ingest")); err != nil {
		return nil, fmt.Errorf("clear unfinished pulls: %w", err)
	}
	for _, dir := range []string{"ingest", "layers", "images", "configs", "empty"} {
		if err := os.MkdirAll(s.path(dir), 0o700); err != nil {
			return nil, fmt.Errorf("make the image store: %w", err)
		}
	}
	return s, nil
}

func (s *Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.config.Dir}, parts...)...)
}

// hexOf is a digest without its algorithm: a file name.
func hexOf(digest string) string { return digest[strings.IndexByte(digest, ':')+1:] }

// Pull has the image on the node when it returns. One that is there already costs no network; the same one asked for twice at once is pulled
// once. Errors are those of package runtime. progress may be nil.
func (s *Store) Pull(ctx context.Context, ref spec.ImageRef, progress func(runtime.PullProgress)) (runtime.Image, error) {
	if ref.Digest != "" {
		if r, ok := s.whole(ref.Digest); ok {
			s.touch(r.Digest)
			return r.image(ref), nil
		}
	}
	r, err := s.pulls.join(ctx, ref, progress, func(ctx context.Context, progress func(runtime.PullProgress)) (*record, error) {
		return s.pull(ctx, ref, progress)
	})
	if err != nil {
		return runtime.Image{}, err
	}
	return r.image(ref), nil
}

// List lists the images that are whole.
func (s *Store) List() ([]runtime.Image, error) {
	files, err := os.ReadDir(s.path("images"))
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var all []runtime.Image
	for _, f := range files {
		r, err := s.load("sha256:" + strings.TrimSuffix(f.Name(), ".json"))
		if err != nil {
			continue // a record that is no record is no image
		}
		ref, err := spec.ParseImage(r.Ref)
		if err != nil {
			continue
		}
		all = append(all, r.image(ref))
	}
	return all, nil
}

// Config is the image's configuration: its entrypoint, environment and user.
func (s *Store) Config(image runtime.Image) (v1.ConfigFile, error) {
	var config v1.ConfigFile
	r, err := s.load(image.Digest)
	if err != nil {
		return config, err
	}
	return s.imageConfig(r)
}

// imageConfig reads the configuration of an image. It was checked before it was written: whatever is wrong with it is the disk's fault.
func (s *Store) imageConfig(r *record) (config v1.ConfigFile, err error) {
	data, err := os.ReadFile(s.path("configs", hexOf(r.Manifest)+".json"))
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err != nil {
		return config, fmt.Errorf("configuration of %s: %w: %w", r.Ref, runtime.ErrImageMissing, err)
	}
	return config, nil
}

// Layers are the directories of the image's layers, the topmost first, as overlayfs wants them.
func (s *Store) Layers(image runtime.Image) ([]string, error) {
	r, err := s.load(image.Digest)
	if err != nil {
		return nil, err
	}
	dirs := make([]string, len(r.Chain))
	for i, name := range r.Chain {
		dirs[len(dirs)-1-i] = s.path("layers", name)
	}
	return dirs, nil
}

// load reads the record of an image and makes sure that its layers are there. What cannot be read is not there: pulling the image again
// writes it anew.
func (s *Store) load(digest string) (*record, error) {
	data, err := os.ReadFile(s.path("images", hexOf(digest)+".json"))
	if err != nil {
		return nil, fmt.Errorf("image %s: %w: %w", digest, runtime.ErrImageMissing, err)
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil || r.Digest != digest {
		return nil, fmt.Errorf("record of image %s: %w: it is damaged: %w", digest, runtime.ErrImageMissing, err)
	}
	if slices.ContainsFunc(r.Chain, func(name string) bool { return !exists(s.path("layers", name)) }) {
		return nil, fmt.Errorf("image %s lacks a layer: %w", digest, runtime.ErrImageMissing)
	}
	return &r, nil
}

// whole loads an image that can be run from.
func (s *Store) whole(digest string) (*record, bool) {
	r, err := s.load(digest)
	if err != nil {
		return nil, false
	}
	_, err = s.imageConfig(r)
	return r, err == nil
}

func (r *record) image(ref spec.ImageRef) runtime.Image {
	return runtime.Image{Ref: ref, Digest: r.Digest, Size: r.Size}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// writeFile writes a file so that it is there whole or not at all.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // after the rename there is nothing to remove
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// diskFull makes a full disk tell itself apart.
func diskFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", runtime.ErrDiskFull, err)
	}
	return err
}
