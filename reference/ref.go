package reference

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// Ref names a manifest in a repository by tag or by digest. It is the <reference> of the
// specification. Exactly one of the fields is set.
type Ref struct {
	// Tag is the tag, or "".
	Tag string
	// Digest is the digest, or "".
	Digest digest.Digest
}

// ParseRef reads a tag or a digest. A text with ":" is a digest, as no tag contains one. The error
// wraps [ErrTag] or [ErrDigest].
func ParseRef(s string) (Ref, error) {
	if strings.IndexByte(s, ':') < 0 {
		if err := CheckTag(s); err != nil {
			return Ref{}, err
		}
		return Ref{Tag: s}, nil
	}
	d, err := ParseDigest(s)
	if err != nil {
		return Ref{}, err
	}
	return Ref{Digest: d}, nil
}

// Check returns an error unless [ParseRef] could have returned r. It is for a Ref that Go code has
// filled in. The error wraps [ErrTag] or [ErrDigest].
func (r Ref) Check() error {
	if r.Digest == "" {
		return CheckTag(r.Tag)
	}
	if r.Tag != "" {
		return defect(ErrTag, r.Tag, "a digest is set, too")
	}
	return CheckDigest(string(r.Digest))
}

// String returns the tag or the digest, as in a URL.
func (r Ref) String() string {
	if r.Digest != "" {
		return string(r.Digest)
	}
	return r.Tag
}
