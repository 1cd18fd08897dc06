package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	rt "github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/internal/testimage"
	"golang.org/x/sys/unix"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT ROOT: unpacking keeps owners and needs root")
	}
}

func serve(t *testing.T) *testimage.Registry {
	t.Helper()
	r, err := testimage.Serve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func push(t *testing.T, r *testimage.Registry, name string, image v1.Image) spec.ImageRef {
	t.Helper()
	text, err := r.Push(t.Context(), name, "1", image)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := spec.ParseImage(text)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func imageOf(t *testing.T, layers ...[]testimage.Entry) v1.Image {
	t.Helper()
	image := empty.Image
	for _, entries := range layers {
		layer, err := testimage.Layer(entries...)
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatal(err)
		}
	}
	return image
}

func open(t *testing.T, change func(*Config)) *Store {
	t.Helper()
	config := Config{Dir: filepath.Join(t.TempDir(), "images")}
	if change != nil {
		change(&config)
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPullMountAndForget(t *testing.T) {
	needRoot(t)
	r, s := serve(t), open(t, nil)
	ref := push(t, r, "app", imageOf(t,
		[]testimage.Entry{testimage.Dir("etc", 0o755), testimage.File("etc/keep", 0o644, "one"), testimage.File("etc/gone", 0o644, "x"), testimage.Dir("opaque", 0o755), testimage.File("opaque/below", 0o644, "x")},
		[]testimage.Entry{testimage.File("etc/.wh.gone", 0o644, ""), testimage.File("etc/keep", 0o600, "two"), testimage.File("opaque/.wh..wh..opq", 0o644, ""), testimage.File("opaque/above", 0o644, "y"),
			{Header: tar.Header{Name: "etc/hard", Typeflag: tar.TypeLink, Linkname: "etc/keep"}}},
	))
	var last rt.PullProgress
	image, err := s.Pull(t.Context(), ref, func(p rt.PullProgress) { last = p })
	if err != nil {
		t.Fatal(err)
	}
	if last.LayersDone != 2 || last.BytesDone != last.Bytes {
		t.Errorf("progress ends at %+v", last)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := s.Pull(t.Context(), ref, func(rt.PullProgress) { t.Error("an image that is there is pulled again") })
	if err != nil || again != image {
		t.Errorf("without a registry: %+v, %v", again, err)
	}
	dir := t.TempDir()
	target := filepath.Join(dir, "root")
	for range 2 { // mounting twice is mounting once
		if err := s.Mount(image, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), target); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { s.Unmount(target) })
	for name, want := range map[string]string{"etc/keep": "two", "etc/hard": "two", "opaque/above": "y"} {
		if got, err := os.ReadFile(filepath.Join(target, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v), want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"etc/gone", "opaque/below"} {
		if exists(filepath.Join(target, name)) {
			t.Errorf("%s was removed by the upper layer and is there", name)
		}
	}
	for range 2 {
		if err := s.Unmount(target); err != nil {
			t.Error(err)
		}
	}
	if mounted(target) {
		t.Error("still mounted")
	}
}

// TestHostileLayers: each is refused with its reason, nothing outside the store is touched, and the store goes on working.
func TestHostileLayers(t *testing.T) {
	needRoot(t)
	canary := t.TempDir()
	file := filepath.Join(canary, "file")
	if err := os.WriteFile(file, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(name, target string) testimage.Entry {
		return testimage.Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}}
	}
	hard := func(name, target string) testimage.Entry {
		return testimage.Entry{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}}
	}
	device := func(name string, kind byte) testimage.Entry {
		return testimage.Entry{Header: tar.Header{Name: name, Typeflag: kind, Devmajor: 1, Devminor: 3, Mode: 0o666}}
	}
	up := strings.Repeat("../", 30)
	many := make([]testimage.Entry, 50)
	for i := range many {
		many[i] = testimage.File("f"+strings.Repeat("x", i), 0o644, "")
	}
	overlay := testimage.File("d", 0o644, "")
	overlay.Header.PAXRecords = map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/"}
	tests := map[string]struct {
		entries []testimage.Entry
		want    error // nil: harmless
		says    string
	}{
		"a name that climbs":                   {[]testimage.Entry{testimage.File(up+canary+"/file", 0o644, "owned")}, rt.ErrBadImage, "leads out"},
		"a name that climbs in the middle":     {[]testimage.Entry{testimage.File("a/"+up+canary+"/file", 0o644, "owned")}, rt.ErrBadImage, "leads out"},
		"an absolute name stays inside":        {[]testimage.Entry{testimage.File(file, 0o644, "owned")}, nil, ""},
		"writing through an absolute link":     {[]testimage.Entry{link("way", canary), testimage.File("way/file", 0o644, "owned")}, nil, ""},
		"writing through a climbing link":      {[]testimage.Entry{link("way", up+canary), testimage.File("way/file", 0o644, "owned")}, nil, ""},
		"replacing the root by a link":         {[]testimage.Entry{link("./", canary), testimage.File("file", 0o644, "owned")}, nil, ""},
		"a hard link that climbs":              {[]testimage.Entry{hard("stolen", up+file)}, rt.ErrBadImage, "leads out"},
		"a hard link to an absolute name":      {[]testimage.Entry{hard("stolen", file)}, rt.ErrBadImage, ""},
		"a hard link through a link":           {[]testimage.Entry{link("way", canary), hard("stolen", "way/file")}, rt.ErrBadImage, ""},
		"a block device":                       {[]testimage.Entry{device("disk", tar.TypeBlock)}, rt.ErrBadImage, "device"},
		"a character device":                   {[]testimage.Entry{device("usr/kmem", tar.TypeChar)}, rt.ErrBadImage, "device"},
		"a device under a dev that is no /dev": {[]testimage.Entry{device("usr/../kmem", tar.TypeChar)}, rt.ErrBadImage, "device"},
		"a device in /dev is left out":         {[]testimage.Entry{device("dev/null", tar.TypeChar)}, nil, ""},
		"a whiteout of the parent":             {[]testimage.Entry{testimage.Dir("a", 0o755), testimage.File("a/.wh...", 0o644, "")}, rt.ErrBadImage, ""},
		"a whiteout of itself":                 {[]testimage.Entry{testimage.Dir("a", 0o755), testimage.File("a/.wh..", 0o644, "")}, rt.ErrBadImage, ""},
		"attributes of overlayfs":              {[]testimage.Entry{overlay}, rt.ErrBadImage, "overlayfs"},
		"more entries than allowed":            {many, rt.ErrBadImage, "more than 20 entries"},
		"more bytes than allowed":              {[]testimage.Entry{testimage.File("zeros", 0o644, strings.Repeat("\x00", 2<<20))}, rt.ErrBadImage, "more than 1048576 bytes"},
		"a file where a directory has to be":   {[]testimage.Entry{testimage.File("a", 0o644, ""), testimage.File("a/b", 0o644, "")}, rt.ErrBadImage, ""},
	}
	r := serve(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(c *Config) { c.MaxEntries, c.MaxUnpacked = 20, 1<<20 })
			_, err := s.Pull(t.Context(), push(t, r, "hostile", imageOf(t, test.entries)), nil)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%q does not say %q", err, test.says)
			}
			if got, err := os.ReadFile(file); err != nil || string(got) != "untouched" {
				t.Fatalf("outside the image: %q, %v", got, err)
			}
			if names, err := os.ReadDir(canary); err != nil || len(names) != 1 {
				t.Fatalf("outside the image: %v, %v", names, err)
			}
			var stat unix.Stat_t
			if err := unix.Stat(file, &stat); err != nil || stat.Nlink != 1 {
				t.Fatalf("the file outside has %d links (%v)", stat.Nlink, err)
			}
			unharmed(t, r, s)
		})
	}
}

// unharmed makes sure that nothing unfinished is left and that a good image can be pulled.
func unharmed(t *testing.T, r *testimage.Registry, s *Store) {
	t.Helper()
	if left, err := os.ReadDir(s.path("ingest")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := s.Pull(t.Context(), push(t, r, "good", imageOf(t, []testimage.Entry{testimage.File("f", 0o644, "good")})), nil); err != nil {
		t.Errorf("a good image afterwards: %v", err)
	}
}

// tampered is a registry whose blobs go through change.
func tampered(t *testing.T, change func([]byte) []byte) *testimage.Registry {
	t.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodGet || !strings.Contains(q.URL.Path, "/blobs/sha256:") {
			inner.ServeHTTP(w, q)
			return
		}
		recorder := httptest.NewRecorder()
		inner.ServeHTTP(recorder, q)
		body := recorder.Body.Bytes()
		if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) { // a layer, not the configuration
			body = change(body)
		}
		w.WriteHeader(recorder.Code)
		w.(http.Flusher).Flush() // without a Content-Length that would give it away
		w.Write(body)
	}))
	t.Cleanup(server.Close)
	return &testimage.Registry{Host: strings.TrimPrefix(server.URL, "http://")}
}

func TestBlobsThatAreNotWhatTheySay(t *testing.T) {
	needRoot(t)
	for name, test := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"one byte changed": {func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }, rt.ErrDigest},
		"cut short":        {func(b []byte) []byte { return b[:len(b)/2] }, rt.ErrRegistry},
		// What follows the promised size is not even read.
		"too long": {func(b []byte) []byte { return append(bytes.Clone(b), "more"...) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := tampered(t, test.change), open(t, nil)
			_, err := s.Pull(t.Context(), push(t, r, "app", imageOf(t, []testimage.Entry{testimage.File("f", 0o644, "content")})), nil)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			unharmed(t, serve(t), s)
		})
	}
}

func TestAConfigurationWithAnotherDiffIDIsRefused(t *testing.T) {
	needRoot(t)
	r, s := serve(t), open(t, nil)
	image := imageOf(t, []testimage.Entry{testimage.File("f", 0o644, "content")})
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config.RootFS.DiffIDs[0].Hex = strings.Repeat("0", 64)
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pull(t.Context(), push(t, r, "app", image), nil); !errors.Is(err, rt.ErrDigest) {
		t.Errorf("got %v, want %v", err, rt.ErrDigest)
	}
	unharmed(t, r, s)
}

func TestRegistriesThatHaveNothing(t *testing.T) {
	needRoot(t)
	r, s := serve(t), open(t, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := listener.Addr().String()
	listener.Close()
	none := "sha256:" + strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		ref  spec.ImageRef
		want error
	}{
		"unknown repository": {spec.ImageRef{Registry: r.Host, Repository: "none", Tag: "1"}, rt.ErrImageNotFound},
		"unknown digest":     {spec.ImageRef{Registry: r.Host, Repository: "none", Digest: none}, rt.ErrImageNotFound},
		"dead registry":      {spec.ImageRef{Registry: dead, Repository: "app", Digest: none}, rt.ErrRegistry},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := s.Pull(t.Context(), test.ref, nil); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			unharmed(t, r, s)
		})
	}
}

func TestAFullDiskIsToldApart(t *testing.T) {
	needRoot(t)
	disk := t.TempDir()
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(disk, 0) })
	r, s := serve(t), open(t, func(c *Config) { c.Dir = filepath.Join(disk, "images") })
	noise := make([]byte, 4<<20)
	if f, err := os.Open("/dev/urandom"); err != nil {
		t.Fatal(err)
	} else if _, err := io.ReadFull(f, noise); err != nil {
		t.Fatal(err)
	}
	big := imageOf(t, []testimage.Entry{{Header: tar.Header{Name: "noise", Typeflag: tar.TypeReg, Mode: 0o644}, Body: noise}})
	if _, err := s.Pull(t.Context(), push(t, r, "big", big), nil); !errors.Is(err, rt.ErrDiskFull) {
		t.Errorf("while it is downloaded: got %v, want %v", err, rt.ErrDiskFull)
	}
	zeros := imageOf(t, []testimage.Entry{testimage.File("zeros", 0o644, strings.Repeat("\x00", 4<<20))})
	if _, err := s.Pull(t.Context(), push(t, r, "zeros", zeros), nil); !errors.Is(err, rt.ErrDiskFull) {
		t.Errorf("while it is unpacked: got %v, want %v", err, rt.ErrDiskFull)
	}
	unharmed(t, r, s)
}

func TestAPullThatIsGivenUpLeavesTheOthersAlone(t *testing.T) {
	needRoot(t)
	r, s := serve(t), open(t, nil)
	ref := push(t, r, "app", imageOf(t, []testimage.Entry{testimage.File("f", 0o644, "content")}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Pull(ctx, ref, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, err := s.Pull(t.Context(), ref, nil); err != nil {
		t.Error(err)
	}
}
