package token

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Secrets is where the replicas of a registry keep secrets in common;
// [github.com/registrykit/registry/storage.Store] is one.
type Secrets interface {
	// SharedSecret returns at least 32 random bytes: the same for a name in every replica, until
	// somebody removes them.
	SharedSecret(ctx context.Context, name string) ([]byte, error)
}

const (
	// refresh is after how long the secrets are read again, which is how long a removed one is
	// honoured.
	refresh = time.Minute
	// stale is after how long keys are not used any more that could not be read again.
	stale = 10 * refresh
	// retry is how long is waited after secrets could not be read.
	retry = 5 * time.Second
	// patience is how long a request waits for secrets.
	patience = 10 * time.Second
)

// keyring holds the keys that are made from the shared secrets of some names. It reads them when
// they are needed, and again from time to time, so that one that was removed or replaced stops to
// count.
type keyring struct {
	secrets Secrets
	names   []string
	now     func() time.Time

	current atomic.Pointer[keys]
	mu      sync.Mutex // held to read the secrets
	failed  time.Time  // when that failed last
	err     error      // and why
}

// keys are the keys of one moment.
type keys struct {
	read time.Time
	sign ed25519.PrivateKey // of the first name
	kid  string             // of sign
	byID map[string]ed25519.PublicKey
}

// get returns the keys as they were at most a minute ago, or, while the secrets cannot be read, a
// few minutes ago. One caller reads them anew; the others go on with what there is.
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
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

// load reads the secrets and makes the keys.
func (r *keyring) load(ctx context.Context) (*keys, error) {
	k := &keys{read: r.now(), byID: make(map[string]ed25519.PublicKey, len(r.names))}
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
		public := private.Public().(ed25519.PublicKey)
		hash := sha256.Sum256(public)
		kid := base64.RawURLEncoding.EncodeToString(hash[:12])
		k.byID[kid] = public
		if i == 0 {
			k.sign, k.kid = private, kid
		}
	}
	return k, nil
}
