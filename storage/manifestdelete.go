package storage

import (
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// manifestDelete is one delete of a manifest. It marks the manifest, then removes what leads to it, and
// then the manifest itself, so that whatever leads to a manifest leads to one that is there. Each step
// depends on the version of the mark or of what it removes, so that of the delete and a push of the same
// manifest one sees the other: a push that wrote a tag before the mark is found here; a later push finds
// the mark, removes it, and writes the tag again. The next delete finishes one that died half-way.
//
// The models are internal/model/tags.pml (DM) and keep.pml.
type manifestDelete struct {
	repo   repo
	digest digest.Digest
	del    *deletion

	before   *object.Manifest // the manifest as it was read
	mark     *object.Manifest // the same, marked by this delete
	pointers *object.Pointers // what leads to it
	tags     []string         // the tags that this delete has removed, in all attempts
}

// deleteManifest deletes a manifest, with its tags and its entry with its subject.
//
// Errors: registry.ErrManifestUnknown, ErrDenied, ErrPreconditionFailed; errPushed.
func (r repo) deleteManifest(ctx context.Context, d digest.Digest, del *deletion) error {
	m := &manifestDelete{repo: r, digest: d, del: del}
	var err error
	for range object.Attempts(ctx, &err) {
		if done, err := m.attempt(ctx); done || err != nil {
			return m.report(err)
		}
	}
	return err
}

// report calls DeleteOptions.Deleted, unless the delete has failed with err. It returns err.
func (m *manifestDelete) report(err error) error {
	if err != nil || m.del.Deleted == nil {
		return err
	}
	desc := *m.before.Descriptor(m.digest)
	desc.ArtifactType = manifest.ArtifactType(m.before.Content)
	slices.Sort(m.tags)
	return m.del.report(nil, desc, slices.Compact(m.tags)...)
}

// attempt goes once through the steps. done is false if another writer came first, so that the delete
// must start again.
func (m *manifestDelete) attempt(ctx context.Context) (done bool, err error) {
	steps := []func(context.Context) error{m.setMark, m.checkKept, m.endEpoch, m.findPointers, m.withdrawMoves}
	for _, step := range steps {
		if err := step(ctx); driver.IsConflict(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return m.remove(ctx)
}

// setMark reads the manifest and marks it as Deleting.
//
// Errors: registry.ErrManifestUnknown, ErrPreconditionFailed; driver.ErrChanged.
func (m *manifestDelete) setMark(ctx context.Context) (err error) {
	if m.before, err = m.repo.ReadManifest(ctx, m.digest); err != nil {
		return err
	}
	if !m.before.Readable() {
		return manifestUnknown(reference.Ref{Digest: m.digest})
	}
	if err := requireDigest(m.del.If, m.digest); err != nil {
		return err
	}
	if m.del.damaged != nil && !m.del.damaged(m.before.Content) {
		return errRepaired
	}
	mark := *m.before
	mark.State, mark.Nonce, mark.Collected = object.Deleting, object.NewNonce(), false
	if mark.Delete == "" {
		mark.Delete = mark.Nonce
	}
	m.mark = &mark
	key := m.repo.ManifestKey(m.digest)
	mark.Version, err = m.repo.Put(ctx, key, m.before.Version, &mark, mark.Content, driver.Deferred)
	return object.RegistryError(err)
}

// checkKept refuses the delete, and removes the mark, if a protected tag needs the manifest or the
// repository is not being deleted any more. It leaves a mark that was there before: another delete
// set it, and would mistake its absence for a push of the manifest.
//
// Errors: registry.ErrDenied; errPushed.
func (m *manifestDelete) checkKept(ctx context.Context) error {
	err := m.repo.refuseManifest(ctx, m.digest, m.del.Keep)
	if err == nil {
		err = m.repo.unlessPushed(ctx, m.del)
	}
	if err == nil || m.before.State == object.Deleting && !m.before.Collected {
		return err
	}
	if _, back := m.repo.SetVisible(ctx, m.digest, m.mark); !driver.IsConflict(back) {
		err = errors.Join(err, object.RegistryError(back))
	}
	return err
}

// endEpoch has pushes of manifests that name this one look again whether it is there, see epoch.go.
func (m *manifestDelete) endEpoch(ctx context.Context) error {
	return m.repo.EndEpoch(ctx, m.digest, object.ManifestDeleted, m.del.catalogued)
}

// findPointers finds what leads to the manifest, and then checks that the mark is still there: what was
// found was written before that check. A push that removes the mark later writes its pointers again, in
// versions that this delete leaves alone.
//
// Errors: driver.ErrChanged if the mark is gone.
func (m *manifestDelete) findPointers(ctx context.Context) (err error) {
	if m.pointers, err = m.repo.FindPointers(ctx, m.digest, m.before); err != nil {
		return err
	}
	now, err := m.repo.ReadManifest(ctx, m.digest)
	if err == nil && now.Version != m.mark.Version {
		err = driver.ErrChanged
	}
	return err
}

// withdrawMoves aborts pending moves of tags to the manifest: their pushes would complete them without
// another look at the manifest.
//
// Errors: driver.ErrChanged if one of the tags has changed.
func (m *manifestDelete) withdrawMoves(ctx context.Context) error {
	return m.repo.WithdrawMoves(ctx, m.digest, m.pointers)
}

// remove records the delete in the history, and removes what leads to the manifest and the manifest. done
// is false if the delete must start again.
func (m *manifestDelete) remove(ctx context.Context) (done bool, err error) {
	key := m.repo.ManifestKey(m.digest)
	b, err := m.repo.BeginEvent(ctx, object.EventDelete, object.DigestSubject(m.digest), object.Event{
		By: m.del.By, Group: m.del.group, Before: m.mark.Descriptor(m.digest), Tags: m.pointers.Names(),
		Sets: m.pointers.Sets, Delete: m.mark.Delete, Sparse: m.mark.Sparse, Content: m.mark.Content,
	})
	if err != nil {
		return false, err
	}
	keys := []string{key}
	for _, p := range slices.Concat(m.pointers.Tags, m.pointers.Entry, m.pointers.Backrefs) {
		keys = append(keys, p.Key)
	}
	err = m.repo.RemovePointers(ctx, m.pointers)
	m.tags = append(m.tags, m.pointers.Removed...)
	if err == nil {
		err = m.repo.Remove(ctx, key, m.mark.Version)
	} else if driver.IsConflict(err) {
		m.discard(ctx, b)
		return false, nil // the push that changed a tag does not look at the manifest again
	}
	switch {
	case err == nil:
		b.End(ctx, object.Happened)
	case !driver.IsConflict(err):
		return false, object.RegistryError(err)
	default:
		// A push has come after this delete. Or another delete has marked the manifest, and may die.
		m.discard(ctx, b)
		now, err := m.repo.ReadManifest(ctx, m.digest)
		if err != nil || now.State == object.Deleting {
			return false, err
		}
	}
	return true, object.RegistryError(m.repo.Driver.Sync(ctx, keys...))
}

// discard removes the event of a delete that has lost to another writer, unless tags may be gone all the
// same.
func (m *manifestDelete) discard(ctx context.Context, b *object.OpenEvent) {
	if len(m.pointers.Tags) == 0 {
		b.DiscardUnlessGone(ctx, m.repo.ManifestKey(m.digest))
	}
}
