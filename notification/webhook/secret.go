package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/registrykit/registry/auth"
)

// The prefixes of secrets and keys in Standard Webhooks.
const (
	symmetricPrefix = "whsec_"
	privatePrefix   = "whsk_"
	publicPrefix    = "whpk_"
)

// The identifiers of signatures in Standard Webhooks.
const (
	symmetricVersion  = "v1"
	asymmetricVersion = "v1a"
)

// NewSecret returns a new random secret for HMAC-SHA256, which sender and receiver share. "openssl
// rand -base64 32", with "whsec_" before it, makes one, too.
func NewSecret() auth.Secret {
	key := make([]byte, 32)
	rand.Read(key)
	return auth.Secret(symmetricPrefix + base64.StdEncoding.EncodeToString(key))
}

// NewKeyPair returns a new ed25519 key for the sender and the public key for its receivers, which
// begins with "whpk_" and is no secret.
func NewKeyPair() (private auth.Secret, public string, err error) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return "", "", fmt.Errorf("webhook: %w", err)
	}
	return auth.Secret(privatePrefix + base64.StdEncoding.EncodeToString(key)),
		publicPrefix + base64.StdEncoding.EncodeToString(pub), nil
}

// CheckSecret returns an error if s is not a secret for Options.Secrets. The error does not contain
// the secret.
func CheckSecret(s auth.Secret) error {
	if _, err := newSigner(s); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	return nil
}

// signer returns the signature of a text, with its version.
type signer func(text []byte) string

func newSigner(s auth.Secret) (signer, error) {
	text := s.Value()
	switch {
	case strings.HasPrefix(text, symmetricPrefix):
		key, err := symmetricKey(text)
		if err != nil {
			return nil, err
		}
		return func(text []byte) string {
			return symmetricVersion + "," + base64.StdEncoding.EncodeToString(sum(key, text))
		}, nil
	case strings.HasPrefix(text, privatePrefix):
		key, err := privateKey(text)
		if err != nil {
			return nil, err
		}
		return func(text []byte) string {
			return asymmetricVersion + "," + base64.StdEncoding.EncodeToString(ed25519.Sign(key, text))
		}, nil
	case strings.HasPrefix(text, publicPrefix):
		return nil, errors.New("a public key cannot sign")
	}
	return nil, fmt.Errorf("a secret begins with %q or %q", symmetricPrefix, privatePrefix)
}

func symmetricKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text[len(symmetricPrefix):])
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not followed by base64", symmetricPrefix)
	case len(key) < 24 || len(key) > 64:
		return nil, fmt.Errorf("a secret has 24 to 64 bytes, and not %d", len(key))
	}
	return key, nil
}

// privateKey reads a key of 64 bytes, or the seed of one, which has 32 bytes.
func privateKey(text string) (ed25519.PrivateKey, error) {
	key, err := base64.StdEncoding.DecodeString(text[len(privatePrefix):])
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not followed by base64", privatePrefix)
	case len(key) == ed25519.SeedSize:
		return ed25519.NewKeyFromSeed(key), nil
	case len(key) != ed25519.PrivateKeySize:
		return nil, fmt.Errorf("an ed25519 key has %d or %d bytes, and not %d", ed25519.SeedSize,
			ed25519.PrivateKeySize, len(key))
	}
	private := ed25519.NewKeyFromSeed(key[:ed25519.SeedSize])
	if !private.Equal(ed25519.PrivateKey(key)) {
		return nil, errors.New("the two halves of the ed25519 key do not belong together")
	}
	return private, nil
}

func publicKey(text string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.DecodeString(text[len(publicPrefix):])
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not followed by base64", publicPrefix)
	case len(key) != ed25519.PublicKeySize:
		return nil, fmt.Errorf("a public ed25519 key has %d bytes, and not %d", ed25519.PublicKeySize, len(key))
	}
	return key, nil
}

func sum(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}

// signed returns the text that signatures are about.
func signed(id, timestamp string, body []byte) []byte {
	text := make([]byte, 0, len(id)+len(timestamp)+len(body)+2)
	text = append(append(text, id...), '.')
	text = append(append(text, timestamp...), '.')
	return append(text, body...)
}
