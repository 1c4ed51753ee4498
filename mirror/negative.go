package mirror

import (
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/mirror/internal/upstream"
)

// maxMissing is the maximum number of things of which the mirror remembers that they do not exist.
const maxMissing = 1 << 14

// missing remembers that an upstream does not have something, so that it is not asked again at
// once. It is memory of one process.
type missing struct{ until *lru.Cache[string, time.Time] }

func newMissing() *missing { return &missing{lru.New[string, time.Time](maxMissing)} }

// add remembers the answer err of the upstream about a reference in the repository of a pull. ref is
// a tag, the digest of a manifest, a blobRef or tagsRef. That it does not exist is remembered for
// NegativeTTL, and a refusal of the mirror's credentials for a moment: some registries refuse what
// does not exist.
func (n *missing) add(p *pull, ref string, err error) {
	ttl := p.origin.NegativeTTL
	switch {
	case isMissing(err):
	case p.caller == nil && errors.Is(err, upstream.ErrRefused):
		ttl = min(ttl, staleTTL)
	default:
		return
	}
	if ttl > 0 {
		n.until.Add(p.key(ref), time.Now().Add(ttl), 1)
	}
}

// has reports whether the upstream has recently said that a reference does not exist.
func (n *missing) has(p *pull, ref string) bool {
	until, ok := n.until.Get(p.key(ref))
	return ok && time.Now().Before(until)
}

// blobRef returns the reference of a blob for missing. A blob and a manifest may have the same
// digest, and the lack of one says nothing about the other: containerd asks for a blob after a 404
// for the manifest.
func blobRef(d digest.Digest) string { return "blob " + string(d) }

// tagsRef is the reference of the list of tags of a repository for missing.
const tagsRef = "tags of"

// forget forgets what add has remembered for a pull of the same caller.
func (n *missing) forget(p *pull, ref string) { n.until.Remove(p.key(ref)) }
