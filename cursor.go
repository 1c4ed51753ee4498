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

// cursors encrypts the names in links to the next page. A page may end at a repository or tag that
// the caller may not see.
type cursors struct{ aead cipher.AEAD }

// cursorMark begins every cursor, and no name.
const cursorMark = "~"

// newCursors returns cursors that others with the same secret can read.
func newCursors(secret []byte) (cursors, error) {
	key := sha256.Sum256(append([]byte("registry cursor\x00"), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return cursors{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return cursors{aead}, err
}

// seal returns the cursor after name, for one caller and list.
func (c cursors) seal(name, of string) string {
	// All names have the same length, so that the cursor does not reveal it. Other positions may be longer.
	padded := name + strings.Repeat("\x00", reference.MaxNameLength-min(len(name), reference.MaxNameLength))
	return cursorMark + base64.RawURLEncoding.EncodeToString(c.aead.Seal(nil, nil, []byte(padded), []byte(of)))
}

// isCursor reports whether s has the form of a cursor. All cursors have the same length.
func (c cursors) isCursor(s string) bool {
	return strings.HasPrefix(s, cursorMark) &&
		len(s) == len(cursorMark)+base64.RawURLEncoding.EncodedLen(reference.MaxNameLength+c.aead.Overhead())
}

// open returns the name in a cursor. It fails if the cursor is not for this list and caller.
func (c cursors) open(cursor, of string) (string, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(cursor, cursorMark))
	if err == nil && len(b) < c.aead.Overhead() {
		err = errors.New("registry: the cursor is too short")
	}
	if err == nil {
		b, err = c.aead.Open(nil, nil, b, []byte(of))
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(b), "\x00"), nil
}
