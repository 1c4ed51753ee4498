package token

import (
	"crypto/sha256"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/scope"
	"github.com/registrykit/registry/internal/lru"
)

// maxVerified is the maximum number of verified tokens that a Service remembers.
const maxVerified = 20_000

// verified is the content of a token whose signature and times have been verified.
type verified struct {
	identity auth.Identity
	grants   scope.Grants
	kid      string
	expires  time.Time
}

// cache holds verified tokens by the SHA-256 of the token, so that it does not hold the tokens.
type cache = lru.Cache[[sha256.Size]byte, *verified]

func newCache() *cache { return lru.New[[sha256.Size]byte, *verified](maxVerified) }
