package storage

import (
	"context"
	"slices"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// writePointers writes what leads to the manifest: the entry with its subject, the repository in
// the catalog, and the tags or their pending moves. An earlier push may have died before it wrote
// them, so they are written although the manifest is known. With object.ExpectPresent, the back
// reference of each tag is still to be written, before the tag.
func (p *manifestPut) writePointers(ctx context.Context, expect object.Expectation) error {
	if err := p.abortMoves(ctx); err != nil { // of an attempt before
		return err
	}
	p.moves = nil
	steps := []func() error{func() (err error) {
		p.spared, err = p.repo.PutRepository(ctx, p.repository, expect)
		return err
	}}
	if p.parsed.Subject != nil {
		steps = append(steps, func() error {
			desc := p.parsed.Descriptor(p.digest, int64(len(p.content)))
			return p.notePointer(p.repo.PutReferrer(ctx, p.parsed.Subject.Digest, desc))
		})
	}
	steps = append(steps, func() error {
		return p.inOrder(func(t registry.TagPut) error {
			if expect == object.ExpectPresent {
				if err := p.backref(ctx, t.Name); err != nil {
					return err
				}
			}
			return p.setTag(ctx, t)
		})
	})
	return p.repo.Each(len(steps), func(i int) error { return steps[i]() })
}

// backref writes the back reference of a tag, by which deletes and collectors find the tag.
func (p *manifestPut) backref(ctx context.Context, tag string) error {
	return p.notePointer(p.repo.Overwrite(ctx, p.repo.BackrefKey(p.digest, tag), &object.Mark{Nonce: object.NewNonce()}))
}

// notePointer notes that the push has written a pointer to the manifest, unless that failed with
// err.
func (p *manifestPut) notePointer(info driver.Info, err error) error {
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pointed = append(p.pointed, info)
	}
	return object.RegistryError(err)
}

// removePointers aborts the pending moves of a push that fails, and removes what the push has written
// that leads to the manifest, unless the manifest is there. If another push has the manifest pending,
// the back references may belong to that push and stay.
func (p *manifestPut) removePointers(ctx context.Context) error {
	if err := p.abortMoves(ctx); err != nil || len(p.pointed) == 0 {
		return err
	}
	if err := p.settlePointers(ctx); err != nil {
		return err
	}
	m, err := p.repo.ReadManifest(ctx, p.digest)
	if err != nil || !m.Absent() {
		return err
	}
	return p.repo.Each(len(p.pointed), func(i int) error {
		if !p.isBackref(p.pointed[i].Key) {
			return nil
		}
		return p.repo.RemoveIfUnchanged(ctx, p.pointed[i].Key, p.pointed[i].Version)
	})
}

func (p *manifestPut) isBackref(key string) bool {
	return strings.HasPrefix(key, p.repo.BackrefsPrefix())
}

// settlePointers settles the tags and the entry that the push has written.
func (p *manifestPut) settlePointers(ctx context.Context) error {
	var keys []string
	for _, info := range p.pointed {
		if !p.isBackref(info.Key) && !slices.Contains(keys, info.Key) {
			keys = append(keys, info.Key)
		}
	}
	return p.repo.Each(len(keys), func(i int) error { return p.repo.SettlePointer(ctx, keys[i], p.digest) })
}

// keys returns the keys of everything that the push relies on or has written.
func (p *manifestPut) keys() []string {
	keys := append(p.found, p.repo.ManifestKey(p.digest), p.repo.RepositoryKey())
	if p.parsed.Subject != nil {
		keys = append(keys, p.repo.ReferrerKey(p.parsed.Subject.Digest, p.digest))
	}
	for _, t := range p.tags {
		keys = append(keys, p.repo.BackrefKey(p.digest, t.Name), p.repo.TagKey(t.Name))
	}
	return keys
}
