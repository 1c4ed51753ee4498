package storage

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage/driver"
)

// A push of a manifest that is in the repository already does not look at all that the manifest
// names: only a delete of a blob or a child can have removed any of it. Whether there was one,
// epochs tell, which the push reads with the records that it needs anyway. A manifest has the epoch
// in which all that it names was last seen, the repository has the one that it is in. A delete
// marks what it deletes, then ends the epoch, and then removes it. A push that finds that the
// epochs differ begins a new one, then looks at everything, and takes marks off. So either the
// delete finds that its mark is gone, or the push finds that something is missing. The model is
// internal/model/known.pml.

// epochs are names of epochs, of blobs and of manifests: manifests are deleted more often, and only
// indexes name them. "" is an epoch that is not known, and equals none: records written by versions
// of this package without epochs have it.
type epochs struct {
	Blobs     string `json:"blobs,omitempty"`
	Manifests string `json:"manifests,omitempty"`
}

const (
	// firstEpoch is the epoch of a repository from which nothing has been deleted. A manifest whose
	// push did not read the epoch of its repository has it, too.
	firstEpoch = "first"
	// over stands in a repository, and in no manifest, for an epoch that a delete has ended.
	over = "over"
)

// firstEpochs returns the epochs of a new repository, and of a manifest whose push did not read
// them.
func firstEpochs() epochs { return epochs{Blobs: firstEpoch, Manifests: firstEpoch} }

// known returns the epochs with "" for those that are over.
func (e epochs) known() epochs {
	if e.Blobs == over {
		e.Blobs = ""
	}
	if e.Manifests == over {
		e.Manifests = ""
	}
	return e
}

// blobDeleted and manifestDeleted are what ends an epoch, see endEpoch.
func blobDeleted(e *epochs)     { e.Blobs = over }
func manifestDeleted(e *epochs) { e.Manifests = over }

func anythingDeleted(e *epochs) {
	blobDeleted(e)
	manifestDeleted(e)
}

// endEpoch ends an epoch of a repository, before d is removed, which is marked. Where the
// repository is being deleted, all epochs are over. Where it is not in the catalogue, there is no
// epoch to end, unless a manifest is on its way that may have been looked at already.
func (s *Store) endEpoch(ctx context.Context, repo string, d digest.Digest, what func(*epochs), catalogued *repositoryRecord) error {
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return err
		}
		c, err := s.readRepository(ctx, repo)
		if err != nil {
			return err
		}
		next := *c
		what(&next.Epochs)
		if c.version != "" && (c.Deleting != nil || next.Epochs == c.Epochs) {
			return nil
		}
		if c.version == "" {
			if used, err := s.hasManifest(ctx, repo, d); err != nil || !used {
				return err
			}
		}
		next.Nonce = nonce()
		next.version, err = s.put(ctx, repositoryKey(repo), c.version, &next, nil, driver.Durable)
		if changed(err) {
			continue
		}
		if err == nil && catalogued != nil && catalogued.version == c.version {
			*catalogued = next
		}
		return wire(err)
	}
	return errContended
}

// confirm sees to it that a known manifest, which is visible as m, is whole, and young, and returns
// it as it is then. The repository is read after m was seen to be visible, or at the same time.
//
// Errors: ErrChanged if it is another by now; registry.ErrManifestBlobUnknown.
func (p *manifestPut) confirm(ctx context.Context, m *manifestRecord) (*manifestRecord, error) {
	if p.repository == nil {
		var err error
		if p.repository, err = p.s.readRepository(ctx, p.repo); err != nil {
			return nil, err
		}
	}
	p.epochs = m.Epochs
	whole := p.isWhole(m)
	if !whole {
		if err := p.beginEpoch(ctx); err != nil {
			return nil, err
		}
		p.anySize, p.accepted = true, true
		if err := p.check(ctx); err != nil {
			return nil, err
		}
	}
	if whole && !p.s.stale(m.modTime) {
		return m, nil
	}
	m, err := p.set(ctx, m, visible)
	return m, wire(err)
}

// isWhole reports whether nothing can be missing of what the manifest names, which is visible as m.
func (p *manifestPut) isWhole(m *manifestRecord) bool {
	c := p.repository
	if c.version == "" || c.Deleting != nil {
		return false
	}
	blobs, manifests := p.names()
	same := func(a, b string) bool { return a != "" && a == b }
	return (!blobs || same(m.Epochs.Blobs, c.Epochs.Blobs)) && (!manifests || same(m.Epochs.Manifests, c.Epochs.Manifests))
}

// names reports of what kinds the things may be that the manifest names.
func (p *manifestPut) names() (blobs, manifests bool) {
	for _, ref := range p.parsed.References {
		blobs = blobs || ref.Kind != manifest.KindManifest
		manifests = manifests || ref.Kind == manifest.KindManifest || ref.Kind == manifest.KindAny
	}
	return blobs, manifests
}

// beginEpoch begins a new epoch of the repository in the place of each that is over, or not known,
// and matters to the manifest. A repository that is being deleted, or not in the catalogue, is left
// to putRepository: if something is missing, it stays as it is.
func (p *manifestPut) beginEpoch(ctx context.Context) error {
	blobs, manifests := p.names()
	for n := range attempts {
		err := pause(ctx, n)
		if err == nil && n > 0 {
			p.repository, err = p.s.readRepository(ctx, p.repo)
		}
		if err != nil {
			return err
		}
		c := p.repository
		if c.version == "" || c.Deleting != nil {
			p.epochs = firstEpochs()
			return nil
		}
		next := *c
		if blobs && c.Epochs.known().Blobs == "" {
			next.Epochs.Blobs = nonce()
		}
		if manifests && c.Epochs.known().Manifests == "" {
			next.Epochs.Manifests = nonce()
		}
		if next.Epochs != c.Epochs {
			next.Nonce = nonce()
			next.version, err = p.s.put(ctx, repositoryKey(p.repo), c.version, &next, nil, driver.Deferred)
			if changed(err) {
				continue
			} else if err != nil {
				return wire(err)
			}
		}
		p.repository, p.epochs = &next, next.Epochs.known()
		return nil
	}
	return errContended
}
