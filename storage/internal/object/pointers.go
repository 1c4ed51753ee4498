package object

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// WithdrawMoves aborts the pending moves of tags to the manifest d. Some of these tags may point at
// d already; WithdrawMoves updates their versions in p.
//
// Errors: driver.ErrChanged if one of the tags has changed since p was read.
func (r Repo) WithdrawMoves(ctx context.Context, d digest.Digest, p *Pointers) error {
	for tag, e := range p.Moves {
		now, err := r.AbortMoves(ctx, tag, e, func(n PendingMove) bool { return n.Descriptor.Digest == d })
		if err != nil {
			return RegistryError(err)
		}
		for i := range p.Tags {
			if p.Tags[i].Key == r.TagKey(tag) {
				p.Tags[i].Version = now.Version
			}
		}
	}
	return nil
}

// RemovePointers removes the pointers to a manifest, each in the version of p. Back references go
// last: another delete of the same manifest that finishes before this one finds the tags by them.
// It sets p.Removed, also if it fails.
//
// Errors: driver.ErrChanged if one of the tags has changed.
func (s *Store) RemovePointers(ctx context.Context, p *Pointers) error {
	gone := make([]bool, len(p.Tags))
	err := s.Each(len(p.Tags)+len(p.Entry), func(i int) error {
		if i < len(p.Tags) {
			err := s.Remove(ctx, p.Tags[i].Key, p.Tags[i].Version)
			gone[i] = err == nil
			return err
		}
		if p.Hint != "" {
			_ = s.Driver.Delete(ctx, p.Hint, "") // after an error, a collection removes it
		}
		return s.RemoveIfUnchanged(ctx, p.Entry[i-len(p.Tags)].Key, p.Entry[i-len(p.Tags)].Version)
	})
	p.Removed = nil
	for i, name := range p.Names() {
		if gone[i] {
			p.Removed = append(p.Removed, name)
		}
	}
	if err != nil {
		return RegistryError(err)
	}
	return s.Each(len(p.Backrefs), func(i int) error {
		return s.RemoveIfUnchanged(ctx, p.Backrefs[i].Key, p.Backrefs[i].Version)
	})
}

// SettlePointer ensures that a tag or the entry of a referrer, which its writer will not look at again,
// does not outlive the manifest d. Another writer may have written the pointer again, and a delete of the
// manifest may have looked for it too early.
//
// The pointer is read before the manifest. If the manifest is not visible then, no push relies on that
// version of the pointer: each push writes its pointers after the manifest is visible, and then checks
// that the manifest is unchanged. If the manifest has a mark, it is written again with its mark, so that
// the remover looks again. A remover that looked too early may have removed the back reference of a tag,
// so that is written first.
//
// The model is internal/model/tags.pml, label refused.
func (r Repo) SettlePointer(ctx context.Context, key string, d digest.Digest) error {
	tag, isTag := strings.CutPrefix(key, r.TagPrefix())
	var err error
	for range Attempts(ctx, &err) {
		e, err := r.ReadEntry(ctx, key)
		if err != nil || e.Descriptor.Digest != d {
			return err
		}
		m, err := r.ReadManifest(ctx, d)
		if err == nil && isTag && m.Readable() {
			if _, err = r.Overwrite(ctx, r.BackrefKey(d, tag), &Mark{Nonce: NewNonce()}); err == nil {
				m, err = r.ReadManifest(ctx, d)
			}
		}
		switch {
		case err != nil:
			return RegistryError(err)
		case !m.Readable():
			err = r.Remove(ctx, key, e.Version)
		case m.State == Deleting:
			err = r.RewriteManifest(ctx, d, m)
		}
		if !driver.IsConflict(err) {
			return RegistryError(err)
		}
	}
	return err
}

// Pointers are what leads to a manifest.
type Pointers struct {
	Tags     []driver.Info     // the tags that point at it
	Sets     []time.Time       // when each of Tags was set
	Moves    map[string]*Entry // the tags with a pending move to it, by name
	Backrefs []driver.Info     // its back references
	Entry    []driver.Info     // the entry with its subject: one element, or none if there is no entry
	Hint     string            // the key of the hint of the entry, or "" if there is no entry
	Removed  []string          // the names of the tags that RemovePointers has removed
}

// Names returns the names of the tags that point at the manifest.
func (p *Pointers) Names() []string {
	var names []string
	for _, t := range p.Tags {
		names = append(names, Base(t.Key))
	}
	return names
}

// FindPointers returns what leads to the manifest m with the digest d now. It finds tags by the
// back references.
func (r Repo) FindPointers(ctx context.Context, d digest.Digest, m *Manifest) (*Pointers, error) {
	p := &Pointers{Moves: map[string]*Entry{}}
	for info, err := range r.Driver.List(ctx, r.backrefPrefix(d), nil) {
		if err != nil {
			return nil, RegistryError(err)
		}
		p.Backrefs = append(p.Backrefs, info)
	}
	tags := make([]*Entry, len(p.Backrefs))
	err := r.Each(len(tags), func(i int) (err error) {
		tags[i], err = r.ReadEntry(ctx, r.TagKey(Base(p.Backrefs[i].Key)))
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, t := range tags {
		name := Base(p.Backrefs[i].Key)
		if t.isPending(d) {
			p.Moves[name] = t
		}
		if t.Descriptor.Digest == d {
			p.Tags = append(p.Tags, driver.Info{Key: r.TagKey(name), Version: t.Version})
			p.Sets = append(p.Sets, t.SetTime().UTC())
		}
	}
	if m.Subject != "" {
		info, err := r.Driver.Stat(ctx, r.ReferrerKey(m.Subject, d))
		switch {
		case err == nil:
			p.Entry = []driver.Info{info}
			if parsed, err := manifest.ParseStored(m.MediaType, m.Content); err == nil {
				p.Hint = r.typeKey(m.Subject, d, parsed.ArtifactType)
			}
		case !errors.Is(err, driver.ErrNotExist):
			return nil, RegistryError(err)
		}
	}
	return p, nil
}

// NamedEntry is the entry of a tag with its name.
type NamedEntry struct {
	Name  string
	Entry *Entry
}

// TagEntriesOf yields the tags that point at the manifest d, in ascending order. It finds them by the
// back references.
func (r Repo) TagEntriesOf(ctx context.Context, d digest.Digest) iter.Seq2[NamedEntry, error] {
	return func(yield func(NamedEntry, error) bool) {
		list := r.Driver.List(ctx, r.backrefPrefix(d), &driver.ListOptions{KeysOnly: true})
		for batch, err := range Batches(list, Parallelism) {
			tags := make([]NamedEntry, len(batch))
			if err == nil {
				err = parallel.Each(Parallelism, len(batch), func(i int) (err error) {
					tags[i].Name = Base(batch[i].Key)
					tags[i].Entry, err = r.ReadEntry(ctx, r.TagKey(tags[i].Name))
					return err
				})
			}
			if err != nil {
				yield(NamedEntry{}, err)
				return
			}
			for _, t := range tags {
				if t.Entry.Descriptor.Digest == d && !yield(t, nil) {
					return
				}
			}
		}
	}
}
