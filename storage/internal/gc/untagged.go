package gc

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// garbageManifest is a manifest that nothing was found to lead to.
type garbageManifest struct {
	digest     digest.Digest
	mark       *object.Manifest // the manifest with its mark; nil if another writer has changed it
	referenced bool             // something that leads to it was found after the mark
	pointers   *object.Pointers // what leads to it
	removed    bool
}

// untaggedAtOnce is the maximum number of manifests that are marked before the collection looks
// again what leads to them.
const untaggedAtOnce = 256

// collectUntagged removes the manifests that no tag points at, that no manifest of the repository
// names, whose subject is absent, and that the history does not hold, nor their subject. It marks
// them as a delete does. A push that names or tags a marked manifest takes the mark off, and so
// does a push of its subject, see awaitSubjects.
func (r *repoCollector) collectUntagged(ctx context.Context) error {
	check := func(info driver.Info) error { return r.checkManifest(ctx, info) }
	settle := func() error {
		candidates := r.untagged
		r.untagged = nil
		for batch := range slices.Chunk(candidates, untaggedAtOnce) {
			if err := r.settleManifests(ctx, batch); err != nil {
				return err
			}
		}
		return nil
	}
	return r.forEach(ctx, r.repo.ManifestPrefix(), nil, check, settle)
}

// checkManifest adds a manifest to those to be settled if nothing leads to it.
func (r *repoCollector) checkManifest(ctx context.Context, info driver.Info) error {
	d := objectkey.PathDigest(info.Key)
	if d == "" || !r.graceOver(info.ModTime) || r.isKept(d, "") || r.tagged.has(string(d)) {
		return nil
	}
	m, err := r.repo.ReadManifest(ctx, d)
	if err != nil || !m.Readable() || !r.isExpired(m) || r.isKept(d, m.Subject) {
		return err
	}
	if referenced, _, err := r.isReferenced(ctx, d, m); err != nil || referenced {
		return err
	}
	if r.opts.DryRun {
		r.Count(func(c *Report) { c.Removed.Untagged++ })
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.untagged = append(r.untagged, garbageManifest{digest: d, mark: m})
	return nil
}

// isKept reports whether a root names the manifest d, or the history holds d or its subject: a
// restored subject would come back without d. subject may be "".
func (r *repoCollector) isKept(d, subject digest.Digest) bool {
	return r.needed.has(string(d)) || r.heldByHistory.has(string(d)) ||
		subject != "" && r.heldByHistory.has(string(subject))
}

// isReferenced reports whether a tag points at the manifest d or has a pending move to it, or
// whether its subject is there or pending. If not, it returns the pointers that lead to d.
func (r *repoCollector) isReferenced(ctx context.Context, d digest.Digest,
	m *object.Manifest) (bool, *object.Pointers, error) {
	if m.Subject != "" {
		subject, err := r.repo.ReadManifest(ctx, m.Subject)
		if err != nil || !subject.IsAwaitable() {
			return true, nil, err
		}
	}
	p, err := r.repo.FindPointers(ctx, d, m)
	if err != nil {
		return true, nil, err
	}
	return len(p.Tags)+len(p.Moves) > 0, p, nil
}

// settleManifests marks manifests, then looks again what leads to them, and then removes each
// manifest or takes its mark off. It lets pushes of absent subjects know in between, see
// awaitedSubject.
func (r *repoCollector) settleManifests(ctx context.Context, batch []garbageManifest) error {
	if err := r.markManifests(ctx, batch); err != nil {
		return err
	}
	awaited, err := r.awaitSubjects(ctx, batch)
	if err != nil {
		return err
	}
	if err := r.recheckManifests(ctx, batch); err != nil {
		return err
	}
	if err := r.settleMarked(ctx, batch); err != nil {
		return err
	}
	return r.removeAllAwaited(ctx, awaited)
}

// markManifests marks manifests as Deleting and Collected. A manifest with the mark of a delete,
// which may have died, keeps that mark.
func (r *repoCollector) markManifests(ctx context.Context, batch []garbageManifest) error {
	return r.parallel(len(batch), func(i int) error {
		g := &batch[i]
		if g.mark.State == object.Deleting && !g.mark.Collected {
			return nil
		}
		mark := *g.mark
		mark.State, mark.Nonce, mark.Collected = object.Deleting, object.NewNonce(), true
		version, key := g.mark.Version, r.repo.ManifestKey(g.digest)
		var err error
		mark.Version, err = r.objects.Put(ctx, key, version, &mark, mark.Content, driver.Deferred)
		if g.mark = &mark; driver.IsConflict(err) {
			g.mark = nil
			return nil
		}
		return object.RegistryError(err)
	})
}

// recheckManifests looks whether anything leads to the marked manifests. It reads the manifests
// first, then what leads to each, and then the history: the event of a tag that moves on is written
// before the tag moves.
func (r *repoCollector) recheckManifests(ctx context.Context, batch []garbageManifest) error {
	if err := r.rereadRoots(ctx); err != nil {
		return err
	}
	err := r.parallel(len(batch), func(i int) (err error) {
		if g := &batch[i]; g.mark != nil && !g.referenced {
			g.referenced, g.pointers, err = r.isReferenced(ctx, g.digest, g.mark)
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.readHistory(ctx)
}

// settleMarked removes each marked manifest, or takes its mark off. After that it removes the
// entries of the referrers that it has removed.
func (r *repoCollector) settleMarked(ctx context.Context, batch []garbageManifest) error {
	removed := make([]string, len(batch))
	err := r.parallel(len(batch), func(i int) (err error) {
		g := &batch[i]
		if g.mark == nil {
			return nil
		}
		if g.removed, err = r.settleManifest(ctx, g); g.removed {
			removed[i] = r.repo.ManifestKey(g.digest)
		}
		return err
	})
	if err == nil {
		err = r.syncKeys(ctx, removed)
	}
	if err != nil {
		return err
	}
	return r.removeEntries(ctx, batch)
}

// settleManifest removes a marked manifest and the back references to it, and reports whether it
// has. If something leads to the manifest, it takes the mark off instead.
func (r *repoCollector) settleManifest(ctx context.Context, g *garbageManifest) (removed bool, err error) {
	if g.referenced || r.isKept(g.digest, g.mark.Subject) {
		return false, r.restoreManifest(ctx, g)
	}
	// What leads to the manifest was read before this look at the mark. A push that takes the mark
	// off later writes its pointers in new versions, which this collection leaves alone. See
	// manifestDelete in package storage.
	if m, err := r.repo.ReadManifest(ctx, g.digest); err != nil || m.Version != g.mark.Version {
		return false, err
	}
	var b *object.OpenEvent
	if !g.mark.Collected { // finish the delete with an event, so that it can be undone
		b, err = r.repo.BeginEvent(ctx, object.EventDelete, object.DigestSubject(g.digest), object.Event{
			Before: g.mark.Descriptor(g.digest), Delete: g.mark.Delete, Sparse: g.mark.Sparse,
			Content: g.mark.Content,
		})
		if err != nil {
			return false, err
		}
	}
	if err := r.objects.RemovePointers(ctx, &object.Pointers{Backrefs: g.pointers.Backrefs}); err != nil {
		return false, err
	}
	err = r.objects.Remove(ctx, r.repo.ManifestKey(g.digest), g.mark.Version)
	if err != nil && !driver.IsConflict(err) {
		return false, object.RegistryError(err)
	}
	if err != nil {
		b.DiscardUnlessGone(ctx, r.repo.ManifestKey(g.digest))
		return false, nil
	}
	b.End(ctx, object.Happened)
	r.Count(func(c *Report) { c.Removed.Untagged++ })
	return true, nil
}

// restoreManifest takes the mark off a manifest. It leaves the mark of a delete alone.
func (r *repoCollector) restoreManifest(ctx context.Context, g *garbageManifest) error {
	if !g.mark.Collected {
		return nil
	}
	if _, err := r.repo.SetVisible(ctx, g.digest, g.mark); !driver.IsConflict(err) {
		return object.RegistryError(err)
	}
	return nil
}
