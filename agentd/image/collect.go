package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
	"golang.org/x/sys/unix"
)

// Collection says when images have to make room.
type Collection struct {
	High   int           // percent of the disk in use above which images are removed; 0: never
	Low    int           // and below which no more are
	MinAge time.Duration // images used more recently stay
}

// Validate says what is wrong with it.
func (c Collection) Validate() error {
	if c.High < 0 || c.High > 100 || c.Low < 0 || c.Low > c.High || c.MinAge < 0 {
		return fmt.Errorf("image collection above %d %% down to %d %%, not within %s: want percentages with high ≥ low and no negative time", c.High, c.Low, c.MinAge)
	}
	return nil
}

// use is how full the disk of dir is, in percent, as df(1) counts it.
func use(dir string) (float64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("use of the disk of %s: %w", dir, err)
	}
	used := float64(fs.Blocks - fs.Bfree)
	return 100 * used / max(1, used+float64(fs.Bavail)), nil
}

// Collect removes images while the disk is fuller than the configuration allows, the longest unused first. Images of keep, by what
// they were pulled as, and of inUse, by digest, stay; so do the layers of pulls under way.
func (s *Store) Collect(ctx context.Context, keep []spec.ImageRef, inUse map[string]bool) (removed []runtime.Image, err error) {
	c := s.config.Collection
	full, err := s.use(s.config.Dir)
	if err != nil || c.High == 0 || full < float64(c.High) {
		return nil, err
	}
	now := time.Now()
	candidates, used, err := s.candidates(keep, inUse, now.Add(-c.MinAge))
	if err != nil {
		return nil, err
	}
	// Layers of images that never became whole go first: nobody misses them.
	errs := []error{s.removeLayers(used, now.Add(-c.MinAge))}
	for _, one := range candidates {
		if full, err := s.use(s.config.Dir); err != nil || full < float64(c.Low) || ctx.Err() != nil {
			return removed, errors.Join(append(errs, err, ctx.Err())...)
		}
		// Its layers are nobody's once the record is gone, unless others have them as well.
		if err := os.Remove(one.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove image %s: %w", one.Ref, err))
			continue
		}
		for _, layer := range one.Chain {
			used[layer]--
		}
		errs = append(errs, s.removeLayers(used, now))
		ref, err := spec.ParseImage(one.Ref)
		if err != nil {
			errs = append(errs, err)
		}
		removed = append(removed, one.image(ref))
	}
	return removed, errors.Join(errs...)
}

type candidate struct {
	*record
	path string
	last time.Time
}

// candidates are the images that may go, the longest unused first, and how many images have each layer.
func (s *Store) candidates(keep []spec.ImageRef, inUse map[string]bool, before time.Time) (all []candidate, used map[string]int, err error) {
	kept := map[string]bool{}
	for _, ref := range keep {
		kept[ref.String()], kept[ref.Digest] = true, true
	}
	files, err := os.ReadDir(s.path("images"))
	if err != nil {
		return nil, nil, fmt.Errorf("list images: %w", err)
	}
	used = map[string]int{}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			continue
		}
		r, err := s.load("sha256:" + strings.TrimSuffix(f.Name(), ".json"))
		if err != nil {
			continue // it cannot be run from, nor be told to have any layer
		}
		for _, layer := range r.Chain {
			used[layer]++
		}
		if last := info.ModTime(); !kept[r.Ref] && !kept[r.Digest] && !inUse[r.Digest] && !last.After(before) {
			all = append(all, candidate{r, s.path("images", f.Name()), last})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return cmp.Or(a.last.Compare(b.last), cmp.Compare(a.Ref, b.Ref)) })
	return all, used, nil
}

// removeLayers removes the layers that no image has, no pull is about to use, and that were made before a time.
func (s *Store) removeLayers(used map[string]int, before time.Time) error {
	files, err := os.ReadDir(s.path("layers"))
	if err != nil {
		return fmt.Errorf("list layers: %w", err)
	}
	var errs []error
	for _, f := range files {
		if !f.IsDir() || used[f.Name()] > 0 {
			continue
		}
		// A layer's own time is its maker's; that of its size is when it came here.
		if info, err := os.Stat(s.path("layers", f.Name()+".size")); err == nil && info.ModTime().After(before) {
			continue
		}
		gone := s.path("ingest", "gone-"+f.Name())
		took, err := s.takeLayer(f.Name(), gone)
		if err != nil {
			errs = append(errs, fmt.Errorf("remove layer %s: %w", f.Name(), err))
		}
		if took {
			errs = append(errs, os.RemoveAll(gone))
		}
	}
	return errors.Join(errs...)
}

// takeLayer takes a layer out of its place in one step, unless a pull is about to use it.
func (s *Store) takeLayer(name, to string) (took bool, err error) {
	s.pins.Lock()
	defer s.pins.Unlock()
	if s.pinned[name] > 0 {
		return false, nil
	}
	if err := os.Rename(s.path("layers", name), to); err != nil {
		return false, err
	}
	_ = os.Remove(s.path("layers", name+".size")) // without its layer it says nothing
	return true, nil
}

// pin keeps layers from being collected until unpin.
func (s *Store) pin(layers []string) (unpin func()) {
	add := func(n int) {
		s.pins.Lock()
		defer s.pins.Unlock()
		for _, name := range layers {
			if s.pinned[name] += n; s.pinned[name] == 0 {
				delete(s.pinned, name)
			}
		}
	}
	add(1)
	return func() { add(-1) }
}

// touch notes that an image was used just now.
func (s *Store) touch(digest string) {
	now := time.Now()
	_ = os.Chtimes(filepath.Clean(s.path("images", hexOf(digest)+".json")), now, now) // at worst it goes sooner
}
