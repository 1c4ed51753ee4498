package token

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/registrykit/registry/auth"
)

// maxVerified is how many tokens are remembered, in each of two halves.
const maxVerified = 10_000

// verified is what a token says that has been verified.
type verified struct {
	identity auth.Identity
	grants   grants
	kid      string
	expires  time.Time
}

// cache remembers tokens by their hash. When the younger half is full, the older is forgotten: what
// is used comes back into the younger.
type cache struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]*verified
}

func (c *cache) get(key [sha256.Size]byte) *verified {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.young[key]; v != nil {
		return v
	}
	v := c.old[key]
	if v != nil {
		c.put(key, v)
	}
	return v
}

func (c *cache) add(key [sha256.Size]byte, v *verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(key, v)
}

func (c *cache) put(key [sha256.Size]byte, v *verified) {
	if len(c.young) >= maxVerified {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[[sha256.Size]byte]*verified)
	}
	c.young[key] = v
}
