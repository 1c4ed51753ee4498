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

// A manifest without a mediaType field has the media type that its push states. A push of the same
// content may change that type as long as no tag leads to the manifest. Otherwise anybody who can
// push by digest, or under an unimportant tag, could prevent a release from being pushed under its
// own tag. The push marks the manifest like a collector, then checks whether a tag leads to it, and
// then writes it with the new type in the version of its mark. A push that has written a tag in
// between checks the manifest after that. The model is internal/model/types.pml.

// errTyped is the cause of the error of a push that states a media type other than the one that the
// manifest must keep.
var errTyped = errors.New("storage: the media type cannot be changed")

// retype gives the manifest, readable as m, the media type that this push states, and returns it as
// it is then. A push by digest never changes the type.
//
// Errors: driver.ErrChanged if another writer has changed the manifest;
// registry.ErrManifestInvalid, and the manifest is as it was.
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
	key := p.repo.ManifestKey(p.digest)
	if mark.Version, err = p.repo.Put(ctx, key, m.Version, &mark, m.Content, driver.Deferred); err != nil {
		return nil, object.RegistryError(err)
	}
	err = p.refuseTagged(ctx, &mark, refusal)
	if err == nil {
		p.epochs, p.lacks = m.Epochs, m.Sparse
		m, err = p.setState(ctx, &mark, object.Visible)
		return m, object.RegistryError(err)
	}
	if _, back := p.repo.SetVisible(ctx, p.digest, &mark); !driver.IsConflict(back) {
		err = errors.Join(err, object.RegistryError(back))
	}
	return nil, err
}

// refuseTagged returns refusal if a tag that this push has not created leads to the manifest: the tag
// points at it, is about to, or points at an index that names it at any depth; or leads to its
// subject in one of these ways, because the type of a signature matters to the manifest that it
// signs. Other referrers and untagged indexes do not count, because anybody could push them.
func (p *manifestPut) refuseTagged(ctx context.Context, m *object.Manifest, refusal error) error {
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

// maxSubjects is the maximum length of the chain of subjects that is followed.
const maxSubjects = 8

// subjects returns the subject of a manifest, the subject of that, and so on.
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
