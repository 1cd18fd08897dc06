package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"

	rt "github.com/rutter-run/rutter/agentd/runtime"
)

// manifestChecker checks every manifest that is asked for by digest. The registry library does so as well, but with an error that only
// its text tells apart.
type manifestChecker struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (c manifestChecker) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(r)
	if err != nil || r.Method != http.MethodGet || response.StatusCode != http.StatusOK {
		return response, err
	}
	if _, digest, ok := strings.Cut(r.URL.Path, "/manifests/sha256:"); ok {
		response.Body = &checkedBody{ReadCloser: response.Body, want: digest, sum: sha256.New()}
	}
	return response, nil
}

type checkedBody struct {
	io.ReadCloser
	want string
	sum  hash.Hash
}

// Read implements io.Reader; in place of the end it gives [rt.ErrDigest] where the whole is not what was asked for.
func (b *checkedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	_, _ = b.sum.Write(p[:n]) // never fails
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(b.sum.Sum(nil)); got != b.want {
			return n, fmt.Errorf("%w: manifest, want sha256:%s, got sha256:%s", rt.ErrDigest, b.want, got)
		}
	}
	return n, err
}
