package gc

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// garbageManifest is a manifest that nothing was found to lead to.
type garbageManifest struct {
	digest     digest.Digest
	mark       *object.Manifest // nil if somebody else has changed it
	referenced bool             // something was found after the mark that leads to it
	pointers   *object.Pointers
	removed    bool
}

// untaggedAtOnce is how many manifests are marked before it is looked again what leads to them.
const untaggedAtOnce = 256

// collectUntagged removes manifests that no tag points at, that no manifest of the repository
// names, whose subject is not there, and that history does not hold on to, nor to their subject.
// They are marked as by a delete; a push that names or tags one takes the mark off, and so does a
// push of its subject, see awaitSubjects.
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

// sortManifest decides whether a manifest is to be removed.
func (r *repoCollector) checkManifest(ctx context.Context, info driver.Info) error {
	d := object.PathDigest(info.Key)
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

// isKept reports whether a root names the manifest, or history holds on to it, or to its subject,
// which would come back without it. subject may be "".
func (r *repoCollector) isKept(d, subject digest.Digest) bool {
	return r.needed.has(string(d)) || r.heldByHistory.has(string(d)) ||
		subject != "" && r.heldByHistory.has(string(subject))
}

// isReferenced reports whether a tag points at a manifest, or its subject is there, or on its way; if
// not, it returns what else leads to it.
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

// settleManifests marks manifests, then looks again what leads to them, and then takes the mark off
// again or removes them.
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

// markManifests marks manifests as deleting and collected.
func (r *repoCollector) markManifests(ctx context.Context, batch []garbageManifest) error {
	return r.parallel(len(batch), func(i int) error {
		g := &batch[i]
		if g.mark.State == object.Deleting && !g.mark.Collected {
			return nil // by a delete that has died, or has not: its mark does, and is not taken off
		}
		mark := *g.mark
		mark.State, mark.Nonce, mark.Collected = object.Deleting, object.NewNonce(), true
		version, key := g.mark.Version, r.repo.ManifestKey(g.digest)
		var err error
		mark.Version, err = r.objects.Put(ctx, key, version, &mark, mark.Content, driver.Deferred)
		if g.mark = &mark; object.IsConflict(err) {
			g.mark = nil
			return nil
		}
		return object.RegistryError(err)
	})
}

// recheckManifests looks again whether anything leads to manifests that are marked.
func (r *repoCollector) recheckManifests(ctx context.Context, batch []garbageManifest) error {
	// Manifests, then what leads to each, then the history: a tag that moves on is in the history
	// before it does.
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

// settleMarked takes marks off or removes the manifests, and then the entries of those removed.
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

// settleManifest takes the mark off a manifest that something leads to, or removes the manifest and
// the back references to it, and reports which.
func (r *repoCollector) settleManifest(ctx context.Context, g *garbageManifest) (removed bool, err error) {
	if g.referenced || r.isKept(g.digest, g.mark.Subject) {
		return false, r.restoreManifest(ctx, g)
	}
	// What was found was written before this look at the mark; see Store.deleteManifest.
	if m, err := r.repo.ReadManifest(ctx, g.digest); err != nil || m.Version != g.mark.Version {
		return false, err
	}
	var b *object.OpenEvent
	if !g.mark.Collected { // finish the delete, so that it can be undone
		b, err = r.repo.BeginEvent(ctx, object.EventDelete, object.DigestSubject(g.digest), object.Event{
			Before: g.mark.Descriptor(g.digest), Delete: g.mark.Delete, Content: g.mark.Content,
		})
		if err != nil {
			return false, err
		}
	}
	if err := r.objects.RemovePointers(ctx, &object.Pointers{Backrefs: g.pointers.Backrefs}); err != nil {
		return false, err
	}
	err = r.objects.Remove(ctx, r.repo.ManifestKey(g.digest), g.mark.Version)
	if err != nil && !object.IsConflict(err) {
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

// restoreManifest takes the mark off a manifest, unless it is that of a delete.
func (r *repoCollector) restoreManifest(ctx context.Context, g *garbageManifest) error {
	if !g.mark.Collected {
		return nil
	}
	if _, err := r.repo.SetVisible(ctx, g.digest, g.mark); !object.IsConflict(err) {
		return object.RegistryError(err)
	}
	return nil
}
