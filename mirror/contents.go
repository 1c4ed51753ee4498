package mirror

import (
	"context"
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/reference"
)

const (
	// maxNamed is the maximum number of blobs that the mirror remembers.
	maxNamed = 1 << 16
	// maxNoted is the maximum number of manifests whose blobs need not be noted again.
	maxNoted = 1 << 12
	// walkInterval is the least time between two walks over the stored manifests of a repository.
	walkInterval = time.Minute
	// maxWalk is the maximum number of manifests that are read to find one that names a blob.
	maxWalk = 256
)

// contents remembers which blobs the manifests of repositories name, as they pass by. It saves
// requests for the sizes of blobs, and shows which blobs belong to a repository. It is memory of
// one process.
type contents struct {
	named     *lru.Cache[string, named]            // by pull.shared(digest)
	platforms *lru.Cache[string, ocispec.Platform] // of the manifests in an index, by pull.shared(digest)
	noted     *lru.Cache[string, struct{}]         // by pull.shared(digest of a manifest)
	walked    *lru.Cache[string, time.Time]        // when the stored manifests of a repository were read
}

// named is what a manifest says of a blob.
type named struct {
	size int64
	// there reports whether a registry accepts the manifest only if the repository has the blob. It
	// may lack layers that are not distributable, and what an index names. Anybody who can push to a
	// repository at the upstream can name the blobs of others there in these ways.
	there bool
}

func newContents() *contents {
	return &contents{
		named: lru.New[string, named](maxNamed), platforms: lru.New[string, ocispec.Platform](maxNamed),
		noted: lru.New[string, struct{}](maxNoted), walked: lru.New[string, time.Time](maxNoted),
	}
}

// note remembers the blobs that a served manifest names.
func (m *Mirror) note(p *pull, man *registry.Manifest) {
	key := p.shared(string(man.Descriptor.Digest))
	// With Options.Admit, a forgotten blob would be refused, so the manifest is noted each time.
	if _, ok := m.contents.noted.Get(key); ok && m.opts.Admit == nil || p.exempt != nil {
		return
	}
	parsed, err := manifest.ParseStored(man.Descriptor.MediaType, man.Content)
	if err != nil {
		return // the store accepts no such manifest
	}
	for _, ref := range parsed.References {
		if ref.Kind == manifest.KindManifest {
			continue // not a blob
		}
		key := p.shared(string(ref.Digest))
		n := named{ref.Size, !ref.NonDistributable && ref.Kind != manifest.KindAny}
		if known, ok := m.contents.named.Get(key); !ok || n.there || !known.there {
			m.contents.named.Add(key, n, 1)
		}
		m.missing.forget(p, blobRef(ref.Digest))
	}
	if len(p.origin.rules.platforms) > 0 {
		m.notePlatforms(p, man)
	}
	m.contents.noted.Add(key, struct{}{}, 1)
}

// notePlatforms remembers the platforms that an index states.
func (m *Mirror) notePlatforms(p *pull, man *registry.Manifest) {
	var index ocispec.Index
	if json.Unmarshal(man.Content, &index) != nil {
		return
	}
	for _, desc := range index.Manifests {
		if desc.Platform != nil {
			m.contents.platforms.Add(p.shared(string(desc.Digest)), brief(*desc.Platform), 1)
		}
	}
}

// sizeOf returns the size of a blob as a manifest of the repository states it, or -1 if the mirror
// knows no manifest that the upstream accepts only together with the blob.
func (m *Mirror) sizeOf(p *pull, d digest.Digest) int64 {
	if n, ok := m.contents.named.Get(p.shared(string(d))); ok && n.there {
		return n.size
	}
	return -1
}

// isNamed reports whether a manifest of the repository that was served before names a blob.
func (m *Mirror) isNamed(p *pull, d digest.Digest) bool {
	_, ok := m.contents.named.Get(p.shared(string(d)))
	return ok
}

// belongs reports whether a manifest of the repository that was served before names a blob. After a
// restart it reads the manifests in the store to which tags lead.
func (m *Mirror) belongs(ctx context.Context, p *pull, d digest.Digest) (bool, error) {
	if m.isNamed(p, d) {
		return true, nil
	}
	if at, ok := m.contents.walked.Get(p.repo); ok && time.Since(at) < walkInterval {
		return false, nil
	}
	if err := m.walk(ctx, p); err != nil {
		return false, err
	}
	m.contents.walked.Add(p.repo, time.Now(), 1)
	return m.isNamed(p, d), nil
}

// walk notes up to maxWalk manifests of the store: those of tags, and what they name.
func (m *Mirror) walk(ctx context.Context, p *pull) error {
	left := maxWalk
	for tag, err := range m.store.Tags(ctx, p.repo, nil) {
		if err != nil {
			return ignoreMissing(err)
		}
		if left <= 0 {
			return nil
		}
		if err := m.walkFrom(ctx, p, reference.Ref{Tag: tag}, &left); err != nil {
			return err
		}
	}
	return nil
}

// walkFrom notes a manifest of the store and the manifests that it names.
func (m *Mirror) walkFrom(ctx context.Context, p *pull, ref reference.Ref, left *int) error {
	if *left--; *left < 0 {
		return nil
	}
	man, err := m.store.GetManifest(ctx, p.repo, ref)
	if err != nil {
		return ignoreMissing(err)
	}
	m.note(p, man)
	parsed, err := manifest.ParseStored(man.Descriptor.MediaType, man.Content)
	if err != nil {
		return nil
	}
	for _, child := range parsed.References {
		if child.Kind != manifest.KindManifest && child.Kind != manifest.KindAny {
			continue
		}
		if err := m.walkFrom(ctx, p, reference.Ref{Digest: child.Digest}, left); err != nil {
			return err
		}
	}
	return nil
}

// ignoreMissing returns err unless it says that something does not exist.
func ignoreMissing(err error) error {
	if isMissing(err) {
		return nil
	}
	return err
}
