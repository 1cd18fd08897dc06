package image

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	rt "github.com/rutter-run/rutter/agentd/runtime"
	"github.com/rutter-run/rutter/internal/testimage"
)

// stalling is a registry that takes some requests and never answers them, or only begins to.
func stalling(t *testing.T, path string, begin bool) (r *testimage.Registry, stall *atomic.Bool, asked chan struct{}) {
	t.Helper()
	inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	stall, asked = &atomic.Bool{}, make(chan struct{}, 100)
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !stall.Load() || !strings.Contains(q.URL.Path, path) {
			inner.ServeHTTP(w, q)
			return
		}
		if begin {
			whole := httptest.NewRecorder()
			inner.ServeHTTP(whole, q)
			for name, values := range whole.Header() {
				w.Header()[name] = values
			}
			w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
			w.(http.Flusher).Flush()
		}
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-over:
		case <-q.Context().Done():
		}
	}))
	t.Cleanup(func() {
		close(over)
		server.CloseClientConnections()
		server.Close()
	})
	return &testimage.Registry{Host: strings.TrimPrefix(server.URL, "http://")}, stall, asked
}

// TestARegistryThatStallsIsGivenUp: at the first byte or amid an answer, of the manifest or of a layer.
func TestARegistryThatStallsIsGivenUp(t *testing.T) {
	needRoot(t)
	for name, test := range map[string]struct {
		path  string
		begin bool
	}{
		"no manifest":     {"/manifests/", false},
		"half a manifest": {"/manifests/", true},
		"no layer":        {"/blobs/", false},
		"half a layer":    {"/blobs/", true},
	} {
		t.Run(name, func(t *testing.T) {
			r, stall, _ := stalling(t, test.path, test.begin)
			s := open(t, func(c *Config) { c.Quiet = 50 * time.Millisecond })
			ref := push(t, r, "app", imageOf(t, []testimage.Entry{testimage.File("f", 0o644, strings.Repeat("content", 10000))}))
			stall.Store(true)
			if _, err := s.Pull(t.Context(), ref, nil); !errors.Is(err, rt.ErrRegistry) {
				t.Errorf("got %v, want %v", err, rt.ErrRegistry)
			}
			if left, err := os.ReadDir(s.path("ingest")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestAPullThatNobodyWaitsForEnds, so that a stalled registry holds nothing.
func TestAPullThatNobodyWaitsForEnds(t *testing.T) {
	needRoot(t)
	r, stall, asked := stalling(t, "/blobs/", true)
	s := open(t, func(c *Config) { c.Quiet = time.Hour })
	ref := push(t, r, "app", imageOf(t, []testimage.Entry{testimage.File("f", 0o644, strings.Repeat("content", 10000))}))
	stall.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	patient, give := context.WithCancel(t.Context())
	results, heard := make(chan error, 2), make(chan struct{}, 100)
	pull := func(ctx context.Context) {
		_, err := s.Pull(ctx, ref, func(rt.PullProgress) { heard <- struct{}{} })
		results <- err
	}
	go pull(ctx)
	<-asked
	go pull(patient)
	<-heard // the first, at once
	<-heard // one of the second's or the first's
	s.pulls.mu.Lock()
	one := s.pulls.all[ref.String()]
	s.pulls.mu.Unlock()
	waitFor(t, "both to wait for one pull", func() bool {
		s.pulls.mu.Lock()
		defer s.pulls.mu.Unlock()
		return one.waiting == 2
	})
	cancel()
	if err := <-results; !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	select {
	case <-one.done:
		t.Fatalf("it ended although somebody waits: %v", one.err)
	default:
	}
	give()
	<-results
	<-one.done // or the test hangs
	if left, err := os.ReadDir(s.path("ingest")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	stall.Store(false)
	if _, err := s.Pull(t.Context(), ref, nil); err != nil {
		t.Errorf("once the registry is well: %v", err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestDamagedFilesOfTheStoreArePulledAgain: whatever of an image's files a power loss has torn.
func TestDamagedFilesOfTheStoreArePulledAgain(t *testing.T) {
	needRoot(t)
	for _, file := range []string{"images/*.json", "configs/*.json", "layers/*.size"} {
		for name, content := range map[string]string{"torn": `{"ref`, "empty": "", "zeros": "\x00\x00\x00\x00", "another": "{}"} {
			t.Run(file+" "+name, func(t *testing.T) {
				r, s := serve(t), open(t, nil)
				ref := push(t, r, "app", imageOf(t, []testimage.Entry{testimage.File("f", 0o644, "content")}))
				image, err := s.Pull(t.Context(), ref, nil)
				if err != nil {
					t.Fatal(err)
				}
				damage(t, s, file, content)
				if s, err = New(s.config); err != nil {
					t.Fatal(err)
				}
				if _, err := s.List(); err != nil {
					t.Errorf("List: %v", err)
				}
				if _, err := s.Config(image); err != nil && !errors.Is(err, rt.ErrImageMissing) {
					t.Errorf("Config: %v, want %v", err, rt.ErrImageMissing)
				}
				again, err := s.Pull(t.Context(), ref, nil)
				if err != nil || again.Size == 0 {
					t.Fatalf("pulled again: %+v, %v", again, err)
				}
				if _, err := s.Config(again); err != nil {
					t.Error(err)
				}
				if _, err := s.Layers(again); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func damage(t *testing.T, s *Store, pattern, content string) {
	t.Helper()
	files, err := filepath.Glob(s.path(pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v, %v", pattern, files, err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
