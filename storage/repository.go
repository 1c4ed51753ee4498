package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// DeleteRepository implements [registry.Deleter]. What is pushed to the repository meanwhile is
// either deleted as well or stays whole. If it is interrupted, it may be called again; unless
// something has been pushed since, or opts.Keep is set, the next collection finishes it.
func (s *Store) DeleteRepository(ctx context.Context, repo string, opts *registry.DeleteOptions) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	r := s.repo(repo).withReserve()
	del := newDeletion(opts)
	if !del.If.IsZero() {
		return registry.ErrUnsupported.WithMessage("a repository cannot be deleted on a condition")
	}
	if del.IfUnused {
		return errIfUnused
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

// errPushed is that something was pushed to a repository whose delete a collector was about to
// finish.
var errPushed = errors.New("storage: the repository is not being deleted any more")

// finishDelete finishes the delete of a repository that c notes, unless something has been pushed
// to it since.
//
// Errors: errPushed.
func (r repo) finishDelete(ctx context.Context, c *object.Repository) error {
	del := newDeletion(&registry.DeleteOptions{By: c.Deleting.By})
	c.Nonce = object.NewNonce()
	if c.Deleting.Since.IsZero() {
		c.Deleting.Since = c.ModTime
	}
	var err error
	if c.Version, err = r.Put(ctx, r.RepositoryKey(), c.Version, c, nil, driver.Deferred); object.IsConflict(err) {
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

// unlessPushed returns an error if a push has taken off the note that the repository is being
// deleted, and that is what del depends on. A manifest is marked before; a push that finds that the
// note is there, or was, looks at its manifest after that.
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

// deleteRepository deletes all that is in a repository, of which the catalogue says c, and the
// history b.
func (r repo) deleteRepository(ctx context.Context, c *object.Repository, b *object.OpenEvent, del *deletion) error {
	existed := c.Version != ""
	del.catalogued = c
	for info, err := range r.Driver.List(ctx, r.ManifestPrefix(), &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return object.RegistryError(err)
		}
		d := object.PathDigest(info.Key)
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
		if err := r.Remove(ctx, r.RepositoryKey(), c.Version); err != nil && !object.IsConflict(err) {
			return object.RegistryError(err)
		}
	}
	// A push may have found the repository in the catalogue just before it was taken out.
	if inUse, err := r.HasManifest(ctx, ""); err != nil {
		return err
	} else if inUse {
		if _, err := r.PutRepository(ctx, nil, false); err != nil {
			return err
		}
		if err := r.EndEpoch(ctx, "", object.AnythingDeleted, del.catalogued); err != nil {
			return err
		}
	}
	b.End(ctx, existed)
	if !existed {
		return registry.ErrNameUnknown.WithDetail(map[string]string{"name": r.Name})
	}
	return object.RegistryError(r.Driver.Sync(ctx, r.RepositoryKey()))
}

// beginDelete notes in the catalogue that a delete of the repository has begun, so that it is
// finished by whoever collects, and returns what the catalogue says then; it has no version if the
// repository is not there. A delete that depends on tags is not noted: only its caller knows on
// which. One that goes on with another takes its group.
func (r repo) beginDelete(ctx context.Context, del *deletion) (*object.Repository, error) {
	for n := range object.MaxAttempts {
		if err := object.Pause(ctx, n); err != nil {
			return nil, err
		}
		c, err := r.ReadRepository(ctx)
		if err != nil || c.Version == "" || del.Keep != nil {
			return c, err
		}
		if c.Deleting != nil && c.Deleting.Event != "" && del.group != "" {
			del.group = c.Deleting.Event
		}
		c.Nonce, c.Deleting = object.NewNonce(), &object.RepositoryDelete{By: del.By, Event: del.group}
		if c.Version, err = r.Put(ctx, r.RepositoryKey(), c.Version, c, nil, driver.Deferred); !object.IsConflict(err) {
			return c, object.RegistryError(err)
		}
	}
	return nil, object.ErrContended
}

// clear removes the blobs of a repository and what interrupted deletes have left.
func (r repo) clear(ctx context.Context, del *deletion) error {
	for batch, err := range object.Batches(r.Driver.List(ctx, r.LinkPrefix(), &driver.ListOptions{KeysOnly: true}), blobsAtOnce) {
		if err != nil {
			return err
		}
		var blobs []digest.Digest
		for _, info := range batch {
			if d := object.PathDigest(info.Key); d != "" {
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
	// A link that is another by then has been written by a push, or by a collector, to whom history
	// seemed to need it live.
	for n := 0; len(blobs) > 0; n++ {
		if n == object.MaxAttempts {
			return object.ErrContended
		}
		if err := object.Pause(ctx, n); err != nil {
			return err
		}
		var err error
		if blobs, err = r.clearLinks(ctx, blobs, del); err != nil {
			return err
		}
	}
	return nil
}

// clearLinks removes links as a collector would: condemned first, then a manifest is looked for
// that may need them, so that no push is broken that begins meanwhile. It returns those that it has
// found changed.
func (r repo) clearLinks(ctx context.Context, blobs []digest.Digest,
	del *deletion) (again []digest.Digest, err error) {
	links := make([]*object.Link, len(blobs)) // nil is one that is gone, or nobody reads, or that has been pushed since
	changes := make([]bool, len(blobs))
	err = parallel.Each(object.Parallelism, len(blobs), func(i int) error {
		l, err := r.ReadLink(ctx, blobs[i])
		if err != nil || !l.Readable() {
			return err
		}
		// One that is condemned was not pushed since: that is its mark.
		if l.State == object.Live && !del.since.IsZero() && !l.ModTime.Before(del.since) {
			return nil
		}
		if l.State == object.Live {
			if l, err = r.SetLink(ctx, blobs[i], l, object.Condemned); object.IsConflict(err) {
				changes[i] = true
				return nil
			} else if err != nil {
				return object.RegistryError(err)
			}
		}
		links[i] = l
		return nil
	})
	if err != nil {
		return nil, err
	}
	inUse, err := r.HasManifest(ctx, "")
	if err == nil && !inUse {
		if err = r.unlessPushed(ctx, del); errors.Is(err, errPushed) {
			inUse, err = true, nil // will soon be
		}
	}
	if err != nil {
		return nil, err
	}
	settle := r.RemoveLink
	switch {
	case inUse:
		settle = func(ctx context.Context, d digest.Digest, l *object.Link) error {
			if _, err := r.SetLink(ctx, d, l, object.Live); !object.IsConflict(err) {
				return err
			}
			return nil
		}
	case r.store.opts.History > 0:
		settle = r.hideLink
	}
	err = parallel.Each(object.Parallelism, len(blobs), func(i int) error {
		if links[i] == nil {
			return nil
		}
		err := settle(ctx, blobs[i], links[i])
		if changes[i] = object.IsConflict(err); changes[i] {
			return nil
		}
		return object.RegistryError(err)
	})
	for i, d := range blobs {
		if changes[i] && !inUse {
			again = append(again, d)
		}
	}
	return again, err
}

// hideLink is removeLink for a link that a restore of the repository can have back.
func (r repo) hideLink(ctx context.Context, d digest.Digest, l *object.Link) error {
	if err := r.Remove(ctx, r.IndexKey(d), ""); err != nil {
		return err
	}
	_, err := r.SetLink(ctx, d, l, object.Hidden)
	return err
}

// removeOrphans removes tags, back references, referrers and their hints of manifests that are not
// there. Each is removed as it was seen before its manifest was looked for: what a push has written
// again since then stays.
func (r repo) removeOrphans(ctx context.Context) error {
	orphan := func(key, version string, d digest.Digest) error {
		if d != "" {
			m, err := r.ReadManifest(ctx, d)
			if err != nil {
				return err
			}
			if !m.Absent() {
				return nil
			}
		}
		if err := r.Remove(ctx, key, version); err != nil && !object.IsConflict(err) {
			return object.RegistryError(err)
		}
		return nil
	}
	for _, prefix := range []string{r.TagPrefix(), r.BackrefsPrefix(), r.ReferrersPrefix(), r.TypesPrefix()} {
		for info, err := range r.Driver.List(ctx, prefix, nil) {
			if err != nil {
				return object.RegistryError(err)
			}
			version, d := info.Version, digest.Digest("")
			switch prefix {
			case r.TagPrefix():
				t, err := r.ReadEntry(ctx, info.Key)
				if err != nil {
					return err
				}
				version, d = t.Version, t.Descriptor.Digest
			case r.BackrefsPrefix():
				d = object.PathDigest(object.Dir(info.Key))
			case r.TypesPrefix():
				e, _ := r.HintedEntry(info.Key)
				d = object.PathDigest(e)
			default:
				d = object.PathDigest(info.Key)
			}
			if version == "" {
				continue
			}
			if err := orphan(info.Key, version, d); err != nil {
				return err
			}
		}
	}
	return nil
}
