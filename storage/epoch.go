package storage

import (
	"context"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// confirm ensures that a known manifest, visible as m, is whole and young, and returns it as it is
// then. The repository was read after the manifest was seen to be visible, or at the same time.
//
// A sparse manifest has no epochs, so everything that it names is checked. That includes sizes and
// media types, which could not be compared while the content was missing.
//
// Errors: driver.ErrChanged if another writer has changed the manifest;
// registry.ErrManifestBlobUnknown.
func (p *manifestPut) confirm(ctx context.Context, m *object.Manifest) (*object.Manifest, error) {
	if p.repository == nil {
		var err error
		if p.repository, err = p.repo.ReadRepository(ctx); err != nil {
			return nil, err
		}
	}
	p.epochs, p.lacks = m.Epochs, m.Sparse
	whole := !m.Sparse && p.isWhole(m)
	if !whole {
		if err := p.beginEpoch(ctx); err != nil {
			return nil, err
		}
		if !m.Sparse {
			p.anySize, p.accepted = true, true
		}
		if err := p.check(ctx); err != nil {
			return nil, err
		}
	}
	if unchanged := whole || m.Sparse && p.lacks; unchanged && !p.repo.Stale(m.PushTime()) {
		return m, nil
	}
	m, err := p.setState(ctx, m, object.Visible)
	return m, object.RegistryError(err)
}

// isWhole reports whether nothing that the manifest, visible as m, names can be missing.
func (p *manifestPut) isWhole(m *object.Manifest) bool {
	c := p.repository
	if c.Version == "" || c.Deleting != nil {
		return false
	}
	blobs, manifests := p.names()
	same := func(a, b string) bool { return a != "" && a == b }
	return (!blobs || same(m.Epochs.Blobs, c.Epochs.Blobs)) && (!manifests || same(m.Epochs.Manifests, c.Epochs.Manifests))
}

// names reports whether the manifest may name blobs, and whether it may name manifests.
func (p *manifestPut) names() (blobs, manifests bool) {
	for _, ref := range p.parsed.References {
		blobs = blobs || ref.Kind != manifest.KindManifest
		manifests = manifests || ref.Kind == manifest.KindManifest || ref.Kind == manifest.KindAny
	}
	return blobs, manifests
}

// beginEpoch replaces each epoch of the repository that has ended, or is not known, and that
// matters to the manifest. It leaves a repository that is being deleted, or is not in the catalog,
// to PutRepository: if something is missing, that repository stays as it is.
func (p *manifestPut) beginEpoch(ctx context.Context) error {
	blobs, manifests := p.names()
	var err error
	for n := range object.Attempts(ctx, &err) {
		if n > 0 {
			if p.repository, err = p.repo.ReadRepository(ctx); err != nil {
				return err
			}
		}
		c := p.repository
		if c.Version == "" || c.Deleting != nil {
			p.epochs = object.FirstEpochs()
			return nil
		}
		next := *c
		if blobs && c.Epochs.Known().Blobs == "" {
			next.Epochs.Blobs = object.NewNonce()
		}
		if manifests && c.Epochs.Known().Manifests == "" {
			next.Epochs.Manifests = object.NewNonce()
		}
		if next.Epochs != c.Epochs {
			next.Nonce = object.NewNonce()
			next.Version, err = p.repo.Put(ctx, p.repo.RepositoryKey(), c.Version, &next, nil, driver.Deferred)
			if driver.IsConflict(err) {
				continue
			} else if err != nil {
				return object.RegistryError(err)
			}
		}
		p.repository, p.epochs = &next, next.Epochs.Known()
		return nil
	}
	return err
}
