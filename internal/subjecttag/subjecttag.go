// Package subjecttag reads and writes tags that name a manifest by its digest: those of the referrers
// tag schema (distribution spec, section "Referrers Tag Schema"), and those of cosign, which end in a
// suffix such as ".sig".
package subjecttag

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// maxLength is reference.MaxTagLength, without the dependencies of that package.
const maxLength = 128

// Of returns the tag of the referrers tag schema for a manifest. A tag that is too long is cut.
func Of(subject digest.Digest) string {
	tag := string(subject.Algorithm()) + "-" + subject.Encoded()
	return tag[:min(len(tag), maxLength)]
}

// Parse returns the manifest that a tag names, and the suffix, which is "" or begins with a dot. subject
// is "" if Of has cut the tag. ok is false for any other tag.
func Parse(tag string) (subject digest.Digest, suffix string, ok bool) {
	algorithm, rest, _ := strings.Cut(tag, "-")
	size := map[string]int{"sha256": 64, "sha384": 96, "sha512": 128}[algorithm]
	hex, suffix, dot := strings.Cut(rest, ".")
	if size == 0 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", "", false
	}
	if dot {
		suffix = "." + suffix
	}
	switch {
	case len(hex) == size:
		return digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex), suffix, true
	case len(hex) < size && len(tag) == maxLength && !dot:
		return "", "", true
	}
	return "", "", false
}
