package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// DeleteRepository implements [registry.Deleter]. Content that is pushed to the repository at the
// same time is either deleted too, or stays whole. An interrupted delete can be repeated. The next
// collection finishes it, unless something has been pushed since, or opts.Keep is set.
func (s *Store) DeleteRepository(ctx context.Context, repo string, opts *registry.DeleteOptions) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	r := s.repo(repo).withReserve()
	del := newDeletion(opts)
	del.Deleted = nil // not for each of the manifests
	if !del.If.IsZero() {
		return registry.ErrUnsupported.WithMessage("a repository cannot be deleted on a condition")
	}
	if del.IfUnused {
		return errIfUnused
	}
	if !del.NotSetAfter.IsZero() {
		return errNotSetAfter
	}
	ctx = context.WithoutCancel(ctx)
	if err := r.refuseRepository(ctx, del.Keep); err != nil {
		return err
	}
	b, err := r.BeginEvent(ctx, object.EventRepository, "", object.Event{By: del.By})
	if err != nil {
		return err
	}
	del.group = b.ID()
	c, err := r.beginDelete(ctx, del)
	if err != nil {
		return err
	}
	b.Join(del.group)
	return r.deleteRepository(ctx, c, b, del)
}

// errPushed is returned when a push has ended the delete of a repository that a collection was
// about to finish.
var errPushed = errors.New("storage: the repository is not being deleted any more")

// finishDelete finishes a delete of the repository that its record c shows to have begun, unless
// something has been pushed since.
//
// Errors: errPushed.
func (r repo) finishDelete(ctx context.Context, c *object.Repository) error {
	del := newDeletion(&registry.DeleteOptions{By: c.Deleting.By})
	c.Nonce = object.NewNonce()
	if c.Deleting.Since.IsZero() {
		c.Deleting.Since = c.ModTime
	}
	var err error
	if c.Version, err = r.Put(ctx, r.RepositoryKey(), c.Version, c, nil, driver.Deferred); driver.IsConflict(err) {
		return errPushed
	} else if err != nil {
		return object.RegistryError(err)
	}
	b, err := r.ResumeEvent(ctx, c.Deleting.Event, object.Event{By: del.By})
	if err != nil {
		return err
	}
	del.group, del.while, del.since = b.ID(), c.Version, c.Deleting.Since
	return r.deleteRepository(ctx, c, b, del)
}

// unlessPushed returns an error if del depends on the repository being deleted, and a push has
// ended that. A manifest is marked before this check; a push that finds a delete of the repository,
// begun or just ended, checks its manifest after that.
//
// Errors: errPushed.
func (r repo) unlessPushed(ctx context.Context, del *deletion) error {
	if del.while == "" {
		return nil
	}
	c, err := r.ReadRepository(ctx)
	if err == nil && c.Version != del.while {
		return errPushed
	}
	return err
}

// deleteRepository deletes everything in a repository. c is its record in the catalog, and b the
// event of the delete.
func (r repo) deleteRepository(ctx context.Context, c *object.Repository, b *object.OpenEvent, del *deletion) error {
	existed := c.Version != ""
	del.catalogued = c
	for info, err := range r.Driver.List(ctx, r.ManifestPrefix(), &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return object.RegistryError(err)
		}
		d := objectkey.PathDigest(info.Key)
		if d == "" {
			continue
		}
		err := r.deleteManifest(ctx, d, del)
		if err != nil && !errors.Is(err, registry.ErrManifestUnknown) {
			return err
		}
		existed = existed || err == nil
	}
	if err := r.clear(ctx, del); err != nil {
		return err
	}
	if existed {
		if err := r.Remove(ctx, r.RepositoryKey(), c.Version); err != nil && !driver.IsConflict(err) {
			return object.RegistryError(err)
		}
	}
	// A push may have found the repository in the catalog just before it was removed from there.
	if inUse, err := r.HasManifest(ctx, ""); err != nil {
		return err
	} else if inUse {
		if _, err := r.PutRepository(ctx, nil, object.ExpectAbsent); err != nil {
			return err
		}
		if err := r.EndEpoch(ctx, "", object.AnythingDeleted, del.catalogued); err != nil {
			return err
		}
	}
	b.End(ctx, object.OutcomeIf(existed))
	if !existed {
		return registry.ErrNameUnknown.WithDetail(map[string]string{"name": r.Name})
	}
	return object.RegistryError(r.Driver.Sync(ctx, r.RepositoryKey()))
}

// beginDelete records in the catalog that a delete of the repository has begun, so that collections
// finish it if it is interrupted. It returns the record; one without a version means that there is
// no such repository. A delete with Keep is not recorded, because a collection could not evaluate
// Keep. A delete that resumes an earlier one joins its history group.
func (r repo) beginDelete(ctx context.Context, del *deletion) (*object.Repository, error) {
	var err error
	for range object.Attempts(ctx, &err) {
		c, err := r.ReadRepository(ctx)
		if err != nil || c.Version == "" || del.Keep != nil {
			return c, err
		}
		if c.Deleting != nil && c.Deleting.Event != "" && del.group != "" {
			del.group = c.Deleting.Event
		}
		c.Nonce, c.Deleting = object.NewNonce(), &object.RepositoryDelete{By: del.By, Event: del.group}
		if c.Version, err = r.Put(ctx, r.RepositoryKey(), c.Version, c, nil, driver.Deferred); !driver.IsConflict(err) {
			return c, object.RegistryError(err)
		}
	}
	return nil, err
}

// clear removes the blobs of a repository and what interrupted deletes have left.
func (r repo) clear(ctx context.Context, del *deletion) error {
	links := r.Driver.List(ctx, r.LinkPrefix(), &driver.ListOptions{KeysOnly: true})
	for batch, err := range object.Batches(links, blobsAtOnce) {
		if err != nil {
			return err
		}
		var blobs []digest.Digest
		for _, info := range batch {
			if d := objectkey.PathDigest(info.Key); d != "" {
				blobs = append(blobs, d)
			}
		}
		if err := r.clearBlobs(ctx, blobs, del); err != nil {
			return err
		}
	}
	return r.removeOrphans(ctx)
}

// blobsAtOnce is the number of links that clear condemns before it looks for manifests that need them.
const blobsAtOnce = 4096

// clearBlobs removes some blobs of a repository.
func (r repo) clearBlobs(ctx context.Context, blobs []digest.Digest, del *deletion) error {
	if len(blobs) == 0 {
		return nil
	}
	// A link that has changed was written by a push, or by a collector that found it in the history.
	var err error
	for range object.Attempts(ctx, &err) {
		if blobs, err = r.clearLinks(ctx, blobs, del); err != nil || len(blobs) == 0 {
			return err
		}
	}
	return err
}

// clearedLink is a link that a delete of the repository removes.
type clearedLink struct {
	digest  digest.Digest
	link    *object.Link // nil if nothing is to be done: gone, hidden, or pushed since the delete began
	changed bool         // another writer came first
}

// clearLinks removes links like a collector: it condemns them, and then looks for a manifest that may
// need them, so that it breaks no push that begins in between. It returns the blobs whose links were
// changed by others.
func (r repo) clearLinks(ctx context.Context, blobs []digest.Digest, del *deletion) (again []digest.Digest, err error) {
	links := make([]clearedLink, len(blobs))
	err = parallel.Each(object.Parallelism, len(links), func(i int) error {
		links[i].digest = blobs[i]
		return r.condemnCleared(ctx, &links[i], del)
	})
	if err != nil {
		return nil, err
	}
	inUse, err := r.isInUse(ctx, del)
	if err != nil {
		return nil, err
	}
	settle := r.RemoveLink
	switch {
	case inUse:
		settle = r.reviveLink
	case r.History > 0:
		settle = r.hideLink
	}
	err = parallel.Each(object.Parallelism, len(links), func(i int) error {
		l := &links[i]
		if l.link == nil {
			return nil
		}
		err := settle(ctx, l.digest, l.link)
		if l.changed = driver.IsConflict(err); l.changed {
			return nil
		}
		return object.RegistryError(err)
	})
	for _, l := range links {
		if l.changed && !inUse {
			again = append(again, l.digest)
		}
	}
	return again, err
}

// condemnCleared condemns a link, unless it is not to be removed.
func (r repo) condemnCleared(ctx context.Context, c *clearedLink, del *deletion) error {
	l, err := r.ReadLink(ctx, c.digest)
	if err != nil || !l.Readable() {
		return err
	}
	if l.State == object.Live {
		if !del.since.IsZero() && !l.ModTime.Before(del.since) {
			return nil // a condemned link was not pushed since then: a push would have revived it
		}
		if l, err = r.SetLink(ctx, c.digest, l, object.Condemned); driver.IsConflict(err) {
			c.changed = true
			return nil
		} else if err != nil {
			return object.RegistryError(err)
		}
	}
	c.link = l
	return nil
}

// isInUse reports whether the repository has a manifest, or will soon have one because a push has ended
// the delete.
func (r repo) isInUse(ctx context.Context, del *deletion) (bool, error) {
	inUse, err := r.HasManifest(ctx, "")
	if err != nil || inUse {
		return inUse, err
	}
	if err = r.unlessPushed(ctx, del); errors.Is(err, errPushed) {
		return true, nil
	}
	return false, err
}

// reviveLink makes a condemned link live again, unless another writer has changed it.
func (r repo) reviveLink(ctx context.Context, d digest.Digest, l *object.Link) error {
	if _, err := r.SetLink(ctx, d, l, object.Live); !driver.IsConflict(err) {
		return err
	}
	return nil
}

// hideLink is like RemoveLink, for a link that a restore of the repository can bring back.
func (r repo) hideLink(ctx context.Context, d digest.Digest, l *object.Link) error {
	if err := r.Remove(ctx, r.IndexKey(d), ""); err != nil {
		return err
	}
	_, err := r.SetLink(ctx, d, l, object.Hidden)
	return err
}

// removeOrphans removes tags, back references, referrers and their hints whose manifest is not there.
// Each is removed in the version that was listed before its manifest was looked for, so what a push has
// written again since then stays.
func (r repo) removeOrphans(ctx context.Context) error {
	for _, prefix := range []string{r.TagPrefix(), r.BackrefsPrefix(), r.ReferrersPrefix(), r.TypesPrefix()} {
		for info, err := range r.Driver.List(ctx, prefix, nil) {
			if err != nil {
				return object.RegistryError(err)
			}
			d, err := r.pointsAt(ctx, prefix, &info)
			if err == nil && info.Version != "" {
				err = r.removeOrphan(ctx, info, d)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// pointsAt returns the manifest that a pointer below a prefix leads to, or "" if it leads to none. For a
// tag, it sets the version of info to the one that was read.
func (r repo) pointsAt(ctx context.Context, prefix string, info *driver.Info) (digest.Digest, error) {
	switch prefix {
	case r.TagPrefix():
		t, err := r.ReadEntry(ctx, info.Key)
		if err != nil {
			return "", err
		}
		info.Version = t.Version
		return t.Descriptor.Digest, nil
	case r.BackrefsPrefix():
		return objectkey.PathDigest(object.Dir(info.Key)), nil
	case r.TypesPrefix():
		entry, _ := r.HintedEntry(info.Key)
		return objectkey.PathDigest(entry), nil
	}
	return objectkey.PathDigest(info.Key), nil
}

// removeOrphan removes a pointer, unless the manifest d that it leads to is there.
func (r repo) removeOrphan(ctx context.Context, pointer driver.Info, d digest.Digest) error {
	if d != "" {
		if m, err := r.ReadManifest(ctx, d); err != nil || !m.Absent() {
			return err
		}
	}
	return r.RemoveIfUnchanged(ctx, pointer.Key, pointer.Version)
}
