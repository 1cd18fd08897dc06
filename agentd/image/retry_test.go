package image

import (
	"archive/tar"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/sys/unix"

	rt "github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/internal/testimage"
)

// What was downloaded of an image goes with it when another of its layers fails: kept, every try would fill the disk a little more.
func TestAFailedPullLeavesNoBlobOfItsOtherLayers(t *testing.T) {
	needRoot(t)
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(disk, 0) })
	r, s := serve(t), open(t, func(c *Config) { c.Dir = filepath.Join(disk, "images") })
	device := testimage.Entry{Header: tar.Header{Name: "disk", Typeflag: tar.TypeBlock}}
	for name, test := range map[string]struct {
		first []testimage.Entry
		want  error
	}{
		"full disk":     {[]testimage.Entry{testimage.File("zeros", 0o644, strings.Repeat("\x00", 8<<20))}, rt.ErrDiskFull},
		"hostile layer": {[]testimage.Entry{device}, rt.ErrBadImage},
	} {
		t.Run(name, func(t *testing.T) {
			ref := push(t, r, "two", imageOf(t, test.first, []testimage.Entry{testimage.File("good", 0o644, "x")}))
			for range 3 {
				if _, err := s.Pull(t.Context(), ref, nil); !errors.Is(err, test.want) {
					t.Fatalf("got %v, want %v", err, test.want)
				}
			}
			unharmed(t, r, s)
		})
	}
}

// An answer that breaks off, or is not what was asked for, is told apart from an image that is bad for ever.
func TestAnswersThatBreakOffAreWorthAnotherTry(t *testing.T) {
	needRoot(t)
	half := func(w http.ResponseWriter, whole *httptest.ResponseRecorder) {
		w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
		w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	}
	other := func(w http.ResponseWriter, whole *httptest.ResponseRecorder) {
		w.Write(append(whole.Body.Bytes(), '\n'))
	}
	for name, test := range map[string]struct {
		path  string
		spoil func(http.ResponseWriter, *httptest.ResponseRecorder)
		want  error
	}{
		"half a manifest":    {"/manifests/", half, rt.ErrRegistry},
		"half a blob":        {"/blobs/", half, rt.ErrRegistry},
		"another's manifest": {"/manifests/", other, rt.ErrDigest},
	} {
		t.Run(name, func(t *testing.T) {
			inner, spoilt := registry.New(), false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				if !spoilt || q.Method != http.MethodGet || !strings.Contains(q.URL.Path, test.path) {
					inner.ServeHTTP(w, q)
					return
				}
				whole := httptest.NewRecorder()
				inner.ServeHTTP(whole, q)
				w.Header().Set("Content-Type", whole.Header().Get("Content-Type"))
				test.spoil(w, whole)
			}))
			t.Cleanup(server.Close)
			r, s := &testimage.Registry{Host: strings.TrimPrefix(server.URL, "http://")}, open(t, nil)
			ref := push(t, r, "app", imageOf(t, []testimage.Entry{testimage.File("f", 0o644, "content")}))
			spoilt = true
			if _, err := s.Pull(t.Context(), ref, nil); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if left, err := os.ReadDir(s.path("ingest")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
			spoilt = false
			if _, err := s.Pull(t.Context(), ref, nil); err != nil {
				t.Errorf("once the registry is well: %v", err)
			}
		})
	}
}
