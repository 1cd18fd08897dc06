package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/google/go-containerregistry/pkg/v1"
	rt "github.com/rutter-run/rutter/agentd/runtime"
	"golang.org/x/sys/unix"
)

// chainIDs names each layer together with all below it (OCI image specification, layer chain ID): a layer's directory inherits from them.
func chainIDs(diffs []v1.Hash) []string {
	ids := make([]string, len(diffs))
	chain := ""
	for i, d := range diffs {
		if chain == "" {
			chain = d.String()
		} else {
			sum := sha256.Sum256([]byte(chain + " " + d.String()))
			chain = "sha256:" + hex.EncodeToString(sum[:])
		}
		ids[i] = hexOf(chain)[:layerName]
	}
	return ids
}

// layerName is how much of a chain ID names its directory: 80 bits, short because overlayfs takes all names in one page.
const layerName = 20

// download brings a layer's blob to disk, checks its digest and returns the file.
func (s *Store) download(ctx context.Context, layer v1.Layer, progress func(int64)) (string, error) {
	digest, err := layer.Digest()
	if err != nil {
		return "", classify(err)
	}
	size, err := layer.Size()
	if err != nil {
		return "", classify(err)
	}
	body, err := layer.Compressed()
	if err != nil {
		return "", classify(err)
	}
	defer body.Close()
	defer context.AfterFunc(ctx, func() { _ = body.Close() })() // the request is the whole pull's, and one layer may fail alone
	file, err := os.CreateTemp(s.path("ingest"), "blob-*")
	if err != nil {
		return "", diskFull(err)
	}
	defer file.Close()
	sum := sha256.New()
	// One byte more than promised is enough to know that the blob is not what it should be.
	n, err := io.Copy(io.MultiWriter(file, sum, counter(progress)), &cancelled{ctx, io.LimitReader(body, size+1)})
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", errors.Join(downloadError(err, sum, digest, n, size), os.Remove(file.Name()))
	}
	if got := hex.EncodeToString(sum.Sum(nil)); digest.Algorithm != "sha256" || got != digest.Hex || n != size {
		return "", errors.Join(fmt.Errorf("%w: want %s (%d bytes), got sha256:%s (%d bytes)", rt.ErrDigest, digest, size, got, n), os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// downloadError tells a full disk and a broken connection from a blob that is whole and wrong: the registry library checks as well, and
// its complaint comes with the last byte.
func downloadError(err error, sum hash.Hash, want v1.Hash, n, size int64) error {
	full := diskFull(err)
	switch {
	case errors.Is(full, rt.ErrDiskFull), errors.Is(err, context.Canceled):
		return full
	case n >= size && hex.EncodeToString(sum.Sum(nil)) != want.Hex:
		return fmt.Errorf("%w: %w", rt.ErrDigest, err)
	default:
		return fmt.Errorf("%w: after %d of %d bytes: %w", rt.ErrRegistry, n, size, err)
	}
}

// unpack makes a layer's directory out of its blob and removes the blob. chain ends with the layer's own name.
func (s *Store) unpack(ctx context.Context, blob string, chain []string, diff v1.Hash) (err error) {
	defer func() { err = errors.Join(err, os.Remove(blob)) }()
	own := chain[len(chain)-1]
	if exists(s.path("layers", own)) {
		return nil // another image with the same layer was quicker
	}
	tmp, err := os.MkdirTemp(s.path("ingest"), "layer-*")
	if err != nil {
		return diskFull(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	size, err := s.apply(ctx, blob, tmp, chain[:len(chain)-1], diff)
	if err != nil {
		return err
	}
	if err := toDisk(tmp); err != nil {
		return diskFull(err)
	}
	if err := writeFile(s.path("layers", own+".size"), []byte(strconv.FormatInt(size, 10))); err != nil {
		return diskFull(err)
	}
	if err := os.Rename(tmp, s.path("layers", own)); err != nil && !exists(s.path("layers", own)) {
		return fmt.Errorf("keep the layer: %w", err)
	}
	return nil
}

func (s *Store) apply(ctx context.Context, blob, dir string, below []string, diff v1.Hash) (int64, error) {
	file, err := os.Open(blob)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	stream, err := compression.DecompressStream(file)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", rt.ErrBadImage, err)
	}
	defer stream.Close()
	sum := sha256.New()
	bounded := &bound{r: io.TeeReader(stream, sum), left: s.config.MaxUnpacked, most: s.config.MaxUnpacked}
	parents := make([]string, 0, len(below))
	for i := len(below) - 1; i >= 0; i-- {
		parents = append(parents, s.path("layers", below[i]))
	}
	g := &guard{maxEntries: s.config.MaxEntries, maxBytes: s.config.MaxUnpacked}
	size, err := archive.Apply(ctx, dir, bounded, archive.WithFilter(g.check), archive.WithConvertWhiteout(archive.OverlayConvertWhiteout), archive.WithParents(parents))
	if err == nil {
		_, err = io.Copy(io.Discard, bounded) // what follows the end of the tar belongs to the digest
	}
	if err != nil {
		full := diskFull(err)
		if errors.Is(full, rt.ErrDiskFull) || errors.Is(err, context.Canceled) || ofTheNode(err) {
			return 0, full
		}
		return 0, fmt.Errorf("%w: %w", rt.ErrBadImage, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != diff.Hex {
		return 0, fmt.Errorf("%w: unpacked, want %s, got sha256:%s", rt.ErrDigest, diff, got)
	}
	return size, nil
}

// ofTheNode reports whether an error speaks of the machine and not of the image: another try may go well.
func ofTheNode(err error) bool {
	for _, errno := range []unix.Errno{unix.EIO, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EROFS, unix.EINTR} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// guard refuses what no honest layer holds, by name, before anything of it is written. That nothing is written outside the layer's
// directory is the archive package's work, which resolves every link inside it; the guard makes the attempt an error.
type guard struct {
	maxEntries int
	maxBytes   int64
	entries    int
	bytes      int64
}

func (g *guard) check(h *tar.Header) (bool, error) {
	if g.entries++; g.entries > g.maxEntries {
		return false, fmt.Errorf("more than %d entries", g.maxEntries)
	}
	if g.bytes += h.Size; h.Size < 0 || g.bytes > g.maxBytes {
		return false, fmt.Errorf("unpacks to more than %d bytes", g.maxBytes)
	}
	if climbs(h.Name) {
		return false, fmt.Errorf("entry %q leads out of the image", h.Name)
	}
	switch h.Typeflag {
	case tar.TypeLink:
		if climbs(h.Linkname) {
			return false, fmt.Errorf("hard link %q to %q leads out of the image", h.Name, h.Linkname)
		}
	case tar.TypeBlock, tar.TypeChar:
		// Old base images bring a /dev along, which the container's own covers. Anywhere else a device is a way to the host's.
		if first, _, _ := strings.Cut(strings.TrimPrefix(path.Clean("/"+h.Name), "/"), "/"); first == "dev" {
			return false, nil
		}
		return false, fmt.Errorf("entry %q is a device", h.Name)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "SCHILY.xattr.trusted.overlay.") {
			return false, fmt.Errorf("entry %q sets overlayfs's own attributes", h.Name)
		}
	}
	return true, nil
}

// climbs reports whether a name leads above where it starts.
func climbs(name string) bool {
	clean := path.Clean(strings.TrimPrefix(name, "/"))
	return clean == ".." || strings.HasPrefix(clean, "../")
}

// bound fails once more is read than a layer may hold.
type bound struct {
	r          io.Reader
	left, most int64
}

func (b *bound) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("unpacks to more than %d bytes", b.most)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// counter hands the number of bytes on.
type counter func(int64)

func (c counter) Write(p []byte) (int, error) {
	c(int64(len(p)))
	return len(p), nil
}

// cancelled ends a read when its context does.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func (s *Store) layerSize(name string) (int64, error) {
	data, err := os.ReadFile(s.path("layers", name+".size"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("size of a layer: %w", err)
	}
	if size, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil {
		return size, nil
	}
	return measure(s.path("layers", name)) // what was noted is damaged
}

// measure sums the files of a directory.
func measure(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}

// toDisk brings a directory's file system to disk, so that a layer that has its place is whole after a power loss as well.
func toDisk(dir string) error {
	f, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
