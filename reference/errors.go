package reference

import (
	"errors"
	"fmt"
	"strconv"
)

// The functions of this package wrap these errors; test for them with [errors.Is].
var (
	// ErrHost is returned when the host of an image name is malformed.
	ErrHost = errors.New("invalid host")
	// ErrName is returned when a text is not a repository name.
	ErrName = errors.New("invalid repository name")
	// ErrTag is returned when a text is not a tag.
	ErrTag = errors.New("invalid tag")
	// ErrDigest is returned when a text is not a digest that a registry of this module can store.
	ErrDigest = errors.New("invalid digest")
	// ErrDigestUnsupported is returned for a well-formed digest of an algorithm other than sha256
	// and sha512. It wraps ErrDigest.
	ErrDigestUnsupported = fmt.Errorf("%w: unsupported algorithm", ErrDigest)
)

// maxQuoted is the maximum number of bytes of input that a message repeats.
const maxQuoted = 64

// Quote returns s as a Go string literal of printable ASCII, for use in messages. If s is longer
// than 64 bytes, Quote returns the first 64 bytes and "...".
func Quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.QuoteToASCII(s[:maxQuoted]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// defect returns an error that wraps kind and describes the problem with s.
func defect(kind error, s, problem string) error {
	return fmt.Errorf("%w: %s: %s", kind, Quote(s), problem)
}

// defectAt returns an error that wraps kind and describes the problem with the byte of s at index
// i.
func defectAt(kind error, s string, i int, problem string) error {
	return fmt.Errorf("%w: %s: %s %s at byte %d", kind, Quote(s), problem, Quote(s[i:i+1]), i)
}
