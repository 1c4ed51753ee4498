package reference

import (
	"errors"
	"fmt"
	"strconv"
)

// Errors that the functions of this package wrap, to be tested for with [errors.Is].
var (
	// ErrHost is wrapped when the host of an [Image] is malformed.
	ErrHost = errors.New("invalid host")
	// ErrName: the text is not a repository name.
	ErrName = errors.New("invalid repository name")
	// ErrTag: the text is not a tag.
	ErrTag = errors.New("invalid tag")
	// ErrDigest: the text is not a digest that a registry of this module can hold.
	ErrDigest = errors.New("invalid digest")
	// ErrDigestUnsupported: the text is a well-formed digest of an algorithm other than sha256 and
	// sha512. It wraps ErrDigest.
	ErrDigestUnsupported = fmt.Errorf("%w: unsupported algorithm", ErrDigest)
)

// maxQuoted is how many bytes of input a message repeats.
const maxQuoted = 64

// Quote returns s as a Go string literal of printable ASCII, for use in messages. Of a longer s it
// quotes the first 64 bytes and appends "...", so the result is short whatever s is.
func Quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.QuoteToASCII(s[:maxQuoted]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// defect describes what is wrong with s by wrapping kind.
func defect(kind error, s, problem string) error {
	return fmt.Errorf("%w: %s: %s", kind, Quote(s), problem)
}

// defectAt describes what is wrong with the byte of s at index i by wrapping kind.
func defectAt(kind error, s string, i int, problem string) error {
	return fmt.Errorf("%w: %s: %s %s at byte %d", kind, Quote(s), problem, Quote(s[i:i+1]), i)
}
