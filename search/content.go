package search

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage"
)

const (
	// tagBytes and manifestBytes are about the memory of a tag without its name, and of a manifest
	// without its facts.
	tagBytes, manifestBytes = 56, 80
	// contentBytes is about the memory of the content of a repository without its elements.
	contentBytes = 128
)

// content is what the index knows of the tags and manifests of a repository. It does not change.
type content struct {
	tags      []tag      // in ascending order
	manifests []manifest // in ascending order of their digests
	pushed    int64      // the last push in seconds since 1970, or zero
	unread    bool       // some tags or manifests were not read yet
	size      int        // about the memory, in bytes
}

// tag is a tag of a repository.
type tag struct {
	name    string
	version uint64 // hash of TagRecord.Version
	set     int64  // in seconds since 1970
	at      packed // the digest that it points at, or "" if it was not read yet
}

// manifest is a manifest of a repository. facts are nil if it was not read yet, or cannot be pulled.
type manifest struct {
	digest packed
	time   int64
	facts  *facts
}

// empty reports whether the repository has neither tags nor manifests.
func (c *content) empty() bool { return len(c.tags)+len(c.manifests) == 0 }

// find returns the manifest with a digest, or nil.
func (c *content) find(d packed) *manifest {
	if i := c.index(d); i >= 0 {
		return &c.manifests[i]
	}
	return nil
}

// index returns the index of the manifest with a digest, or -1.
func (c *content) index(d packed) int {
	i, ok := slices.BinarySearchFunc(c.manifests, d, func(m manifest, d packed) int {
		return strings.Compare(string(m.digest), string(d))
	})
	if !ok {
		return -1
	}
	return i
}

// contentReader reads the content of repositories. It is safe for concurrent use.
type contentReader struct {
	store *storage.Store
	seed  maphash.Seed
	// left is the number of tags and manifests that may still be read.
	left *atomic.Int64
}

// read returns the content of a repository. It lists the tags and manifests, and reads those that was
// does not know in this version. was may be nil.
//
// Errors: those of the storage.
func (r *contentReader) read(ctx context.Context, repo string, was *content) (*content, error) {
	if was == nil {
		was = &content{}
	}
	c := &content{}
	if err := r.listManifests(ctx, repo, was, c); err != nil {
		return nil, err
	}
	if err := r.listTags(ctx, repo, was, c); err != nil {
		return nil, err
	}
	if err := r.readNew(ctx, repo, c); err != nil {
		return nil, err
	}
	c.finish()
	return c, nil
}

// listManifests lists the manifests, with the facts that are known already.
func (r *contentReader) listManifests(ctx context.Context, repo string, was, c *content) error {
	for m, err := range r.store.Inventory().Manifests(ctx, repo) {
		if err != nil {
			return err
		}
		one := manifest{digest: pack(m.Digest), time: m.Time.Unix()}
		if old := was.find(one.digest); old != nil {
			one.digest, one.facts = old.digest, old.facts
		}
		c.manifests = append(c.manifests, one)
	}
	// The order of texts of several algorithms is not that of their bytes.
	slices.SortFunc(c.manifests, func(a, b manifest) int { return strings.Compare(string(a.digest), string(b.digest)) })
	return nil
}

// listTags lists the tags, with what is known already of those that have not changed.
func (r *contentReader) listTags(ctx context.Context, repo string, was, c *content) error {
	old := was.tags
	for t, err := range r.store.Inventory().TagRecords(ctx, repo) {
		if err != nil {
			return err
		}
		for len(old) > 0 && old[0].name < t.Name {
			old = old[1:]
		}
		version := maphash.String(r.seed, t.Version)
		if len(old) > 0 && old[0].name == t.Name && old[0].version == version {
			c.tags = append(c.tags, old[0])
			continue
		}
		c.tags = append(c.tags, tag{name: strings.Clone(t.Name), version: version, set: t.Time.Unix()})
	}
	return nil
}

// readNew reads the tags and manifests that are not known, as far as it may.
func (r *contentReader) readNew(ctx context.Context, repo string, c *content) error {
	var tags, manifests []int
	for i := range c.tags {
		if c.tags[i].at == "" && r.take(c) {
			tags = append(tags, i)
		}
	}
	for i := range c.manifests {
		if c.manifests[i].facts == nil && r.take(c) {
			manifests = append(manifests, i)
		}
	}
	err := parallel.Each(readsAtOnce, len(tags), func(i int) error { return r.readTag(ctx, repo, &c.tags[tags[i]]) })
	if err != nil {
		return err
	}
	return parallel.Each(readsAtOnce, len(manifests), func(i int) (err error) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m := &c.manifests[manifests[i]]
		m.facts, err = readFacts(ctx, r.store, repo, m.digest.digest())
		return err
	})
}

// take reports whether one more tag or manifest may be read, and counts it.
func (r *contentReader) take(c *content) bool {
	if r.left.Add(-1) >= 0 {
		return true
	}
	c.unread = true
	return false
}

// readTag reads a tag. A tag that is gone, or was never set, stays without a digest.
func (r *contentReader) readTag(ctx context.Context, repo string, t *tag) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	stored, err := r.store.Inventory().Tag(ctx, repo, t.name)
	switch {
	case errors.Is(err, registry.ErrManifestUnknown), errors.Is(err, registry.ErrNameUnknown):
		return nil
	case err != nil:
		return err
	}
	t.at, t.set = pack(stored.Descriptor.Digest), stored.Set.Unix()
	return nil
}

// finish drops tags that do not exist, unless they were not read yet, and sums up.
func (c *content) finish() {
	if !c.unread {
		c.tags = slices.DeleteFunc(c.tags, func(t tag) bool { return t.at == "" })
	}
	c.size = contentBytes
	for i := range c.tags {
		t := &c.tags[i]
		if m := c.find(t.at); m != nil {
			t.at = m.digest // one text for both
		}
		c.pushed = max(c.pushed, t.set)
		c.size += tagBytes + len(t.name)
	}
	for i := range c.manifests {
		m := &c.manifests[i]
		if len(c.tags) == 0 && m.facts != nil {
			c.pushed = max(c.pushed, m.time)
		}
		c.size += manifestBytes + len(m.digest)
		if m.facts != nil {
			c.size += m.facts.bytes()
		}
	}
}
