package mirror

import (
	"sync/atomic"
	"time"
)

// Stats are the counters of a mirror since New, and the state of its upstreams.
type Stats struct {
	Upstreams []UpstreamStats
	// Hits and Misses count the blobs and manifests served from the store, and those that caused a
	// request to an upstream. Stale counts the answers that an upstream could not confirm.
	Hits, Misses, Stale int64
	// Served and Fetched are the bytes of blobs served, and fetched from upstreams.
	Served, Fetched int64
	// Fills and Readers are the fills in progress and their readers.
	Fills, Readers int64
	// Size is the size of the cached blobs as of SizeAt, in bytes; Evicted counts the bytes evicted.
	Size    int64
	SizeAt  time.Time
	Evicted int64
}

// UpstreamStats are the counters of one upstream.
type UpstreamStats struct {
	Name string
	// Requests counts requests by method and kind, such as "GET blob"; Errors failures by kind, such
	// as "timeout", "5xx", "429", "401", "digest".
	Requests, Errors map[string]int64
	// Limit and Remaining are the last values of Docker Hub's ratelimit headers, or -1.
	Limit, Remaining int64
	// Until is when the upstream may be asked again after a 429, or zero.
	Until time.Time
	// Down reports whether the upstream does not respond at present.
	Down bool
}

// counters are the counters of a mirror.
type counters struct{ hits, misses, stale, served atomic.Int64 }

// Upstreams returns the upstreams in their order, with defaults filled in. Credentials and
// Transport are nil.
func (m *Mirror) Upstreams() []Upstream {
	all := make([]Upstream, 0, len(m.names.origins))
	for _, o := range m.names.origins {
		u := o.Upstream
		u.Credentials, u.Transport = nil, nil
		all = append(all, u)
	}
	return all
}

// Stats returns the counters.
func (m *Mirror) Stats() Stats {
	fills := m.fills.Stats()
	s := Stats{
		Hits: m.count.hits.Load(), Misses: m.count.misses.Load(), Stale: m.count.stale.Load(),
		Served: m.count.served.Load(), Fetched: fills.Bytes, Fills: fills.Active, Readers: fills.Readers,
	}
	for _, o := range m.names.origins {
		u := o.remote.Stats()
		s.Upstreams = append(s.Upstreams, UpstreamStats{
			Name: o.Name, Requests: u.Requests, Errors: u.Errors, Limit: u.Limit, Remaining: u.Remaining, Until: u.Until,
			Down: u.Down,
		})
	}
	m.evictStats(&s)
	return s
}
