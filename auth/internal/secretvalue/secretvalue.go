// Package secretvalue generates, parses and hashes random secrets, such as personal access tokens and refresh tokens.
// A secret is one word, which a double click selects:
//
//	prefix | payload, such as its ID | 32 random characters | checksum of 7 characters
//
// All characters after the prefix are lower-case base32 (RFC 4648): letters and the digits 2 to 7. So a secret has 160
// random bits. Nobody can guess them, and a fast hash is enough to store the secret. Scanners find a secret in leaked
// files by its prefix and checksum, and a server rejects a mistyped secret without reading the storage.
package secretvalue

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
)

const (
	alphabet = "abcdefghijklmnopqrstuvwxyz234567"

	randomLength   = 32
	checksumLength = 7
	// Overhead is the length of a secret without its prefix and payload.
	Overhead = randomLength + checksumLength
	// maxLength is the maximum length of a secret, in bytes.
	maxLength = 128
)

var encoding = base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)

// New returns a new secret. The payload must be base32, see [IsText]. The prefix and the payload together must have at
// most 89 characters.
func New(prefix, payload string) string {
	value := prefix + payload + Random(randomLength)
	sum := checksum(value)
	return value + string(sum[:])
}

// Parse returns the payload of a secret, which has n characters. ok is false if the prefix, the length or the checksum
// is wrong. Parse does not know which secrets were issued: anybody can compute a checksum.
func Parse(value, prefix string, n int) (payload string, ok bool) {
	if len(value) != len(prefix)+n+Overhead || len(value) > maxLength || !strings.HasPrefix(value, prefix) ||
		!IsText(value[len(prefix):]) {
		return "", false
	}
	end := len(value) - checksumLength
	if sum := checksum(value[:end]); string(sum[:]) != value[end:] {
		return "", false
	}
	return value[len(prefix) : len(prefix)+n], true
}

// Is reports whether a text has the form of a secret of any kind, with a valid checksum. A prefix is "rk", a letter and
// "_". Authenticators that check passwords reject such a text without counting a failure: it is an ended or foreign
// secret and not a guess, and must not lock anybody out.
func Is(text string) bool {
	const prefix = len("rkp_")
	n := len(text) - prefix - Overhead
	if n < 0 || text[:2] != "rk" || text[2] < 'a' || text[2] > 'z' || text[3] != '_' {
		return false
	}
	_, ok := Parse(text, text[:prefix], n)
	return ok
}

// Random returns n random characters of base32, at most 32. IDs of 10 or more characters do not collide in practice.
func Random(n int) string {
	var b [randomLength * 5 / 8]byte
	rand.Read(b[:])
	return Encode(b[:])[:n]
}

// Encode returns bytes in lower-case base32, without padding.
func Encode(b []byte) string { return encoding.EncodeToString(b) }

// Hash returns the SHA-256 of a secret in hexadecimal digits. The storage has this hash and not the secret.
func Hash(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

// IsHash reports whether hash is the [Hash] of a secret, in constant time. It allocates nothing.
func IsHash(hash, value string) bool {
	var space [maxLength]byte
	sum := sha256.Sum256(append(space[:0], value...))
	var digits [2 * sha256.Size]byte
	hex.Encode(digits[:], sum[:])
	return subtle.ConstantTimeCompare(digits[:], []byte(hash)) == 1
}

// IsText reports whether a text is lower-case base32, so that it can be part of a key in the storage.
func IsText(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// checksum returns the CRC-32 (IEEE) of a text of at most maxLength.
func checksum(s string) (sum [checksumLength]byte) {
	var space [maxLength]byte
	var crc [4]byte
	binary.BigEndian.PutUint32(crc[:], crc32.ChecksumIEEE(append(space[:0], s...)))
	encoding.Encode(sum[:], crc[:])
	return sum
}
