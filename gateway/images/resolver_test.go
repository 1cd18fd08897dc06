package images_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/rutter-run/rutter/events"
	"github.com/rutter-run/rutter/events/spec"
	"github.com/rutter-run/rutter/gateway/images"
)

func ref(t *testing.T, text string) spec.ImageRef {
	r, err := spec.ParseImage(text)
	require.NoError(t, err)
	return r
}

func TestATagBecomesItsDigest(t *testing.T) {
	for _, head := range []bool{true, false} { // some registries do not answer HEAD
		handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
		filled := false
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead && !head && filled && strings.Contains(r.URL.Path, "/manifests/") {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			handler.ServeHTTP(w, r)
		}))
		defer server.Close()
		host := strings.TrimPrefix(server.URL, "http://")
		image, err := random.Image(64, 1)
		require.NoError(t, err)
		tag, err := name.ParseReference(host + "/app:v1")
		require.NoError(t, err)
		require.NoError(t, remote.Write(tag, image))
		filled = true
		want, err := image.Digest()
		require.NoError(t, err)

		got, err := images.NewResolver().Resolve(t.Context(), ref(t, host+"/app:v1"))
		require.NoError(t, err)
		require.Equal(t, want.String(), got.Digest)
		require.Equal(t, "v1", got.Tag, "the tag stays, for people")
		again, err := images.NewResolver().Resolve(t.Context(), got)
		require.NoError(t, err)
		require.Equal(t, got, again)

		_, err = images.NewResolver().Resolve(t.Context(), ref(t, host+"/app:v2"))
		require.ErrorIs(t, err, events.ErrNoImage)
		require.ErrorContains(t, err, "has no image "+host+"/app:v2: check repository and tag")
	}
}

func TestARegistrysRefusalsAreToldApart(t *testing.T) {
	for _, c := range []struct {
		status int
		is     error
		text   string
	}{
		{http.StatusForbidden, events.ErrNoImage, "or none for these credentials"},
		{http.StatusTooManyRequests, events.ErrUnavailable, "allows no more requests now"},
		{http.StatusInternalServerError, events.ErrUnavailable, "answers 500"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/manifests/") {
				w.WriteHeader(c.status)
			}
		}))
		_, err := images.NewResolver().Resolve(t.Context(), ref(t, strings.TrimPrefix(server.URL, "http://")+"/app:v1"))
		server.Close()
		require.ErrorIs(t, err, c.is)
		require.ErrorContains(t, err, c.text)
	}
	_, err := images.NewResolver().Resolve(t.Context(), ref(t, "127.0.0.1:1/app:v1"))
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "registry 127.0.0.1:1 cannot be reached")
	require.NotContains(t, err.Error(), "log unavailable")
}

func TestAnInsecureRegistryIsAskedOverHTTPOnlyWhereThatIsAllowed(t *testing.T) {
	var asked []string
	listen := func(ctx context.Context, network, address string) (net.Conn, error) {
		asked = append(asked, address)
		return nil, errors.New("nobody is there")
	}
	before := remote.DefaultTransport.(*http.Transport).DialContext
	remote.DefaultTransport.(*http.Transport).DialContext = listen
	defer func() { remote.DefaultTransport.(*http.Transport).DialContext = before }()
	_, err := images.NewResolver().Resolve(t.Context(), ref(t, "registry.example/app:v1"))
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.NotContains(t, asked, "registry.example:80")
	_, err = images.NewResolver("registry.example").Resolve(t.Context(), ref(t, "registry.example/app:v1"))
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.Contains(t, asked, "registry.example:80")
}
