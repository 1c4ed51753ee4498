package evict

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"unique"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage"
)

// name is a digest that is in memory once.
type name = unique.Handle[digest.Digest]

// parsed is a manifest of a repository.
type parsed struct {
	version  string
	refs     []name // manifests and blobs
	subject  name   // the zero name if there is none
	deleting bool   // a delete has begun
}

// link is a blob of a repository.
type link struct {
	version string
	size    int64
	data    uint64 // identifies the data objects; 0 if the blob has none, so that nothing shares its data
}

// cache holds what earlier looks at the repositories have read, with the versions of it. It is for
// one goroutine at a time, except for reads.
type cache struct {
	repos map[string]contents
}

// contents is what the cache has of a repository.
type contents struct {
	manifests map[name]*parsed
	links     map[name]link
}

func newCache() *cache { return &cache{repos: map[string]contents{}} }

// retain drops the repositories that are not in seen.
func (c *cache) retain(seen map[string]bool) {
	for repo := range c.repos {
		if !seen[repo] {
			delete(c.repos, repo)
		}
	}
}

// manifest returns what the cache has of a manifest in that version, or nil.
func (c *cache) manifest(repo string, n name, version string) *parsed {
	if p := c.repos[repo].manifests[n]; p != nil && p.version == version && version != "" {
		return p
	}
	return nil
}

// link returns what the cache has of a link in that version.
func (c *cache) link(repo string, n name, version string) (link, bool) {
	l, ok := c.repos[repo].links[n]
	return l, ok && l.version == version && version != ""
}

// readManifest reads and parses a manifest. The result is nil if it is not in the repository.
func (e *Evictor) readManifest(ctx context.Context, repo string, s storage.StoredManifest) (*parsed, error) {
	m, deleting, err := e.store.Inventory().Manifest(ctx, repo, s.Digest)
	if errors.Is(err, registry.ErrManifestUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	doc, err := manifest.ParseStored(m.Descriptor.MediaType, m.Content)
	if err != nil {
		return nil, err // unexpected: it was parsed when it was stored
	}
	p := &parsed{version: s.Version, deleting: deleting, refs: make([]name, len(doc.References))}
	for i, ref := range doc.References {
		p.refs[i] = unique.Make(ref.Digest)
	}
	if doc.Subject != nil {
		p.subject = unique.Make(doc.Subject.Digest)
	}
	return p, nil
}

// readLink reads a link. ok is false if the blob is not in the repository.
func (e *Evictor) readLink(ctx context.Context, repo string, b storage.StoredLink) (l link, ok bool, err error) {
	data, err := e.store.Inventory().Data(ctx, repo, b.Digest)
	if errors.Is(err, registry.ErrBlobUnknown) {
		return link{}, false, nil
	}
	if err != nil {
		return link{}, false, err
	}
	l = link{version: b.Version, size: data.Size}
	if len(data.Objects) > 0 {
		h := fnv.New64a()
		for _, name := range data.Objects {
			_, _ = io.WriteString(h, name)
			_, _ = h.Write([]byte{0})
		}
		l.data = max(h.Sum64(), 1)
	}
	return l, true, nil
}
