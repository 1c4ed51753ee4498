package registry

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/registrykit/registry/reference"
)

// cursors hide a name in the link to the next page: where a page ended may be a repository or tag
// that the caller does not know of.
type cursors struct{ aead cipher.AEAD }

// cursorMark begins a cursor, and no name.
const cursorMark = "~"

// newCursors makes cursors that others with the same secret can read.
func newCursors(secret []byte) (cursors, error) {
	key := sha256.Sum256(append([]byte("registry cursor\x00"), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return cursors{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return cursors{aead}, err
}

// seal returns the cursor behind name, for one caller and list.
func (c cursors) seal(name, of string) string {
	// Names of one length, so that the cursor does not tell it.
	padded := name + strings.Repeat("\x00", reference.MaxNameLength-min(len(name), reference.MaxNameLength))
	return cursorMark + base64.RawURLEncoding.EncodeToString(c.aead.Seal(nil, nil, []byte(padded), []byte(of)))
}

// isCursor reports whether s has the form of a cursor: all are equally long.
func (c cursors) isCursor(s string) bool {
	return strings.HasPrefix(s, cursorMark) &&
		len(s) == len(cursorMark)+base64.RawURLEncoding.EncodedLen(reference.MaxNameLength+c.aead.Overhead())
}

// open returns the name of a cursor.
//
// It fails if the cursor is not one of this list and caller.
func (c cursors) open(cursor, of string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(cursor, cursorMark))
	if err == nil && len(b) < c.aead.Overhead() {
		err = errors.New("registry: too short")
	}
	if err == nil {
		b, err = c.aead.Open(nil, nil, b, []byte(of))
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\x00"), nil
}
