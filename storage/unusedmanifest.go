package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// unusedDelete is one delete of a manifest with registry.DeleteOptions.IfUnused. It takes the steps of
// a collection of untagged manifests (storage/internal/gc/untagged.go), with its mark: the mark, the
// look at the manifests and at what leads to this one, the look at the mark, the removal. So a push
// that tags the manifest, names it or is its subject comes before the look, or takes the mark off, or
// finds the manifest gone. Unlike a collection, the delete does not look at the history, because its
// own event, which it writes before the removal, can bring the manifest back.
//
// A push may send the manifest before what names it, and is acknowledged. DeleteOptions.NotSetAfter lets
// the manifest stay then: the mark is a compare-and-swap on the record whose time was compared.
//
// DeleteOptions.Keep needs no look of its own: a tag that reaches the manifest is seen, or a manifest
// below that tag is which names it.
//
// The models are internal/model/tags.pml (DU) and refs.pml (GU).
type unusedDelete struct {
	repo   repo
	digest digest.Digest
	del    *deletion

	mark     *object.Manifest // the manifest with a mark; nil if there is none yet
	pointers *object.Pointers // what leads to it
}

// deleteUnused deletes a manifest if nothing leads to it.
//
// Errors: registry.ErrManifestUnknown, ErrDenied, ErrPreconditionFailed.
func (r repo) deleteUnused(ctx context.Context, d digest.Digest, del *deletion) error {
	var err error
	for range object.Attempts(ctx, &err) {
		u := &unusedDelete{repo: r, digest: d, del: del}
		err := u.attempt(ctx)
		if driver.IsConflict(err) {
			continue
		}
		if errors.Is(err, registry.ErrDenied) {
			return errors.Join(err, u.unmark(ctx))
		}
		if err != nil {
			return err // a further delete, a push or a collection deals with the mark
		}
		desc := *u.mark.Descriptor(d)
		desc.ArtifactType = manifest.ArtifactType(u.mark.Content)
		return del.report(nil, desc)
	}
	return err
}

// attempt goes once through the steps.
//
// Errors: driver.ErrChanged or driver.ErrExist if another writer came first.
func (u *unusedDelete) attempt(ctx context.Context) error {
	if err := u.setMark(ctx); err != nil {
		return err
	}
	awaited, err := u.awaitSubject(ctx)
	if err != nil {
		return err
	}
	err = u.settle(ctx)
	if awaited == "" {
		return err
	}
	// If this fails after the removal, the next collection does it.
	if rerr := u.repo.RemoveAwaited(ctx, u.mark.Subject, awaited); err != nil && !driver.IsConflict(err) {
		err = errors.Join(err, rerr)
	}
	return err
}

// setMark marks the manifest as a collection does, if nothing leads to it at first sight. It leaves
// the mark of a delete, which may have died, as it is.
//
// Errors: registry.ErrManifestUnknown, ErrDenied, ErrPreconditionFailed; driver.ErrChanged.
func (u *unusedDelete) setMark(ctx context.Context) error {
	m, err := u.repo.ReadManifest(ctx, u.digest)
	if err != nil {
		return err
	}
	if !m.Readable() {
		return manifestUnknown(reference.Ref{Digest: u.digest})
	}
	if err := requireDigest(u.del.If, u.digest); err != nil {
		return err
	}
	// The time of a marked manifest is that of the mark. A push that comes after the mark takes it off.
	if after := u.del.NotSetAfter; !after.IsZero() && m.State != object.Deleting && m.PushTime().After(after) {
		return errPushedAgain.WithDetail(map[string]string{"digest": string(u.digest)})
	}
	if err := u.refuseLed(ctx, m); err != nil {
		return err
	}
	if m.State == object.Deleting && !m.Collected {
		u.mark = m
		return nil
	}
	mark := *m
	mark.State, mark.Nonce, mark.Collected = object.Deleting, object.NewNonce(), true
	mark.Version, err = u.repo.Put(ctx, u.repo.ManifestKey(u.digest), m.Version, &mark, mark.Content, driver.Deferred)
	if err == nil {
		u.mark = &mark
	}
	return object.RegistryError(err)
}

// unmark takes the mark of this delete off the manifest, because something leads to it.
func (u *unusedDelete) unmark(ctx context.Context) error {
	if u.mark == nil || !u.mark.Collected {
		return nil
	}
	if _, err := u.repo.SetVisible(ctx, u.digest, u.mark); !driver.IsConflict(err) {
		return object.RegistryError(err)
	}
	return nil
}

// awaitSubject has a push of the absent subject of the manifest take the mark off. It returns the
// version of the record for that push, or "" if there is none.
//
// Errors: registry.ErrDenied if the subject is there, or is being pushed.
func (u *unusedDelete) awaitSubject(ctx context.Context) (version string, err error) {
	if u.mark.Subject == "" || !u.mark.Collected {
		return "", nil
	}
	version, err = u.repo.PutAwaited(ctx, u.mark.Subject)
	if err == nil && version == "" {
		err = usedBy("subject", string(u.mark.Subject), "it refers to a manifest that is there")
	}
	return version, err
}

// settle looks what leads to the marked manifest, and removes it if nothing does.
//
// Errors: registry.ErrDenied; driver.ErrChanged if another writer has changed the manifest.
func (u *unusedDelete) settle(ctx context.Context) error {
	if err := u.refuseNamed(ctx); err != nil {
		return err
	}
	if err := u.refuseLed(ctx, u.mark); err != nil {
		return err
	}
	// A push that takes the mark off after this look writes its pointers in new versions, which this
	// delete leaves alone.
	now, err := u.repo.ReadManifest(ctx, u.digest)
	if err != nil {
		return err
	}
	if now.Version != u.mark.Version {
		return driver.ErrChanged
	}
	return u.remove(ctx)
}

// remove records the delete in the history, and removes the manifest and what leads to it.
//
// Errors: driver.ErrChanged if another writer has changed the manifest.
func (u *unusedDelete) remove(ctx context.Context) error {
	key := u.repo.ManifestKey(u.digest)
	b, err := u.repo.BeginEvent(ctx, object.EventDelete, object.DigestSubject(u.digest), object.Event{
		By: u.del.By, Before: u.mark.Descriptor(u.digest), Delete: u.mark.Delete, Sparse: u.mark.Sparse,
		Content: u.mark.Content,
	})
	if err != nil {
		return err
	}
	err = u.repo.RemovePointers(ctx, &object.Pointers{Backrefs: u.pointers.Backrefs})
	if err == nil {
		err = u.repo.Remove(ctx, key, u.mark.Version)
	}
	if err != nil {
		b.DiscardUnlessGone(ctx, key)
		return object.RegistryError(err)
	}
	b.End(ctx, object.Happened)
	keys := []string{key}
	for _, p := range u.pointers.Backrefs {
		keys = append(keys, p.Key)
	}
	// The entry comes after the manifest, so that a push of the subject finds each referrer by its
	// entry. If its removal fails, the next collection removes it.
	_ = u.repo.RemovePointers(ctx, &object.Pointers{Entry: u.pointers.Entry, Hint: u.pointers.Hint})
	return object.RegistryError(u.repo.Driver.Sync(ctx, keys...))
}

// refuseLed returns an error if a tag points at the manifest m or is about to, or if its subject is
// there. It keeps what it finds.
//
// Errors: registry.ErrDenied.
func (u *unusedDelete) refuseLed(ctx context.Context, m *object.Manifest) error {
	if m.Subject != "" {
		subject, err := u.repo.ReadManifest(ctx, m.Subject)
		if err != nil {
			return err
		}
		if !subject.IsAwaitable() {
			return usedBy("subject", string(m.Subject), "it refers to a manifest that is there")
		}
	}
	p, err := u.repo.FindPointers(ctx, u.digest, m)
	if err != nil {
		return err
	}
	u.pointers = p
	for _, tag := range p.Names() {
		return usedBy("tag", tag, "the tag "+tag+" points at it")
	}
	for tag := range p.Moves {
		return usedBy("tag", tag, "a push is about to point the tag "+tag+" at it")
	}
	return nil
}

// refuseNamed returns an error if a manifest of the repository names this one, also one whose push is
// in progress.
//
// Errors: registry.ErrDenied.
func (u *unusedDelete) refuseNamed(ctx context.Context) error {
	list := u.repo.Driver.List(ctx, u.repo.ManifestPrefix(), nil)
	for batch, err := range object.BatchesInMemory(list) {
		if err != nil {
			return err
		}
		err := parallel.Each(object.Parallelism, len(batch), func(i int) error {
			by := objectkey.PathDigest(batch[i].Key)
			if by == "" {
				return nil
			}
			names, err := u.repo.ListedChildren(ctx, by, batch[i])
			if err != nil {
				return err
			}
			for _, d := range names {
				if d == u.digest {
					return usedBy("manifest", string(by), "the manifest "+string(by)+" names it")
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ErrUsed is the cause of the error of a delete with registry.DeleteOptions.IfUnused if something leads
// to the manifest.
var ErrUsed = errors.New("storage: the manifest is used")

// usedBy returns the error of a delete with DeleteOptions.IfUnused of a manifest in use.
func usedBy(kind, name, message string) error {
	return registry.ErrDenied.WithMessage("the manifest is used: " + message).WithCause(ErrUsed).
		WithDetail(map[string]string{kind: name})
}
