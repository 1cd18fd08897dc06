package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rt "github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/testimage"
)

// fullUntil makes the disk full until so few images are left.
func fullUntil(s *Store, few int) {
	s.use = func(string) (float64, error) {
		files, err := os.ReadDir(s.path("images"))
		if len(files) > few {
			return 99, err
		}
		return 10, err
	}
}

func age(t *testing.T, s *Store, ref spec.ImageRef, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	if err := os.Chtimes(s.path("images", hexOf(ref.Digest)+".json"), then, then); err != nil {
		t.Fatal(err)
	}
}

// TestImagesMakeRoomOldestFirst: what is kept, in use or just used stays, a layer goes with the last image that has it.
func TestImagesMakeRoomOldestFirst(t *testing.T) {
	needRoot(t)
	r := serve(t)
	s := open(t, func(c *Config) { c.Collection = Collection{High: 85, Low: 80, MinAge: time.Minute} })
	shared := []testimage.Entry{testimage.File("base", 0o644, "shared by all")}
	refs := make([]spec.ImageRef, 6)
	for i := range refs {
		refs[i] = push(t, r, fmt.Sprintf("app%d", i), imageOf(t, shared, []testimage.Entry{testimage.File("own", 0o644, fmt.Sprint(i))}))
		if _, err := s.Pull(t.Context(), refs[i], nil); err != nil {
			t.Fatal(err)
		}
		age(t, s, refs[i], time.Duration(len(refs)-i)*time.Hour) // 0 is the oldest
	}
	if removed, err := s.Collect(t.Context(), nil, nil); err != nil || len(removed) > 0 {
		t.Fatalf("with room enough: removed %v, %v", removed, err)
	}
	age(t, s, refs[5], 0) // used just now
	fullUntil(s, 4)
	removed, err := s.Collect(t.Context(), refs[:1], map[string]bool{refs[1].Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(removed) != 2 || removed[0].Ref != refs[2] || removed[1].Ref != refs[3] {
		t.Errorf("removed %v, want app2 and app3", removed)
	}
	fullUntil(s, 0) // nothing is enough
	if _, err := s.Collect(t.Context(), refs[:1], map[string]bool{refs[1].Digest: true}); err != nil {
		t.Fatal(err)
	}
	for i, stays := range []bool{true, true, false, false, false, true} {
		if _, err := s.Layers(rt.Image{Ref: refs[i], Digest: refs[i].Digest}); (err == nil) != stays || err != nil && !errors.Is(err, rt.ErrImageMissing) {
			t.Errorf("app%d: %v, want it to stay: %v", i, err, stays)
		}
	}
	layers, err := filepath.Glob(s.path("layers", "*"))
	if err != nil || len(layers) != 2*(1+3) {
		t.Errorf("layers and their sizes left: %v, %v; want the shared one and those of three images", layers, err)
	}
	unharmed(t, r, s)
	// What was removed is pulled again when it is wanted.
	if _, err := s.Pull(t.Context(), refs[3], nil); err != nil {
		t.Error(err)
	}
}

// TestLayersOfAPullUnderWayStay: it has found them there, and will not look again.
func TestLayersOfAPullUnderWayStay(t *testing.T) {
	needRoot(t)
	r := serve(t)
	s := open(t, func(c *Config) { c.Collection = Collection{High: 85, Low: 80} })
	ref := push(t, r, "app", imageOf(t, []testimage.Entry{testimage.File("f", 0o644, "content")}))
	if _, err := s.Pull(t.Context(), ref, nil); err != nil {
		t.Fatal(err)
	}
	record, err := s.load(ref.Digest)
	if err != nil {
		t.Fatal(err)
	}
	age(t, s, ref, time.Hour)
	fullUntil(s, 0)
	unpin := s.pin(record.Chain)
	if removed, err := s.Collect(t.Context(), nil, nil); err != nil || len(removed) != 1 {
		t.Fatalf("removed %v, %v", removed, err)
	}
	if !exists(s.path("layers", record.Chain[0])) {
		t.Error("the layer went from under a pull")
	}
	unpin()
	s.use = func(string) (float64, error) { return 99, nil }
	if _, err := s.Collect(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if exists(s.path("layers", record.Chain[0])) {
		t.Error("a layer that nobody has stays")
	}
	if left, err := os.ReadDir(s.path("ingest")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestCollectionsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, c := range []Collection{{High: 101}, {High: -1}, {High: 50, Low: 60}, {High: 80, Low: 70, MinAge: -1}} {
		if _, err := New(Config{Dir: t.TempDir(), Collection: c}); err == nil || !strings.Contains(err.Error(), "high ≥ low") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
