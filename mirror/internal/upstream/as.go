package upstream

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/registrykit/registry/client/login"
)

const (
	// maxViews is the maximum number of views that are kept.
	maxViews = 256
	// viewTime is how long a view that nobody uses is kept, at most twice.
	viewTime = 5 * time.Minute
)

// As returns the same upstream with other credentials: those of a caller. It shares what is known of
// the URLs, and the counters. The limits, the challenge and the tokens are the caller's own; they are
// kept for up to ten minutes without a call of As with the same credentials.
func (u *Upstream) As(c login.Credentials) *Upstream {
	return &Upstream{shared: u.shared, view: u.views.get(u.shared, c), via: u.via}
}

// views are the views of callers. Each has the credentials in memory, so it is dropped when it has
// not been used for a while. They are kept in two generations, as in package lru; the younger one
// also ends with time.
type views struct {
	key [32]byte // of the hashes, so that they say nothing outside of this process

	mu         sync.Mutex
	young, old map[[32]byte]*view
	turned     time.Time // when young began
}

func (v *views) init() {
	rand.Read(v.key[:])
	v.young, v.old, v.turned = map[[32]byte]*view{}, nil, time.Now()
}

// hash returns the key of credentials.
func (v *views) hash(c *login.Credentials) (sum [32]byte) {
	h := hmac.New(sha256.New, v.key[:])
	for _, s := range []string{c.Username, string(c.Password), string(c.IdentityToken), string(c.RegistryToken)} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	h.Sum(sum[:0])
	return sum
}

// get returns the view for credentials.
func (v *views) get(s *shared, c login.Credentials) *view {
	key := v.hash(&c)
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := time.Now(); len(v.young) >= maxViews/2 || now.Sub(v.turned) >= viewTime {
		v.old = v.young
		if now.Sub(v.turned) >= 2*viewTime {
			v.old = nil
		}
		v.young, v.turned = map[[32]byte]*view{}, now
	}
	if found := v.young[key]; found != nil {
		return found
	}
	found := v.old[key]
	if delete(v.old, key); found == nil {
		// The URLs and realms were right in New, so there is no error.
		found, _ = s.newView(func(context.Context, string) (login.Credentials, error) { return c, nil })
	}
	v.young[key] = found
	return found
}
