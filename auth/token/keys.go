package token

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Secrets provides the secrets that the replicas of a registry share.
// [github.com/registrykit/registry/storage.Store] implements it.
type Secrets interface {
	// SharedSecret returns at least 32 random bytes. Every replica gets the same bytes for a name.
	// If the secret was removed, all replicas get a new one.
	SharedSecret(ctx context.Context, name string) ([]byte, error)
}

const (
	// refresh is the time after which secrets are read again. A removed secret stays valid for at
	// most that long.
	refresh = time.Minute
	// stale is the time for which keys are used while the secrets cannot be read again.
	stale = 10 * refresh
	// retry is the minimum time between two attempts to read the secrets after a failure.
	retry = 5 * time.Second
	// readTimeout is the maximum time that a request waits for secrets.
	readTimeout = 10 * time.Second
	// keysMaxAge is how long other services may keep the public keys.
	keysMaxAge = time.Minute
)

// keyring holds the keys that are derived from shared secrets. It reads the secrets when they are
// needed, and again from time to time, so that a removed or replaced secret stops being valid.
type keyring struct {
	secrets Secrets
	names   []string
	now     func() time.Time

	current atomic.Pointer[keys]
	mu      sync.Mutex // held to read the secrets
	failed  time.Time  // the time of the last failure to read them
	err     error      // its error
}

// keys are the keys at one time.
type keys struct {
	read time.Time
	sign ed25519.PrivateKey // of the first name
	kid  string             // of sign
	byID map[string]ed25519.PublicKey
	jwks []byte // the public keys as JSON, in the order of the names
}

// jwk is a public key as a JSON Web Key (RFC 7517, RFC 8037).
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Kid string `json:"kid"`
	Use string `json:"use"`
	Alg string `json:"alg"`
}

// get returns keys that were read at most refresh ago, or at most stale ago while the secrets
// cannot be read. One caller at a time reads them; the others use the previous keys if they are not
// stale.
func (r *keyring) get(ctx context.Context) (*keys, error) {
	k := r.current.Load()
	if k != nil && r.now().Sub(k.read) < refresh {
		return k, nil
	}
	if usable := k != nil && r.now().Sub(k.read) < stale; !usable {
		r.mu.Lock()
	} else if !r.mu.TryLock() {
		return k, nil
	}
	defer r.mu.Unlock()
	if k = r.current.Load(); k != nil && r.now().Sub(k.read) < refresh {
		return k, nil
	}
	usable := k != nil && r.now().Sub(k.read) < stale
	if r.now().Sub(r.failed) < retry {
		if usable {
			return k, nil
		}
		return nil, r.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	n, err := r.load(ctx)
	if err != nil {
		if r.failed, r.err = r.now(), err; usable {
			return k, nil
		}
		return nil, err
	}
	r.current.Store(n)
	return n, nil
}

// load reads the secrets and derives the keys.
func (r *keyring) load(ctx context.Context) (*keys, error) {
	k := &keys{read: r.now(), byID: make(map[string]ed25519.PublicKey, len(r.names))}
	public := make([]jwk, len(r.names))
	for i, name := range r.names {
		secret, err := r.secrets.SharedSecret(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("token: secret %q: %w", name, err)
		}
		if len(secret) < ed25519.SeedSize {
			return nil, fmt.Errorf("token: secret %q is too short", name)
		}
		seed := sha256.Sum256(append([]byte("registry token key\x00"), secret...))
		private := ed25519.NewKeyFromSeed(seed[:])
		own := private.Public().(ed25519.PublicKey)
		hash := sha256.Sum256(own)
		kid := base64.RawURLEncoding.EncodeToString(hash[:12])
		k.byID[kid] = own
		public[i] = jwk{"OKP", "Ed25519", base64.RawURLEncoding.EncodeToString(own), kid, "sig", "EdDSA"}
		if i == 0 {
			k.sign, k.kid = private, kid
		}
	}
	k.jwks, _ = json.Marshal(map[string]any{"keys": public}) // strings cannot fail
	return k, nil
}

// JWKS returns the public keys of all names in Options.Keys as a JSON Web Key Set (RFC 7517), for
// services that verify tokens and do not share the secrets, such as package auth/bearer. The
// endpoint serves it at Options.Path + "/keys", without credentials, for caches to keep for a
// minute. It costs no request while the secrets are known.
//
// Errors: those of the secrets.
func (s *Service) JWKS(ctx context.Context) ([]byte, error) {
	k, err := s.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(k.jwks), nil
}
