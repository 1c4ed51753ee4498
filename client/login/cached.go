package login

import (
	"context"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/lru"
)

// maxCached is the maximum number of hosts whose credentials Cached keeps.
const maxCached = 256

// Cached returns a Source that calls source at most once in a period for each host, and otherwise
// returns the last credentials, unless they are about to end. It is for sources that are expensive
// or limited, such as the API of a cloud, and may be shared by several Logins. An error of source
// is not kept. It is safe for concurrent use, and calls source for one goroutine at a time.
func Cached(source Source, period time.Duration) Source {
	c := &cached{source: source, period: period, hosts: lru.New[string, *keeper](2 * maxCached)}
	return c.get
}

type cached struct {
	source Source
	period time.Duration

	mu    sync.Mutex
	hosts *lru.Cache[string, *keeper]
}

func (c *cached) keeper(host string) *keeper {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.hosts.Get(host)
	if !ok {
		k = newKeeper(c.source, host)
		c.hosts.Add(host, k, 1)
	}
	return k
}

func (c *cached) get(ctx context.Context, host string) (Credentials, error) {
	k := c.keeper(host)
	h := k.current()
	now := time.Now()
	if h.call == 0 || now.Sub(h.asked) >= c.period || endsSoon(h, now) {
		var err error
		if h, err = k.again(ctx, h.call); err != nil {
			return Credentials{}, err
		}
	}
	return h.Credentials, nil
}

// endsSoon reports whether credentials are so near their end that a Login asks for newer ones.
func endsSoon(h held, now time.Time) bool {
	return !h.Expires.IsZero() && h.Expires.Sub(now) < min(h.Expires.Sub(h.asked)/5, 2*time.Minute)
}
