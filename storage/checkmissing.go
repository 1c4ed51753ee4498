package storage

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/internal/object"
)

// checkReferences checks that the repository has the blobs that a manifest names, and notes the
// manifests that it names.
func (k *repoCheck) checkReferences(ctx context.Context, d digest.Digest, parsed *manifest.Manifest) error {
	for _, ref := range parsed.References {
		switch {
		case ref.NonDistributable:
		case ref.Kind == manifest.KindManifest || ref.Kind == manifest.KindAny:
			k.mu.Lock()
			k.children = append(k.children, childOf{d, ref})
			k.mu.Unlock()
		default:
			k.mu.Lock()
			_, there := k.links[short(ref.Digest)]
			k.mu.Unlock()
			if there {
				continue
			}
			if err := k.checkMissing(ctx, childOf{d, ref}); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkChildren checks that the repository has the manifests that indexes name.
func (k *repoCheck) checkChildren(ctx context.Context) error {
	children := k.children
	k.children = nil
	return parallel.Each(k.opts.Parallel, len(children), func(i int) error {
		ref := children[i].child
		k.mu.Lock()
		_, there := k.manifests[ref.Digest]
		if _, link := k.links[short(ref.Digest)]; link && ref.Kind == manifest.KindAny {
			there = true
		}
		_, corrupt := k.corrupt[ref.Digest] // reported itself
		k.mu.Unlock()
		if there || corrupt {
			return nil
		}
		return k.checkMissing(ctx, children[i])
	})
}

// checkMissing looks again whether the repository lacks something that a manifest names. The look at
// the manifest comes after that at what it names: a manifest that is there, and is not being deleted,
// had everything before it became visible, and only a delete or damage can have removed it.
//
// Nothing was deleted since the manifest was last checked if the epochs are those of the repository,
// see epoch.go. Then the absence is damage. Otherwise a client may have deleted the content on
// purpose, so it is only reported, unless an earlier check has recorded it as lost.
func (k *repoCheck) checkMissing(ctx context.Context, c childOf) error {
	there, err := k.present(ctx, c.child)
	if err != nil || there {
		return err
	}
	m, err := k.repo.ReadManifest(ctx, c.parent)
	if err != nil || m.State != object.Visible || m.Sparse {
		return err
	}
	if there, err = k.present(ctx, c.child); err != nil || there {
		return err
	}
	if now, err := k.repo.ReadManifest(ctx, c.parent); err != nil || now.Version != m.Version {
		return err // it has been pushed again, which looks at everything, or is being deleted
	}
	repository, err := k.repo.ReadRepository(ctx)
	if err != nil || repository.Deleting != nil {
		return err // the repository is being deleted, manifest by manifest; a collection finishes that
	}
	if now, err := k.repo.ReadManifest(ctx, c.parent); err != nil || now.Version != m.Version {
		return err // a delete of the repository has just ended
	}
	if !k.markMissing(c.child.Digest) {
		return nil
	}
	isManifest := c.child.Kind == manifest.KindManifest
	then, now := m.Epochs.Blobs, repository.Epochs.Known().Blobs
	if isManifest {
		then, now = m.Epochs.Manifests, repository.Epochs.Known().Manifests
	}
	deleted := repository.Version == "" || then == "" || then != now
	return k.handleMissing(ctx, c, isManifest, deleted)
}

// present reports whether the repository serves something that a manifest names.
func (k *repoCheck) present(ctx context.Context, ref manifest.Reference) (bool, error) {
	if ref.Kind == manifest.KindManifest || ref.Kind == manifest.KindAny {
		m, err := k.repo.ReadManifest(ctx, ref.Digest)
		if err != nil || m.Readable() {
			return true, err
		}
		if ref.Kind == manifest.KindManifest {
			return false, nil
		}
	}
	l, err := k.repo.ReadLink(ctx, ref.Digest)
	if err != nil {
		return false, err
	}
	return l.Readable(), nil
}

// handleMissing handles content that a manifest names and the repository lacks. deleted reports whether
// a delete may have removed it. A blob that was lost is restored if another repository has it. The
// repository had the blob, because the push of the manifest required it: the push of a sparse manifest
// does not, and is left out before.
func (k *repoCheck) handleMissing(ctx context.Context, c childOf, isManifest, deleted bool) error {
	d := c.child.Digest
	damage := Damage{Kind: MissingBlob, Digest: d, Found: "nothing",
		Expected: fmt.Sprintf("%d bytes, which %s names", c.child.Size, c.parent)}
	loss := Loss{Repository: k.repo.Name, Digest: d, Size: c.child.Size, Reason: MissingBlob}
	if isManifest {
		damage.Kind, loss.Reason, loss.Manifest, loss.MediaType = MissingManifest, MissingManifest, true, c.child.MediaType
	}
	if deleted {
		damage.Found, loss.Deleted = "nothing; content was deleted from the repository since", true
	}
	known, err := k.opts.Lost(ctx, loss)
	if err != nil {
		return err
	}
	if k.opts.Repair && (known || !deleted) {
		if !isManifest {
			if restored, err := k.restore(ctx, d); err != nil {
				return err
			} else if restored {
				damage.Repair = Repaired
				k.report(damage)
				return nil
			}
		}
		// Pushes of manifests that the repository has now look at what these name, and are refused until
		// the client sends what is missing.
		if err := k.repo.EndEpoch(ctx, "", object.AnythingDeleted, nil); err != nil {
			return err
		}
		damage.Repair = Quarantined
	}
	if !known {
		k.report(damage)
	}
	return nil
}
