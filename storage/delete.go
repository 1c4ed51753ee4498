package storage

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
)

// DeleteBlob implements [registry.Deleter]. The bytes remain where they are until they are
// collected, as another repository may share them. That a manifest of the repository names the blob
// keeps it from being deleted only with DeleteOptions.IfUnused: such a delete reads all manifests
// of the repository.
func (s *Store) DeleteBlob(ctx context.Context, repo string, d digest.Digest, opts *registry.DeleteOptions) error {
	if err := checkBlob(repo, d); err != nil {
		return err
	}
	s = s.makingSpace()
	del := newDeletion(opts)
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return err
		}
		l, err := s.readLink(ctx, repo, d)
		if err != nil {
			return err
		}
		if !l.readable() {
			return registry.ErrBlobUnknown.WithDetail(map[string]string{"digest": string(d)})
		}
		if err := requireDigest(del.If, d); err != nil {
			return err
		}
		if l, err = s.condemn(ctx, repo, d, l, del); changed(err) {
			continue
		} else if err != nil {
			return err
		}
		if err := s.endEpoch(ctx, repo, "", blobDeleted, del.catalogued); err != nil {
			return err
		}
		if err := s.removeLink(ctx, repo, d, l); !changed(err) {
			return errors.Join(wire(err), s.sync(ctx, err, linkKey(repo, d)))
		}
	}
	return errContended
}

// condemn marks a link, as a collector would, and looks then whether a tag that is kept needs it,
// or, with IfUnused, any manifest.
//
// Errors: ErrChanged if it is not as it was read; registry.ErrDenied, and the link is live again.
func (s *Store) condemn(ctx context.Context, repo string, d digest.Digest, l *link, del *deletion) (*link, error) {
	var err error
	if l.State != condemned {
		if l, err = s.setLink(ctx, repo, d, l, condemned); err != nil {
			return nil, wire(err)
		}
	}
	err = s.refuse(ctx, repo, d, true, del.Keep)
	if err == nil && del.IfUnused {
		err = s.refuseUsed(ctx, repo, d)
	}
	if err != nil {
		_, back := s.setLink(ctx, repo, d, l, live)
		if changed(back) {
			back = nil // somebody else has done so, or what a delete without the condition does
		}
		return nil, errors.Join(err, wire(back))
	}
	return l, nil
}

// removeLink removes a link that is still as it was read, and what points to it.
//
// Errors: ErrChanged if it is not.
func (s *Store) removeLink(ctx context.Context, repo string, d digest.Digest, l *link) error {
	if err := s.remove(ctx, indexKey(d, repo), ""); err != nil {
		return err
	}
	return s.remove(ctx, linkKey(repo, d), l.version)
}

// remove deletes an object that may be gone already.
//
// Errors: ErrChanged if it has not the version given.
func (s *Store) remove(ctx context.Context, key, version string) error {
	err := s.driver.Delete(ctx, key, version)
	if errors.Is(err, driver.ErrNotExist) {
		return nil
	}
	return err
}

// sync makes deletes durable, unless they have failed with err.
func (s *Store) sync(ctx context.Context, err error, keys ...string) error {
	if err != nil {
		return nil
	}
	return wire(s.driver.Sync(ctx, keys...))
}

// DeleteManifest implements [registry.Deleter]. Of a manifest, the tags and its entry with its
// subject go with it.
func (s *Store) DeleteManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.DeleteOptions) error {
	if err := checkRef(repo, ref); err != nil {
		return err
	}
	if opts != nil && opts.IfUnused {
		return errIfUnused
	}
	s = s.makingSpace()
	// Once begun, it is brought to its end.
	ctx = context.WithoutCancel(ctx)
	if ref.Tag != "" {
		return s.deleteTag(ctx, repo, ref.Tag, newDeletion(opts))
	}
	return s.deleteManifest(ctx, repo, ref.Digest, newDeletion(opts))
}

// deletion is how something is deleted.
type deletion struct {
	registry.DeleteOptions
	group string    // the event of the delete of the repository that it is a part of
	since time.Time // spares blobs that were pushed then or later; zero is none
	while string    // goes on only while the catalogue says of the repository what it said in this version; "" is always

	catalogued *repositoryRecord // what the catalogue says of a repository that is deleted as a whole; nil otherwise
}

func newDeletion(opts *registry.DeleteOptions) *deletion {
	d := &deletion{}
	if opts != nil {
		d.DeleteOptions = *opts
	}
	return d
}

func (s *Store) deleteTag(ctx context.Context, repo, tag string, del *deletion) error {
	if err := keepTag(tag, del.Keep); err != nil {
		return err
	}
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return err
		}
		t, err := s.readTag(ctx, repo, tag)
		if err != nil {
			return err
		}
		if !del.If.IsZero() {
			if _, err := s.require(ctx, repo, tag, del.If, t); err != nil {
				return err
			}
			err := s.giveWay(ctx, repo, t, claim{}, map[string]*entry{})
			if err == nil {
				err = s.awaitLed(ctx, repo, t)
			}
			if errors.Is(err, errHalfWay) {
				continue
			} else if err != nil {
				return err
			}
		}
		b, err := s.begin(ctx, repo, eventUntag, tag, event{By: del.By, Before: &t.Descriptor})
		if err != nil {
			return err
		}
		err = s.driver.Delete(ctx, tagKey(repo, tag), t.version)
		if err == nil {
			b.end(ctx, true)
		} else if errors.Is(err, driver.ErrNotExist) || changed(err) {
			b.overtaken(ctx, tagKey(repo, tag))
		}
		if errors.Is(err, driver.ErrNotExist) {
			return manifestUnknown(reference.Ref{Tag: tag})
		}
		if !changed(err) {
			return errors.Join(wire(err), s.sync(ctx, err, tagKey(repo, tag)))
		}
	}
	return errContended
}

// deleteManifest marks the manifest, then removes what leads to it, then the manifest itself, so
// that whatever leads to a manifest leads to one that is there. The mark is taken off again if a
// tag is kept that needs the manifest, unless it was taken over from another delete: that one takes
// a manifest without its mark for one that has been pushed again. A push of the same manifest that
// writes a tag meanwhile either did so before the mark, and its tag is found here, or sees the mark
// afterwards, takes it off, and writes the tag again. A delete that died half-way is begun again by
// the next.
func (s *Store) deleteManifest(ctx context.Context, repo string, d digest.Digest, del *deletion) error {
	key := manifestKey(repo, d)
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return err
		}
		m, err := s.readManifest(ctx, repo, d)
		if err != nil {
			return err
		}
		if !m.readable() {
			return manifestUnknown(reference.Ref{Digest: d})
		}
		if err := requireDigest(del.If, d); err != nil {
			return err
		}
		mark := *m
		mark.State, mark.Nonce, mark.Collected = deleting, nonce(), false
		if mark.Delete == "" {
			mark.Delete = mark.Nonce
		}
		if mark.version, err = s.put(ctx, key, m.version, &mark, m.content, driver.Deferred); changed(err) {
			continue
		} else if err != nil {
			return wire(err)
		}
		err = s.refuse(ctx, repo, d, false, del.Keep)
		if err == nil {
			err = s.unlessPushed(ctx, repo, del)
		}
		if err != nil {
			if m.State == deleting && !m.Collected {
				return err // the mark was another delete's, which may be on its way to the end
			}
			if _, back := s.setVisible(ctx, repo, d, &mark); !changed(back) {
				err = errors.Join(err, wire(back))
			}
			return err
		}
		if err := s.endEpoch(ctx, repo, d, manifestDeleted, del.catalogued); err != nil {
			return err
		}
		pointers, err := s.pointers(ctx, repo, d, m)
		if err != nil {
			return err
		}
		// What is found was written before this look at the mark. Whoever takes the mark off later
		// writes it again, in a version that the removal below leaves alone.
		if m, err = s.readManifest(ctx, repo, d); err != nil {
			return err
		} else if m.version != mark.version {
			continue
		}
		// A push that is about to point a tag at the manifest does so without another look at it,
		// unless that is taken back.
		if err := s.takeMovesBack(ctx, repo, d, pointers); changed(err) {
			continue
		} else if err != nil {
			return err
		}
		b, err := s.begin(ctx, repo, eventDelete, digestSubject(d), event{
			By: del.By, Group: del.group, Before: m.descriptor(d), Tags: pointers.names(), Delete: mark.Delete,
			content: m.content,
		})
		if err != nil {
			return err
		}
		keys := []string{key}
		for _, p := range slices.Concat(pointers.tags, pointers.entry, pointers.backrefs) {
			keys = append(keys, p.Key)
		}
		overtaken := func() {
			if len(pointers.tags) == 0 { // else some of them may be gone all the same
				b.overtaken(ctx, key)
			}
		}
		if err := s.removePointers(ctx, pointers); changed(err) {
			overtaken()
			continue // who has changed a tag does not look at the manifest again
		} else if err != nil {
			return err
		}
		switch err := s.remove(ctx, key, mark.version); {
		case err == nil:
			b.end(ctx, true)
		case !changed(err):
			return wire(err)
		default:
			// A push has come after the delete. Or another delete has overtaken this one, and may
			// die.
			overtaken()
			if m, err := s.readManifest(ctx, repo, d); err != nil {
				return err
			} else if m.State == deleting {
				continue
			}
		}
		return wire(s.driver.Sync(ctx, keys...))
	}
	return errContended
}

// takeMovesBack takes back that tags are about to be pointed at a manifest; some of them may point
// at it already.
//
// Errors: ErrChanged if one of the tags is not as it was seen.
func (s *Store) takeMovesBack(ctx context.Context, repo string, d digest.Digest, p *pointers) error {
	for tag, e := range p.moves {
		now, err := s.takeBack(ctx, repo, tag, e, func(n next) bool { return n.Descriptor.Digest == d })
		if err != nil {
			return wire(err)
		}
		for i := range p.tags {
			if p.tags[i].Key == tagKey(repo, tag) {
				p.tags[i].Version = now.version
			}
		}
	}
	return nil
}

// removePointers removes what leads to a manifest, as it was seen: the back references last, since
// another delete of the same manifest that comes to its end before this one finds the tags by them.
//
// Errors: ErrChanged if one of the tags has changed.
func (s *Store) removePointers(ctx context.Context, p *pointers) error {
	err := parallel.Each(parallelism, len(p.tags)+len(p.entry), func(i int) error {
		if i < len(p.tags) {
			return s.remove(ctx, p.tags[i].Key, p.tags[i].Version)
		}
		if p.hint != "" {
			_ = s.driver.Delete(ctx, p.hint, "") // else a collector does
		}
		return s.removeSeen(ctx, p.entry[i-len(p.tags)].Key, p.entry[i-len(p.tags)].Version)
	})
	if err != nil {
		return wire(err)
	}
	return parallel.Each(parallelism, len(p.backrefs), func(i int) error {
		return s.removeSeen(ctx, p.backrefs[i].Key,
			p.backrefs[i].Version)
	})
}

// descriptor returns the descriptor of the manifest.
func (m *manifestRecord) descriptor(d digest.Digest) *ocispec.Descriptor {
	return &ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: m.Size}
}

// removeSeen removes an object if it still has the version that was seen.
func (s *Store) removeSeen(ctx context.Context, key, version string) error {
	if err := s.remove(ctx, key, version); !changed(err) {
		return wire(err)
	}
	return nil
}

// pointers are what leads to a manifest.
type pointers struct {
	tags     []driver.Info     // that point at it
	moves    map[string]*entry // tags that are about to be pointed at it, by name
	backrefs []driver.Info     // of tags
	entry    []driver.Info     // the one with its subject, if it is there
	hint     string            // the key of the hint of that, "" if there is no entry
}

// names are the names of the tags.
func (p *pointers) names() []string {
	var names []string
	for _, t := range p.tags {
		names = append(names, base(t.Key))
	}
	return names
}

// pointers returns what leads to a manifest, as it is now.
func (s *Store) pointers(ctx context.Context, repo string, d digest.Digest, m *manifestRecord) (*pointers, error) {
	p := &pointers{moves: map[string]*entry{}}
	for info, err := range s.driver.List(ctx, backrefPrefix(repo, d), nil) {
		if err != nil {
			return nil, wire(err)
		}
		p.backrefs = append(p.backrefs, info)
	}
	tags := make([]*entry, len(p.backrefs))
	err := parallel.Each(parallelism, len(tags), func(i int) (err error) {
		tags[i], err = s.readEntry(ctx, tagKey(repo, base(p.backrefs[i].Key)))
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, t := range tags {
		name := base(p.backrefs[i].Key)
		if t.isNext(d) {
			p.moves[name] = t
		}
		if t.Descriptor.Digest == d {
			p.tags = append(p.tags, driver.Info{Key: tagKey(repo, name), Version: t.version})
		}
	}
	if m.Subject != "" {
		info, err := s.driver.Stat(ctx, referrerKey(repo, m.Subject, d))
		switch {
		case err == nil:
			p.entry = []driver.Info{info}
			if parsed, err := manifest.ParseStored(m.MediaType, m.content); err == nil {
				p.hint = typeKey(repo, m.Subject, d, parsed.ArtifactType)
			}
		case !errors.Is(err, driver.ErrNotExist):
			return nil, wire(err)
		}
	}
	return p, nil
}
