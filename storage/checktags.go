package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// damagedTag is a tag whose record cannot be read.
type damagedTag struct {
	record     *object.Entry
	candidates []digest.Digest // the manifests with a back reference to the tag
}

// checkTag checks where a tag points, and its back reference.
func (k *repoCheck) checkTag(ctx context.Context, info driver.Info) error {
	tag := object.Base(info.Key)
	if reference.CheckTag(tag) != nil || info.Key != k.repo.TagKey(tag) {
		return nil
	}
	t, err := k.repo.ReadEntry(ctx, info.Key)
	if err != nil || t.Version == "" {
		return err
	}
	d := t.Descriptor.Digest
	if d == "" {
		again, err := k.repo.ReadEntry(ctx, info.Key)
		if err == nil && again.Version == t.Version && again.Descriptor.Digest == "" {
			k.mu.Lock()
			k.tags[tag] = damagedTag{record: t}
			k.mu.Unlock()
		}
		return err
	}
	k.opts.Counted(CheckCounts{Tags: 1})
	k.mu.Lock()
	facts, there := k.manifests[d]
	corrupt, isCorrupt := k.corrupt[d]
	if isCorrupt {
		corrupt.tags = append(corrupt.tags, tag)
		corrupt.sets[tag] = t.SetTime().UTC()
		k.corrupt[d] = corrupt
	}
	k.mu.Unlock()
	switch {
	case isCorrupt:
		return nil
	case !there:
		return k.checkDangling(ctx, tag, t)
	case facts.size != t.Descriptor.Size:
		if err := k.correctTag(ctx, tag, t, facts.size); err != nil {
			return err
		}
	}
	return k.checkTagged(ctx, tag, t)
}

// checkDangling removes a tag, read as t, whose manifest is not there. As in a collection, the look at
// the manifest comes after the version of the tag was read: a push writes the tag again after that.
func (k *repoCheck) checkDangling(ctx context.Context, tag string, t *object.Entry) error {
	d := t.Descriptor.Digest
	if !k.settled(t.ModTime) {
		return nil
	}
	key := k.repo.TagKey(tag)
	for range 2 {
		m, err := k.repo.ReadManifest(ctx, d)
		if err != nil || !m.Absent() {
			return err
		}
		if now, err := k.repo.ReadEntry(ctx, key); err != nil || now.Version != t.Version {
			return err
		}
	}
	k.markMissing(d)
	damage := Damage{Kind: DanglingTag, Digest: d, Tag: tag, Expected: "a manifest", Found: "nothing"}
	loss := Loss{Repository: k.repo.Name, Digest: d, Manifest: true, MediaType: t.Descriptor.MediaType,
		Tags: []string{tag}, Sets: map[string]time.Time{tag: t.SetTime().UTC()}, Reason: DanglingTag}
	if deleted, err := k.deletedOnce(ctx, d); err != nil {
		return err
	} else if deleted {
		damage.Found, loss.Deleted = "nothing; the manifest was deleted, and the history can restore it", true
	}
	if _, err := k.opts.Lost(ctx, loss); err != nil {
		return err
	}
	if k.opts.Repair {
		if err := k.repo.RemoveIfUnchanged(ctx, key, t.Version); err != nil {
			return err
		}
		if err := k.repo.Driver.Sync(ctx, key); err != nil {
			return object.RegistryError(err)
		}
		damage.Repair = Removed
	}
	k.report(damage)
	return nil
}

// deletedOnce reports whether the history has the delete of a manifest.
func (k *repoCheck) deletedOnce(ctx context.Context, d digest.Digest) (bool, error) {
	if k.repo.History == 0 {
		return false, nil
	}
	for e, err := range k.repo.Events(ctx, nil) {
		if err != nil {
			return false, err
		}
		if e.Kind == object.EventDelete && e.Digest() == d {
			return true, nil
		}
	}
	return false, nil
}

// correctTag corrects the size that a tag states.
func (k *repoCheck) correctTag(ctx context.Context, tag string, t *object.Entry, size int64) error {
	m, err := k.repo.ReadManifest(ctx, t.Descriptor.Digest)
	if err != nil || !m.Readable() || m.Size != size {
		return err
	}
	now, err := k.repo.ReadEntry(ctx, k.repo.TagKey(tag))
	if err != nil || now.Version != t.Version {
		return err
	}
	damage := Damage{Kind: WrongSize, Digest: t.Descriptor.Digest, Tag: tag,
		Expected: fmt.Sprintf("a tag that states %d bytes", size), Found: fmt.Sprintf("%d bytes", t.Descriptor.Size)}
	if k.opts.Repair {
		right := *now
		right.Descriptor.Size = size
		_, err := k.repo.AbortMoves(ctx, tag, &right, func(object.PendingMove) bool { return false })
		if driver.IsConflict(err) {
			return nil // another writer has set the tag
		}
		if err == nil {
			err = k.repo.Driver.Sync(ctx, k.repo.TagKey(tag))
		}
		if err != nil {
			return object.RegistryError(err)
		}
		damage.Repair = Repaired
	}
	k.report(damage)
	return nil
}

// checkTagged writes the back reference of a tag, read as t, that has none. A push writes it before the
// tag. A delete of the manifest may remove it before a push has set the tag; that push then starts again.
func (k *repoCheck) checkTagged(ctx context.Context, tag string, t *object.Entry) error {
	if !k.settled(t.ModTime) {
		return nil
	}
	d := t.Descriptor.Digest
	key := k.repo.BackrefKey(d, tag)
	for range 2 {
		_, err := k.repo.Driver.Stat(ctx, key)
		if !errors.Is(err, driver.ErrNotExist) {
			return object.RegistryError(err)
		}
		if now, err := k.repo.ReadEntry(ctx, k.repo.TagKey(tag)); err != nil || now.Version != t.Version {
			return err
		}
	}
	damage := Damage{Kind: WrongBackReference, Digest: d, Tag: tag, Expected: "a back reference", Found: "nothing"}
	if k.opts.Repair {
		_, err := k.repo.Overwrite(ctx, key, &object.Mark{Nonce: object.NewNonce()})
		if err == nil {
			err = k.repo.Driver.Sync(ctx, key)
		}
		if err != nil {
			return object.RegistryError(err)
		}
		damage.Repair = Repaired
	}
	k.report(damage)
	return nil
}

// checkBackref notes that a back reference leads to a damaged tag, and removes a back reference to
// a manifest that is not there.
func (k *repoCheck) checkBackref(ctx context.Context, info driver.Info) error {
	tag, d := object.Base(info.Key), objectkey.PathDigest(object.Dir(info.Key))
	if d == "" {
		return nil
	}
	k.mu.Lock()
	_, there := k.manifests[d]
	if t, damaged := k.tags[tag]; damaged && there {
		t.candidates = append(t.candidates, d)
		k.tags[tag] = t
	}
	k.mu.Unlock()
	if there {
		return nil
	}
	return k.removeOrphan(ctx, info, d, Damage{Kind: WrongBackReference, Digest: d, Tag: tag})
}

// removeOrphan removes an object that leads to a manifest which is not there, in the version that was
// read before the look at the manifest.
func (k *repoCheck) removeOrphan(ctx context.Context, info driver.Info, d digest.Digest, damage Damage) error {
	if !k.settled(info.ModTime) {
		return nil
	}
	for range 2 {
		m, err := k.repo.ReadManifest(ctx, d)
		if err != nil || !m.Absent() {
			return err
		}
		now, err := k.repo.Driver.Stat(ctx, info.Key)
		if errors.Is(err, driver.ErrNotExist) || err == nil && now.Version != info.Version {
			return nil
		}
		if err != nil {
			return object.RegistryError(err)
		}
	}
	damage.Expected, damage.Found = "a manifest", "nothing"
	if k.opts.Repair {
		if err := k.repo.RemoveIfUnchanged(ctx, info.Key, info.Version); err != nil {
			return err
		}
		damage.Repair = Removed
	}
	k.mu.Lock()
	known := damage.Kind == WrongBackReference && k.missing[d] // the tag was reported
	k.mu.Unlock()
	if !known {
		k.report(damage)
	}
	return nil
}

// settleTags sets the tags whose records are damaged again, if the back references show to which
// manifest, and removes the others, as collections do.
func (k *repoCheck) settleTags(ctx context.Context) error {
	for tag, t := range k.tags {
		names := make([]string, len(t.candidates))
		for i, d := range t.candidates {
			names[i] = string(d)
		}
		slices.Sort(names)
		damage := Damage{Kind: DamagedTag, Tag: tag, Found: "a record that cannot be read",
			Expected: "a tag of one of " + strings.Join(names, ", ")}
		switch len(names) {
		case 0:
			damage.Expected = "a tag"
		case 1:
			damage.Digest, damage.Expected = t.candidates[0], "a tag of "+names[0]
		}
		if k.opts.Repair {
			var err error
			if damage.Repair, err = k.settleTag(ctx, tag, t); err != nil {
				return err
			}
		}
		k.report(damage)
	}
	return nil
}

// settleTag sets a damaged tag to its only candidate, by a push that requires that no other push has
// set it, or removes it in the version that was read.
func (k *repoCheck) settleTag(ctx context.Context, tag string, t damagedTag) (DamageRepair, error) {
	if len(t.candidates) != 1 {
		return Removed, k.repo.RemoveIfUnchanged(ctx, k.repo.TagKey(tag), t.record.Version)
	}
	m, err := k.repo.ReadManifest(ctx, t.candidates[0])
	if err != nil || m.State != object.Visible {
		return NotRepaired, err
	}
	_, err = k.store.PutManifest(ctx, k.repo.Name, m.MediaType, m.Content, &registry.PutOptions{
		Digest: t.candidates[0], AcceptWrongSizes: true, Sparse: m.Sparse,
		Tags: []registry.TagPut{{Name: tag, IfAbsent: true, Time: t.record.ModTime}},
	})
	if errors.Is(err, registry.ErrTagExists) || errors.Is(err, registry.ErrManifestBlobUnknown) {
		return NotRepaired, nil
	}
	return Repaired, err
}
