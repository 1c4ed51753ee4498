package reference

import (
	_ "crypto/sha256" // go-digest only verifies digests of linked algorithms:
	_ "crypto/sha512" // every digest that this package accepts must be verifiable
	"strings"

	"github.com/opencontainers/go-digest"
)

// CheckDigest returns an error unless s is a digest of an algorithm that the specification
// registers: "sha256:" and 64, or "sha512:" and 128 lower-case hexadecimal digits. The error wraps
// [ErrDigest]. It also wraps [ErrDigestUnsupported] if s is a well-formed digest of another
// algorithm.
func CheckDigest(s string) error {
	algorithm, encoded, found := strings.Cut(s, ":")
	if !found {
		return defect(ErrDigest, s, `it has no ":"`)
	}
	size := 0
	switch digest.Algorithm(algorithm) {
	case digest.SHA256:
		size = 64
	case digest.SHA512:
		size = 128
	default:
		return checkForeign(s, algorithm, encoded)
	}
	if len(encoded) != size {
		return defect(ErrDigest, s, "it has the wrong length for "+algorithm)
	}
	for i := 0; i < len(encoded); i++ {
		if c := encoded[i]; (c < '0' || '9' < c) && (c < 'a' || 'f' < c) {
			return defectAt(ErrDigest, s, len(algorithm)+1+i, "not a lower-case hexadecimal digit:")
		}
	}
	return nil
}

// ParseDigest returns s as a digest, or the error of [CheckDigest].
func ParseDigest(s string) (digest.Digest, error) {
	if err := CheckDigest(s); err != nil {
		return "", err
	}
	return digest.Digest(s), nil
}

// checkForeign returns the error for a text whose algorithm is not supported. The error wraps
// ErrDigestUnsupported only if s follows the grammar of digests in the image specification:
//
//	[a-z0-9]+([.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+
func checkForeign(s, algorithm, encoded string) error {
	prev := byte('.')
	for i := 0; i < len(algorithm); i++ {
		c := algorithm[i]
		isSeparator := c == '.' || c == '+' || c == '_' || c == '-'
		if !isLowerAlnum(c) && (!isSeparator || !isLowerAlnum(prev)) {
			return defectAt(ErrDigest, s, i, "not allowed in an algorithm:")
		}
		prev = c
	}
	if !isLowerAlnum(prev) {
		return defect(ErrDigest, s, "its algorithm is cut short")
	}
	if encoded == "" {
		return defect(ErrDigest, s, `nothing follows the ":"`)
	}
	for i := 0; i < len(encoded); i++ {
		c := encoded[i]
		if !isLowerAlnum(c) && (c < 'A' || 'Z' < c) && c != '=' && c != '_' && c != '-' {
			return defectAt(ErrDigest, s, len(algorithm)+1+i, "character not allowed:")
		}
	}
	return defect(ErrDigestUnsupported, s, "only sha256 and sha512 are")
}
