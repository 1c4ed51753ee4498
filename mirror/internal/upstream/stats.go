package upstream

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Stats are the counters of an Upstream.
type Stats struct {
	// Requests counts the requests by method and kind, such as "GET manifest" and "GET blob". The
	// kinds are manifest, blob, tags, referrers, token for those to a token service, and redirect for
	// those to another host that the upstream has redirected to.
	Requests map[string]int64
	// Errors counts failures by their kind: "timeout", "idle", "connect", "dns", "tls", "broken",
	// "5xx", "429", "401", "403", "redirect", "other", and "digest" for wrong content of any kind.
	// That content does not exist is not a failure, and requests that fail together, because a server
	// does not respond, count as one.
	Errors map[string]int64
	// Bytes is the number of bytes of blobs received.
	Bytes int64
	// Limit and Remaining are those of the last ratelimit headers (docker.com), or -1.
	Limit, Remaining int64
	// Until is when the upstream may be asked again after a 429, or zero.
	Until time.Time
	// Down reports whether no URL responds at present.
	Down bool
}

// counters are the counters of a shared.
type counters struct {
	bytes atomic.Int64

	mu               sync.Mutex
	requests, errors map[string]int64 // the keys come from short lists
}

func (c *counters) init() { c.requests, c.errors = map[string]int64{}, map[string]int64{} }

func (c *counters) request(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests[what]++
}

func (c *counters) failure(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors[kind]++
}

// Stats returns the counters since New, of all views.
func (u *Upstream) Stats() Stats {
	s := Stats{Bytes: u.stats.bytes.Load(), Limit: -1, Remaining: -1, Down: true}
	u.stats.mu.Lock()
	s.Requests, s.Errors = maps.Clone(u.stats.requests), maps.Clone(u.stats.errors)
	u.stats.mu.Unlock()
	u.limit.mu.Lock()
	if u.limit.known {
		s.Limit, s.Remaining = u.limit.maximum, u.limit.remains
	}
	if u.limit.until.After(time.Now()) {
		s.Until = u.limit.until
	}
	u.limit.mu.Unlock()
	for _, e := range u.endpoints {
		s.Down = s.Down && (e.api.down() || e.token.down())
	}
	return s
}
