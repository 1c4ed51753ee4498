package storage

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/driver"
)

// garbageManifest is a manifest that nothing was found to lead to.
type garbageManifest struct {
	digest   digest.Digest
	mark     *manifestRecord // nil if somebody else has changed it
	led      bool            // something was found after the mark that leads to it
	pointers *pointers
	removed  bool
}

// untaggedAtOnce is how many manifests are marked before it is looked again what leads to them.
const untaggedAtOnce = 256

// collectUntagged removes manifests that no tag points at, that no manifest of the repository
// names, whose subject is not there, and that history does not hold on to, nor to their subject.
// They are marked as by a delete; a push that names or tags one takes the mark off, and so does a
// push of its subject, see awaitSubjects.
func (r *repoCollector) collectUntagged(ctx context.Context) error {
	return r.some(ctx, manifestPrefix(r.repo), nil, func(info driver.Info) error { return r.sortManifest(ctx, info) },
		func() error {
			some := r.untagged
			r.untagged = nil
			for batch := range slices.Chunk(some, untaggedAtOnce) {
				if err := r.settleManifests(ctx, batch); err != nil {
					return err
				}
			}
			return nil
		})
}

// sortManifest decides whether a manifest is to be removed.
func (r *repoCollector) sortManifest(ctx context.Context, info driver.Info) error {
	d := pathDigest(info.Key)
	if d == "" || !r.old(info.ModTime) || r.isKept(d, "") || r.tagged.has(string(d)) {
		return nil
	}
	m, err := r.s.readManifest(ctx, r.repo, d)
	if err != nil || !m.readable() || !r.isOver(m) || r.isKept(d, m.Subject) {
		return err
	}
	if led, _, err := r.isLedTo(ctx, d, m); err != nil || led {
		return err
	}
	if r.opts.DryRun {
		r.count(func(c *CollectReport) { c.Removed.Untagged++ })
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
	return r.needed.has(string(d)) || r.kept.has(string(d)) || subject != "" && r.kept.has(string(subject))
}

// isLedTo reports whether a tag points at a manifest, or its subject is there, or on its way; if
// not, it returns what else leads to it.
func (r *repoCollector) isLedTo(ctx context.Context, d digest.Digest, m *manifestRecord) (bool, *pointers, error) {
	if m.Subject != "" {
		subject, err := r.s.readManifest(ctx, r.repo, m.Subject)
		if err != nil || !subject.isAwaitable() {
			return true, nil, err
		}
	}
	p, err := r.s.pointers(ctx, r.repo, d, m)
	if err != nil {
		return true, nil, err
	}
	return len(p.tags)+len(p.moves) > 0, p, nil
}

// settleManifests marks manifests, then looks again what leads to them, and then takes the mark off
// again or removes them.
func (r *repoCollector) settleManifests(ctx context.Context, batch []garbageManifest) error {
	err := r.parallel(len(batch), func(i int) error {
		g := &batch[i]
		if g.mark.State == deleting && !g.mark.Collected {
			return nil // by a delete that has died, or has not: its mark does, and is not taken off
		}
		mark := *g.mark
		mark.State, mark.Nonce, mark.Collected = deleting, nonce(), true
		var err error
		mark.version, err = r.s.put(ctx, manifestKey(r.repo, g.digest), g.mark.version, &mark, g.mark.content, driver.Deferred)
		if g.mark = &mark; changed(err) {
			g.mark = nil
			return nil
		}
		return wire(err)
	})
	if err != nil {
		return err
	}
	waits, err := r.awaitSubjects(ctx, batch)
	if err != nil {
		return err
	}
	// Manifests, then what leads to each, then the history: a tag that moves on is in the history
	// before it does.
	if err := r.roots(ctx, false); err != nil {
		return err
	}
	err = r.parallel(len(batch), func(i int) (err error) {
		if g := &batch[i]; g.mark != nil && !g.led {
			g.led, g.pointers, err = r.isLedTo(ctx, g.digest, g.mark)
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := r.history(ctx); err != nil {
		return err
	}
	removed := make([]string, len(batch))
	err = r.parallel(len(batch), func(i int) (err error) {
		g := &batch[i]
		if g.mark == nil {
			return nil
		}
		if g.removed, err = r.settleManifest(ctx, g); g.removed {
			removed[i] = manifestKey(r.repo, g.digest)
		}
		return err
	})
	if err == nil {
		err = r.syncRemoved(ctx, removed)
	}
	if err == nil {
		err = r.removeEntries(ctx, batch)
	}
	if err != nil {
		return err
	}
	return r.endWaits(ctx, waits)
}

// settleManifest takes the mark off a manifest that something leads to, or removes the manifest and
// the back references to it, and reports which.
func (r *repoCollector) settleManifest(ctx context.Context, g *garbageManifest) (removed bool, err error) {
	if g.led || r.isKept(g.digest, g.mark.Subject) {
		if !g.mark.Collected {
			return false, nil
		}
		if _, err := r.s.setVisible(ctx, r.repo, g.digest, g.mark); !changed(err) {
			return false, wire(err)
		}
		return false, nil
	}
	// What was found was written before this look at the mark; see Store.deleteManifest.
	if m, err := r.s.readManifest(ctx, r.repo, g.digest); err != nil || m.version != g.mark.version {
		return false, err
	}
	var b *begun
	if !g.mark.Collected { // finish the delete, so that it can be undone
		b, err = r.s.begin(ctx, r.repo, eventDelete, digestSubject(g.digest), event{
			Before: g.mark.descriptor(g.digest), Delete: g.mark.Delete, content: g.mark.content,
		})
		if err != nil {
			return false, err
		}
	}
	if err := r.s.removePointers(ctx, &pointers{backrefs: g.pointers.backrefs}); err != nil {
		return false, err
	}
	err = r.s.remove(ctx, manifestKey(r.repo, g.digest), g.mark.version)
	if err != nil && !changed(err) {
		return false, wire(err)
	}
	if err != nil {
		b.overtaken(ctx, manifestKey(r.repo, g.digest))
		return false, nil
	}
	b.end(ctx, true)
	r.count(func(c *CollectReport) { c.Removed.Untagged++ })
	return true, nil
}
