package signin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
)

// minKey is the minimum length of the key of a Handler, in bytes.
const minKey = 32

// sealer encrypts and authenticates what the handler gives to clients to keep: attempts in cookies
// and handles of devices. A text that was sealed for one purpose cannot be opened for another one.
type sealer struct{ aead cipher.AEAD }

// The purposes of sealed texts.
const (
	forAttempt = "attempt"
	forDevice  = "device"
	forHint    = "hint"
)

var errSealed = errors.New("signin: not a text that was sealed with this key")

// newSealer returns a sealer with a key that is derived from the shared one.
func newSealer(shared []byte) (*sealer, error) {
	if len(shared) < minKey {
		return nil, errors.New("signin: the key must have at least 32 bytes")
	}
	key, err := hkdf.Key(sha256.New, shared, nil, "registrykit.io/signin", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &sealer{aead}, err
}

// seal returns a value as an encrypted text of base64url. v must have a JSON form.
func (s *sealer) seal(purpose string, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, []byte(purpose))), nil
}

// open decodes a text that seal has returned for the same purpose.
//
// Errors: errSealed.
func (s *sealer) open(purpose, text string, v any) error {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return errSealed
	}
	plain, err := s.aead.Open(nil, nil, sealed, []byte(purpose))
	if err != nil || json.Unmarshal(plain, v) != nil {
		return errSealed
	}
	return nil
}
