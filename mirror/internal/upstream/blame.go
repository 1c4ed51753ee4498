package upstream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/lru"
)

const (
	// blameTime is how long a URL that has sent wrong content for a digest is not asked for it.
	blameTime = 10 * time.Minute
	// maxBlames is the maximum size of what is remembered of digests, in bytes.
	maxBlames = 4 << 20
	// noRangesTime is how long a URL that has no ranges is not asked for a range.
	noRangesTime = 10 * time.Minute
)

// blames are the URLs that have sent wrong or incomplete content for digests. Its size is bounded.
// Each repository has its own: content also counts as wrong if its size is another one than a manifest
// of the repository states, and then the manifest may be to blame.
type blames struct {
	mu  sync.Mutex // for a change that depends on what is there
	all *lru.Cache[blameKey, blame]
}

type blameKey struct {
	endpoint int
	content
}

// content is the content of a digest in a repository of the upstream.
type content struct {
	repo   string
	digest digest.Digest
}

// blame is what a URL has done wrong for a digest.
type blame struct {
	wrong  time.Time // until when the URL is not asked
	late   time.Time // until when the URL is asked after the others
	breaks int       // the bodies that broke off
	etag   string    // the last entity tag
}

func (b *blames) init() { b.all = lru.New[blameKey, blame](maxBlames) }

func (b *blames) get(e *endpoint, c content) blame {
	v, _ := b.all.Get(blameKey{e.index, c})
	return v
}

func (b *blames) update(e *endpoint, c content, change func(*blame)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := b.get(e, c)
	change(&v)
	b.all.Add(blameKey{e.index, c}, v, 512+len(v.etag))
}

// wrong excludes a URL for a content.
func (b *blames) wrong(e *endpoint, c content) {
	b.update(e, c, func(v *blame) { v.wrong = time.Now().Add(blameTime) })
}

// broke notes that a body broke off. After a break, the URL is asked again, because the connection
// may be to blame. After the second one, and at once if the server fell silent, the other URLs go
// first.
func (b *blames) broke(e *endpoint, c content, silent bool) {
	b.update(e, c, func(v *blame) {
		if v.breaks++; silent || v.breaks > 1 {
			v.late = time.Now().Add(blameTime)
		}
	})
}

// order returns the endpoints that may be asked for a content, in the order in which to ask them.
// Without a digest, these are all.
func (s *shared) order(c content) []*endpoint {
	if c.digest == "" {
		return s.endpoints
	}
	now := time.Now()
	var first, late []*endpoint
	for _, e := range s.endpoints {
		switch b := s.blame.get(e, c); {
		case now.Before(b.wrong):
		case now.Before(b.late):
			late = append(late, e)
		default:
			first = append(first, e)
		}
	}
	return slices.Concat(first, late)
}

// noRanges remembers that a URL has no ranges.
type noRanges struct{ until atomic.Int64 } // in Unix nanoseconds

func (n *noRanges) set() { n.until.Store(time.Now().Add(noRangesTime).UnixNano()) }

func (n *noRanges) is() bool { return time.Now().UnixNano() < n.until.Load() }
