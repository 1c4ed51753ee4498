package oidc

import (
	"crypto/sha256"
	"time"

	"github.com/registrykit/registry/internal/lru"
)

// NewAt and OpenAt are New and Open with a clock.
func NewAt(now func() time.Time, opts *Options, providers ...Provider) (*Authenticator, error) {
	return newAuthenticator(providers, opts, now)
}

func OpenAt(now func() time.Time, opts *Options, paths ...string) (*Authenticator, error) {
	return open(paths, opts, now)
}

// Remembered returns the number of remembered tokens.
func (a *Authenticator) Remembered() int { return a.verified.Len() }

// Forget forgets the accepted tokens.
func (a *Authenticator) Forget() { a.verified = lru.New[[sha256.Size]byte, login](maxVerified) }

// MaxVerified is the maximum number of remembered tokens.
const MaxVerified = maxVerified

// ParseClaims returns the claims of a payload.
func ParseClaims(payload []byte) (map[string]any, error) {
	c, err := parseClaims(payload)
	if err != nil {
		return nil, err
	}
	return c.values, nil
}

// Expand returns the texts of a template.
func Expand(text string, values map[string]any) ([]string, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return nil, err
	}
	return t.expandAll(values)
}
