package storage

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// DeleteRepository implements [registry.Deleter]. What is pushed to the repository meanwhile is
// either deleted as well or stays whole. If it is interrupted, it may be called again; unless
// something has been pushed since, or opts.Keep is set, the next collection finishes it.
func (s *Store) DeleteRepository(ctx context.Context, repo string, opts *registry.DeleteOptions) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	s = s.makingSpace()
	del := newDeletion(opts)
	if !del.If.IsZero() {
		return registry.ErrUnsupported.WithMessage("a repository cannot be deleted on a condition")
	}
	if del.IfUnused {
		return errIfUnused
	}
	ctx = context.WithoutCancel(ctx)
	if err := s.refuseRepository(ctx, repo, del.Keep); err != nil {
		return err
	}
	b, err := s.begin(ctx, repo, eventRepository, "", event{By: del.By})
	if err != nil {
		return err
	}
	del.group = b.id()
	c, err := s.beginDelete(ctx, repo, del)
	if err != nil {
		return err
	}
	b.join(del.group)
	return s.deleteRepository(ctx, repo, c, b, del)
}

// errPushed is that something was pushed to a repository whose delete a collector was about to
// finish.
var errPushed = errors.New("storage: the repository is not being deleted any more")

// finishDelete finishes the delete of a repository that c notes, unless something has been pushed
// to it since.
//
// Errors: errPushed.
func (s *Store) finishDelete(ctx context.Context, repo string, c *repositoryRecord) error {
	del := newDeletion(&registry.DeleteOptions{By: c.Deleting.By})
	c.Nonce = nonce()
	if c.Deleting.Since.IsZero() {
		c.Deleting.Since = c.modTime
	}
	var err error
	if c.version, err = s.put(ctx, repositoryKey(repo), c.version, c, nil, driver.Deferred); changed(err) {
		return errPushed
	} else if err != nil {
		return wire(err)
	}
	b, err := s.beginAgain(ctx, repo, c.Deleting.Event, event{By: del.By})
	if err != nil {
		return err
	}
	del.group, del.while, del.since = b.id(), c.version, c.Deleting.Since
	return s.deleteRepository(ctx, repo, c, b, del)
}

// unlessPushed returns an error if a push has taken off the note that the repository is being
// deleted, and that is what del depends on. A manifest is marked before; a push that finds that the
// note is there, or was, looks at its manifest after that.
//
// Errors: errPushed.
func (s *Store) unlessPushed(ctx context.Context, repo string, del *deletion) error {
	if del.while == "" {
		return nil
	}
	c, err := s.readRepository(ctx, repo)
	if err == nil && c.version != del.while {
		return errPushed
	}
	return err
}

// deleteRepository deletes all that is in a repository, of which the catalogue says c, and the
// history b.
func (s *Store) deleteRepository(ctx context.Context, repo string, c *repositoryRecord, b *begun, del *deletion) error {
	existed := c.version != ""
	del.catalogued = c
	for info, err := range s.driver.List(ctx, manifestPrefix(repo), &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return wire(err)
		}
		d := pathDigest(info.Key)
		if d == "" {
			continue
		}
		err := s.deleteManifest(ctx, repo, d, del)
		if err != nil && !errors.Is(err, registry.ErrManifestUnknown) {
			return err
		}
		existed = existed || err == nil
	}
	if err := s.clear(ctx, repo, del); err != nil {
		return err
	}
	if existed {
		if err := s.remove(ctx, repositoryKey(repo), c.version); err != nil && !changed(err) {
			return wire(err)
		}
	}
	// A push may have found the repository in the catalogue just before it was taken out.
	if inUse, err := s.hasManifest(ctx, repo, ""); err != nil {
		return err
	} else if inUse {
		if _, err := s.putRepository(ctx, repo, nil, false); err != nil {
			return err
		}
		if err := s.endEpoch(ctx, repo, "", anythingDeleted, del.catalogued); err != nil {
			return err
		}
	}
	b.end(ctx, existed)
	if !existed {
		return registry.ErrNameUnknown.WithDetail(map[string]string{"name": repo})
	}
	return wire(s.driver.Sync(ctx, repositoryKey(repo)))
}

// beginDelete notes in the catalogue that a delete of the repository has begun, so that it is
// finished by whoever collects, and returns what the catalogue says then; it has no version if the
// repository is not there. A delete that depends on tags is not noted: only its caller knows on
// which. One that goes on with another takes its group.
func (s *Store) beginDelete(ctx context.Context, repo string, del *deletion) (*repositoryRecord, error) {
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return nil, err
		}
		c, err := s.readRepository(ctx, repo)
		if err != nil || c.version == "" || del.Keep != nil {
			return c, err
		}
		if c.Deleting != nil && c.Deleting.Event != "" && del.group != "" {
			del.group = c.Deleting.Event
		}
		c.Nonce, c.Deleting = nonce(), &deletingRecord{By: del.By, Event: del.group}
		if c.version, err = s.put(ctx, repositoryKey(repo), c.version, c, nil, driver.Deferred); !changed(err) {
			return c, wire(err)
		}
	}
	return nil, errContended
}

// readRepository returns what the catalogue says of a repository. One that is not there has no
// version.
func (s *Store) readRepository(ctx context.Context, repo string) (*repositoryRecord, error) {
	b, info, err := s.read(ctx, repositoryKey(repo))
	if errors.Is(err, driver.ErrNotExist) {
		return &repositoryRecord{}, nil
	}
	if err != nil {
		return nil, wire(err)
	}
	return decodeRepository(b, info), nil
}

func decodeRepository(b []byte, info driver.Info) *repositoryRecord {
	c := &repositoryRecord{}
	if _, ok := decode(b, c); !ok {
		c = &repositoryRecord{} // it says enough by being there
	}
	c.version, c.modTime = info.Version, info.ModTime
	return c
}

// putRepository sees to it that the repository is in the catalogue, and not about to be deleted,
// and reports whether it was at any time since it has been there. c is what the catalogue has just
// said of it, or nil. Where it probably is in the catalogue, a look comes before the write, which
// would be in vain.
func (s *Store) putRepository(ctx context.Context, repo string, c *repositoryRecord, probably bool) (spared bool,
	err error) {
	key := repositoryKey(repo)
	look := false
	if c == nil {
		c = &repositoryRecord{}
		_, seen := s.fresh.Get(key)
		look = seen || probably
	}
	for n := range attempts {
		err := pause(ctx, n)
		if err == nil && look {
			c, err = s.readRepository(ctx, repo)
		}
		if err != nil {
			return false, err
		}
		if c.version == "" || c.Deleting != nil {
			next := &repositoryRecord{Nonce: nonce(), Spared: c.Deleting != nil || c.Spared, Epochs: c.Epochs}
			switch {
			case c.Deleting != nil || probably: // what was there may be gone, or what it said
				anythingDeleted(&next.Epochs)
			case c.version == "":
				next.Epochs = firstEpochs()
			}
			_, err = s.put(ctx, key, c.version, next, nil, driver.Deferred)
			var o *overtaken
			switch {
			case errors.As(err, &o) && o.info.Version != "":
				c, look = decodeRepository(o.content, o.info), false
				continue
			case changed(err):
				look = true
				continue
			case err != nil:
				return false, wire(err)
			}
		}
		s.fresh.Add(key, struct{}{}, 1)
		return c.Deleting != nil || c.Spared, nil
	}
	return false, errContended
}

// clear removes the blobs of a repository and what interrupted deletes have left.
func (s *Store) clear(ctx context.Context, repo string, del *deletion) error {
	var blobs []digest.Digest
	for info, err := range s.driver.List(ctx, linkPrefix(repo), &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return wire(err)
		}
		d := pathDigest(info.Key)
		if d == "" {
			continue
		}
		if blobs = append(blobs, d); len(blobs) == linksAtOnce {
			if err := s.clearBlobs(ctx, repo, blobs, del); err != nil {
				return err
			}
			blobs = nil
		}
	}
	if err := s.clearBlobs(ctx, repo, blobs, del); err != nil {
		return err
	}
	return s.removeOrphans(ctx, repo)
}

// clearBlobs removes some blobs of a repository.
func (s *Store) clearBlobs(ctx context.Context, repo string, blobs []digest.Digest, del *deletion) error {
	// A link that is another by then has been written by a push, or by a collector, to whom history
	// seemed to need it live.
	for n := 0; len(blobs) > 0; n++ {
		if n == attempts {
			return errContended
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
		var err error
		if blobs, err = s.clearLinks(ctx, repo, blobs, del); err != nil {
			return err
		}
	}
	return nil
}

// clearLinks removes links as a collector would: condemned first, then a manifest is looked for
// that may need them, so that no push is broken that begins meanwhile. It returns those that it has
// found changed.
func (s *Store) clearLinks(ctx context.Context, repo string, blobs []digest.Digest,
	del *deletion) (again []digest.Digest, err error) {
	links := make([]*link, len(blobs)) // nil is one that is gone, or nobody reads, or that has been pushed since
	changes := make([]bool, len(blobs))
	err = parallel.Each(parallelism, len(blobs), func(i int) error {
		l, err := s.readLink(ctx, repo, blobs[i])
		if err != nil || !l.readable() {
			return err
		}
		// One that is condemned was not pushed since: that is its mark.
		if l.State == live && !del.since.IsZero() && !l.modTime.Before(del.since) {
			return nil
		}
		if l.State == live {
			if l, err = s.setLink(ctx, repo, blobs[i], l, condemned); changed(err) {
				changes[i] = true
				return nil
			} else if err != nil {
				return wire(err)
			}
		}
		links[i] = l
		return nil
	})
	if err != nil {
		return nil, err
	}
	inUse, err := s.hasManifest(ctx, repo, "")
	if err == nil && !inUse {
		if err = s.unlessPushed(ctx, repo, del); errors.Is(err, errPushed) {
			inUse, err = true, nil // will soon be
		}
	}
	if err != nil {
		return nil, err
	}
	settle := s.removeLink
	switch {
	case inUse:
		settle = func(ctx context.Context, repo string, d digest.Digest, l *link) error {
			if _, err := s.setLink(ctx, repo, d, l, live); !changed(err) {
				return err
			}
			return nil
		}
	case s.opts.History > 0:
		settle = s.hideLink
	}
	err = parallel.Each(parallelism, len(blobs), func(i int) error {
		if links[i] == nil {
			return nil
		}
		err := settle(ctx, repo, blobs[i], links[i])
		if changes[i] = changed(err); changes[i] {
			return nil
		}
		return wire(err)
	})
	for i, d := range blobs {
		if changes[i] && !inUse {
			again = append(again, d)
		}
	}
	return again, err
}

// hideLink is removeLink for a link that a restore of the repository can have back.
func (s *Store) hideLink(ctx context.Context, repo string, d digest.Digest, l *link) error {
	if err := s.remove(ctx, indexKey(d, repo), ""); err != nil {
		return err
	}
	_, err := s.setLink(ctx, repo, d, l, hidden)
	return err
}

// hasManifest reports whether there is a manifest in the repository, visible or on its way, besides
// one.
func (s *Store) hasManifest(ctx context.Context, repo string, besides digest.Digest) (bool, error) {
	for info, err := range s.driver.List(ctx, manifestPrefix(repo), &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return false, wire(err)
		}
		d := pathDigest(info.Key)
		if d == "" || d == besides {
			continue
		}
		m, err := s.readManifest(ctx, repo, d)
		if err != nil {
			return false, err
		}
		if !m.absent() {
			return true, nil
		}
	}
	return false, nil
}

// removeOrphans removes tags, back references, referrers and their hints of manifests that are not
// there. Each is removed as it was seen before its manifest was looked for: what a push has written
// again since then stays.
func (s *Store) removeOrphans(ctx context.Context, repo string) error {
	orphan := func(key, version string, d digest.Digest) error {
		if d != "" {
			m, err := s.readManifest(ctx, repo, d)
			if err != nil {
				return err
			}
			if !m.absent() {
				return nil
			}
		}
		if err := s.remove(ctx, key, version); err != nil && !changed(err) {
			return wire(err)
		}
		return nil
	}
	for _, prefix := range []string{tagPrefix(repo), backrefsPrefix(repo), referrersPrefix(repo), typesPrefix(repo)} {
		for info, err := range s.driver.List(ctx, prefix, nil) {
			if err != nil {
				return wire(err)
			}
			version, d := info.Version, digest.Digest("")
			switch prefix {
			case tagPrefix(repo):
				t, err := s.readEntry(ctx, info.Key)
				if err != nil {
					return err
				}
				version, d = t.version, t.Descriptor.Digest
			case backrefsPrefix(repo):
				d = pathDigest(dir(info.Key))
			case typesPrefix(repo):
				e, _ := hintedEntry(repo, info.Key)
				d = pathDigest(e)
			default:
				d = pathDigest(info.Key)
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
