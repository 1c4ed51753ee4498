package storage

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// A manifest without a field mediaType has the media type that its push has stated. A push of the
// same content may change that as long as no tag leads to the manifest: else whoever may push by
// digest, or a tag of no importance, could keep a release from being pushed under its own tag. The
// push marks the manifest, as a collector does, then looks whether a tag leads to it, and then
// writes it with the other type, on the version of its mark. A push that has written a tag in the
// meantime looks at the manifest after that. The model is internal/model/types.pml.

// errTyped is the cause of the refusal of a push that states another media type than a manifest has
// for good.
var errTyped = errors.New("storage: the media type cannot be changed")

// retype gives the manifest, which is readable as m, the media type that this push states, and
// returns it as it is then. A push by digest never does.
//
// Errors: ErrChanged if it is another by now; registry.ErrManifestInvalid, and the manifest is as
// it was.
func (p *manifestPut) retype(ctx context.Context, m *object.Manifest) (*object.Manifest, error) {
	refusal := registry.ErrManifestInvalid.WithCause(errTyped).
		WithMessage("manifest invalid: the same content is in the repository with the media type " + m.MediaType)
	if len(p.tags) == 0 || m.State == object.Deleting && !m.Collected {
		return nil, refusal // the mark is that of a delete, which goes on
	}
	if err := p.abortMoves(ctx); err != nil { // of an attempt before
		return nil, err
	}
	p.moves = nil
	mark := *m
	mark.State, mark.Nonce, mark.Collected = object.Deleting, object.NewNonce(), true
	var err error
	if mark.Version, err = p.repo.Put(ctx, p.repo.ManifestKey(p.digest), m.Version, &mark, m.Content, driver.Deferred); err != nil {
		return nil, object.RegistryError(err)
	}
	err = p.refuseLed(ctx, &mark, refusal)
	if err == nil {
		p.epochs = m.Epochs
		m, err = p.setState(ctx, &mark, object.Visible)
		return m, object.RegistryError(err)
	}
	if _, back := p.repo.SetVisible(ctx, p.digest, &mark); !object.IsConflict(back) {
		err = errors.Join(err, object.RegistryError(back))
	}
	return nil, err
}

// refuseLed returns the refusal if a tag that this push has not created points at the manifest, or
// is about to, or points at an index that names it at any depth, or leads in one of these ways to
// its subject: that a signature is there under its type matters to the manifest that is signed.
// Other referrers, and indexes without a tag, do not count: anybody could push them.
func (p *manifestPut) refuseLed(ctx context.Context, m *object.Manifest, refusal error) error {
	pointers, err := p.repo.FindPointers(ctx, p.digest, &object.Manifest{})
	if err != nil {
		return err
	}
	if len(pointers.Moves) > 0 || slices.ContainsFunc(pointers.Tags, func(tag driver.Info) bool {
		return !slices.ContainsFunc(p.created, func(own driver.Info) bool {
			return own.Key == tag.Key &&
				own.Version == tag.Version
		})
	}) {
		return refusal
	}
	subjects, err := p.repo.subjects(ctx, m)
	if err != nil {
		return err
	}
	w := &walk{repo: p.repo, targets: append(subjects, p.digest), seen: map[digest.Digest]bool{}}
	anyTag := func(string) bool { return true }
	return p.repo.keptTags(ctx, anyTag, func(_ string, desc ocispec.Descriptor) error {
		if desc.Digest == p.digest {
			return nil // known already
		}
		found, err := w.reaches(ctx, manifest.Reference{Kind: manifest.KindManifest, MediaType: desc.MediaType,
			Digest: desc.Digest})
		if err == nil && found {
			err = refusal
		}
		return err
	})
}

// maxSubjects is how many subjects are followed, each of the one before.
const maxSubjects = 8

// subjects returns the subject of a manifest, that of its subject, and so on.
func (r repo) subjects(ctx context.Context, m *object.Manifest) ([]digest.Digest, error) {
	var found []digest.Digest
	for m.Subject != "" && len(found) < maxSubjects {
		found = append(found, m.Subject)
		var err error
		if m, err = r.ReadManifest(ctx, m.Subject); err != nil {
			return nil, err
		}
	}
	return found, nil
}
