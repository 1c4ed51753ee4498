package interleave

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// restoreDeleted restores what was intact when a delete of it began, if the Stores keep a history.
// It demands that no collection has removed anything that the manifests name.
func (w *world) restoreDeleted(ctx context.Context) error {
	if !w.mode.history {
		return nil
	}
	if err := w.restoreRepositories(ctx); err != nil {
		return err
	}
	for _, o := range w.ops {
		if !o.acked {
			continue
		}
		for _, m := range o.had {
			if o.kind == opDelete && o.man != m || w.deletedBelow(o.repo, m) {
				continue
			}
			_, err := w.observer.Restore(ctx, o.repo, byDigest(w.mans[m].desc.Digest), nil)
			if errors.Is(err, registry.ErrManifestBlobUnknown) {
				return fmt.Errorf("%s cannot be undone: %w", w.text(o), err)
			}
		}
	}
	return nil
}

// restoreRepositories restores the repositories that were deleted and not changed afterwards. It
// demands that everything comes back that was intact, with everything below it.
func (w *world) restoreRepositories(ctx context.Context) error {
	for _, o := range w.ops {
		if o.kind != opDeleteRepo || !o.acked || len(o.had) == 0 || slices.ContainsFunc(w.ops, func(other *op) bool {
			return other != o && other.repo == o.repo && until(other) >= o.start
		}) {
			continue
		}
		res, err := w.observer.Restore(ctx, o.repo, reference.Ref{}, nil)
		if err != nil {
			return fmt.Errorf("%s cannot be undone: %w", w.text(o), err)
		}
		for _, m := range o.had {
			restored := slices.ContainsFunc(res.Manifests, func(r registry.PutResult) bool {
				return r.Descriptor.Digest == w.mans[m].desc.Digest
			})
			if !restored {
				return fmt.Errorf("%s was undone without manifest %d", w.text(o), m)
			}
			if err := w.readAll(ctx, o.repo, m); err != nil {
				return fmt.Errorf("%s was undone: %w", w.text(o), err)
			}
		}
	}
	return nil
}

// readAll returns an error unless a repository has a manifest and everything below it.
func (w *world) readAll(ctx context.Context, repo string, m int) error {
	if _, err := w.observer.GetManifest(ctx, repo, byDigest(w.mans[m].desc.Digest)); err != nil {
		return fmt.Errorf("manifest %d: %w", m, err)
	}
	for _, b := range w.mans[m].blobs {
		if err := w.readBlob(ctx, w.observer, repo, b); err != nil {
			return fmt.Errorf("blob %d of manifest %d: %w", b, m, err)
		}
	}
	for _, c := range w.mans[m].children {
		if err := w.readAll(ctx, repo, c); err != nil {
			return fmt.Errorf("index %d: %w", m, err)
		}
	}
	return nil
}

// undoSome restores tags, manifests and repositories. Without a history, it deletes.
func (c *client) undoSome(ctx context.Context) {
	if !c.w.mode.history {
		c.deleteSome(ctx)
		return
	}
	opts := &registry.RestoreOptions{SetTag: func(t *registry.TagPut) error {
		t.IfAbsent, t.Keep = t.Name == keptTag, t.Name == keptTag
		return nil
	}}
	for range 1 + c.rnd.IntN(3) {
		var ref reference.Ref
		o := op{actor: c.actor, repo: c.repo(), man: -1, kind: opRestore}
		switch c.rnd.IntN(3) {
		case 0:
			o.kind, o.tag = opRestoreTag, c.tag()
			ref = byTag(o.tag)
		case 1:
			o.man = c.image()
			ref = byDigest(c.w.mans[o.man].desc.Digest)
		}
		begun := c.w.begin(o)
		res, err := c.store.Restore(ctx, o.repo, ref, opts)
		if err == nil {
			for _, m := range res.Manifests {
				begun.restored = append(begun.restored, c.w.numberOf(m.Descriptor.Digest))
			}
			if begun.kind == opRestoreTag {
				begun.man = begun.restored[0]
			}
		}
		c.w.ended(begun, err, registry.ErrManifestUnknown, registry.ErrNameUnknown, registry.ErrManifestBlobUnknown,
			registry.ErrTagExists)
		if errors.Is(err, errOver) {
			return
		}
	}
}
