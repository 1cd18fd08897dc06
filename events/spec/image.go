package spec

import (
	"encoding/json"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// ImageRef is a structured image reference (OCI distribution specification, reference grammar of distribution/reference).
// In documents it is one string: [registry/]repository[:tag][@digest].
type ImageRef struct {
	Registry   string // host and port, such as docker.io or 127.0.0.1:5000
	Repository string // path below the registry, such as library/nginx
	Tag        string // empty where only a digest is given
	Digest     string // such as sha256:…; empty until resolved
}

const wantImage = "an image reference [registry/]repository[:tag][@digest]"

// ParseImage reads an image reference. A name without a registry is one of docker.io; one without tag and digest is tagged latest.
func ParseImage(text string) (ImageRef, error) {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return ImageRef{}, FieldError{Value: cut(text), Want: wantImage + " (" + err.Error() + ")"}
	}
	named = reference.TagNameOnly(named)
	ref := ImageRef{Registry: reference.Domain(named), Repository: reference.Path(named)}
	if t, ok := named.(reference.Tagged); ok {
		ref.Tag = t.Tag()
	}
	if d, ok := named.(reference.Digested); ok {
		if err := d.Digest().Validate(); err != nil {
			return ImageRef{}, FieldError{Value: cut(text), Want: "a digest of sha256: and 64 hex digits (" + err.Error() + ")"}
		}
		ref.Digest = d.Digest().String()
	}
	return ref, nil
}

// IsZero reports whether no image is named.
func (i ImageRef) IsZero() bool { return i == ImageRef{} }

// String implements fmt.Stringer with the full reference.
func (i ImageRef) String() string {
	if i.IsZero() {
		return ""
	}
	text := i.Registry + "/" + i.Repository
	if i.Tag != "" {
		text += ":" + i.Tag
	}
	if i.Digest != "" {
		text += "@" + i.Digest
	}
	return text
}

// Short is the reference without the digest where a tag names it as well, for tables.
func (i ImageRef) Short() string {
	if i.Tag != "" {
		i.Digest = ""
	}
	return i.String()
}

// WithDigest returns the reference pinned to a digest.
func (i ImageRef) WithDigest(d digest.Digest) ImageRef {
	i.Digest = d.String()
	return i
}

// MarshalJSON implements json.Marshaler.
func (i ImageRef) MarshalJSON() ([]byte, error) { return json.Marshal(i.String()) }

// UnmarshalJSON implements json.Unmarshaler.
func (i *ImageRef) UnmarshalJSON(data []byte) error {
	var text string // stays empty at null
	if err := json.Unmarshal(data, &text); err != nil {
		return notA(data, wantImage)
	}
	if text == "" {
		*i = ImageRef{}
		return nil
	}
	ref, err := ParseImage(text)
	if err != nil {
		return err
	}
	*i = ref
	return nil
}
