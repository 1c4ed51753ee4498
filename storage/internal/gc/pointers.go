package gc

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// pointerCollector removes pointers that lead nowhere: tags, back references and entries of
// referrers whose manifest is absent, and back references of tags that have moved on. Each is
// removed in the version that was read before the look at what it leads to, so that a pointer that
// a push has written again stays.
type pointerCollector struct {
	*repoCollector
	backrefs       *bloom // keys of the back references
	neededBackrefs *bloom // keys of the back references that the tags need
	hinted         *bloom // keys of the entries of referrers that have a hint

	mu    sync.Mutex
	stale []staleRef
}

// staleRef is a back reference of a tag that points elsewhere.
type staleRef struct {
	driver.Info
	digest digest.Digest
	tag    string
}

// collectPointers removes the pointers of the repository that lead nowhere. Back references are
// read before the tags, to find the tags that lack one, and again after them, to find those that no
// tag needs.
func (r *repoCollector) collectPointers(ctx context.Context) error {
	limit := r.opts.Memory / 12
	p := &pointerCollector{
		repoCollector: r, backrefs: newBloom(limit), neededBackrefs: newBloom(limit), hinted: newBloom(limit),
	}
	steps := []struct {
		prefix string
		check  func(context.Context, driver.Info) error
		settle func() error
	}{
		{r.repo.BackrefsPrefix(), p.noteBackref, nil},
		{r.repo.TagPrefix(), p.checkTag, nil},
		{r.repo.BackrefsPrefix(), p.checkBackref, func() error { return p.removeStale(ctx) }},
		{r.repo.TypesPrefix(), p.checkHint, nil},
		{r.repo.ReferrersPrefix(), p.checkReferrer, nil},
	}
	for _, step := range steps {
		check := func(info driver.Info) error { return step.check(ctx, info) }
		err := r.forEach(ctx, step.prefix, nil, check, step.settle)
		if err != nil {
			return err
		}
	}
	return nil
}

// checkHint notes that a referrer has a hint, or removes the hint of an absent referrer.
func (p *pointerCollector) checkHint(ctx context.Context, info driver.Info) error {
	entry, ok := p.repo.HintedEntry(info.Key)
	if !ok {
		return nil
	}
	if gone, err := p.removeOrphan(ctx, info, objectkey.PathDigest(entry)); gone || err != nil {
		return err
	}
	p.hinted.add(entry)
	return nil
}

// checkReferrer removes the entry of an absent referrer. It writes the hint of an entry of an older
// version, which wrote none.
func (p *pointerCollector) checkReferrer(ctx context.Context, info driver.Info) error {
	d := objectkey.PathDigest(info.Key)
	if gone, err := p.removeOrphan(ctx, info, d); gone || err != nil {
		return err
	}
	if p.opts.DryRun || p.hinted.has(info.Key) || !p.graceOver(info.ModTime) {
		return nil
	}
	e, err := p.objects.ReadEntry(ctx, info.Key)
	subject := objectkey.PathDigest(object.Dir(object.Dir(info.Key)))
	if err != nil || subject == "" || e.Descriptor.Digest != d {
		return err
	}
	p.repo.PutHint(ctx, subject, e.Descriptor)
	return nil
}

// removeOrphan removes a pointer to the manifest d if d is absent, and reports whether it is. A
// pointer that has changed since it was read stays.
func (p *pointerCollector) removeOrphan(ctx context.Context, info driver.Info, d digest.Digest) (bool, error) {
	if d == "" || p.present.has(string(d)) {
		return false, nil
	}
	m, err := p.repo.ReadManifest(ctx, d)
	if err != nil || !m.Absent() {
		return false, err
	}
	if err := p.removeUnlessDryRun(ctx, info.Key, info.Version); driver.IsConflict(err) {
		return true, nil
	} else if err != nil {
		return true, object.RegistryError(err)
	}
	p.Count(func(r *Report) { r.Removed.Pointers++ })
	return true, nil
}

// noteBackref notes a back reference, or removes it if its manifest is absent.
func (p *pointerCollector) noteBackref(ctx context.Context, info driver.Info) error {
	if gone, err := p.removeOrphan(ctx, info, objectkey.PathDigest(object.Dir(info.Key))); gone || err != nil {
		return err
	}
	p.backrefs.add(info.Key)
	return nil
}

// checkTag removes a tag whose manifest is absent, and aborts its pending moves whose pushes have
// died. It notes the back references that the tag needs, and writes that to its manifest if it is
// missing.
func (p *pointerCollector) checkTag(ctx context.Context, info driver.Info) error {
	tag := object.Base(info.Key)
	t, err := p.objects.ReadEntry(ctx, info.Key)
	if err != nil || t.Version == "" {
		return err
	}
	d := t.Descriptor.Digest
	if d == "" { // cut short
		if err := p.removeUnlessDryRun(ctx, info.Key, t.Version); !driver.IsConflict(err) {
			return object.RegistryError(err)
		}
		return nil
	}
	if gone, err := p.removeOrphan(ctx, driver.Info{Key: info.Key, Version: t.Version}, d); gone || err != nil {
		return err
	}
	// A tag that pushes move all the time is never old, so the time of the move counts, too.
	expired := func(n object.PendingMove) bool {
		if n.Lead != "" && time.Since(n.Time) < object.ClaimTime {
			return false // its push may have moved its lead, and conditional changes wait for it
		}
		return p.graceOver(t.ModTime) || !n.Time.IsZero() && p.graceOver(n.Time)
	}
	if slices.ContainsFunc(t.Pending, expired) && !p.opts.DryRun {
		_, err := p.repo.AbortMoves(ctx, tag, t, expired)
		if err == nil {
			t.Pending = t.PendingWithout(expired)
		} else if !driver.IsConflict(err) {
			return object.RegistryError(err)
		}
	}
	for _, n := range t.Pending {
		p.neededBackrefs.add(p.repo.BackrefKey(n.Descriptor.Digest, tag))
	}
	key := p.repo.BackrefKey(d, tag)
	p.neededBackrefs.add(key)
	if p.backrefs.has(key) || p.opts.DryRun {
		return nil
	}
	_, err = p.objects.Overwrite(ctx, key, &object.Mark{Nonce: object.NewNonce()})
	return object.RegistryError(err)
}

// checkBackref adds a back reference to the stale ones if its tag points elsewhere or is absent.
// Otherwise it notes that the manifest is tagged.
func (p *pointerCollector) checkBackref(ctx context.Context, info driver.Info) error {
	tag, d := object.Base(info.Key), objectkey.PathDigest(object.Dir(info.Key))
	if d == "" {
		return nil
	}
	if p.neededBackrefs.has(info.Key) || !p.graceOver(info.ModTime) {
		p.tagged.add(string(d))
		return nil
	}
	leads, err := p.tagLeadsTo(ctx, tag, d)
	if err != nil {
		return err
	}
	if leads {
		p.tagged.add(string(d))
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stale = append(p.stale, staleRef{Info: info, digest: d, tag: tag})
	return nil
}

// tagLeadsTo reports whether a tag points at a manifest, or has a pending move to it.
func (p *pointerCollector) tagLeadsTo(ctx context.Context, tag string, d digest.Digest) (bool, error) {
	t, err := p.objects.ReadEntry(ctx, p.repo.TagKey(tag))
	return err == nil && t.PointsTo(d), err
}

// removeStale removes the back references of tags that point elsewhere. A push that has written one
// may still be about to write its tag. It checks the version of the manifest after that, and starts
// again if it has changed. So the manifest is written again before the last look at the tag.
func (p *pointerCollector) removeStale(ctx context.Context) error {
	slices.SortFunc(p.stale, func(a, b staleRef) int { return cmp.Compare(a.digest, b.digest) })
	for len(p.stale) > 0 {
		d := p.stale[0].digest
		n := 1
		for n < len(p.stale) && p.stale[n].digest == d {
			n++
		}
		group := p.stale[:n]
		p.stale = p.stale[n:]
		if !p.opts.DryRun {
			touched, err := p.touchManifest(ctx, d)
			if err != nil {
				return err
			}
			if !touched {
				continue
			}
		}
		err := p.parallel(len(group), func(i int) error {
			if leads, err := p.tagLeadsTo(ctx, group[i].tag, d); err != nil || leads {
				return err
			}
			if err := p.removeUnlessDryRun(ctx, group[i].Key, group[i].Version); driver.IsConflict(err) {
				return nil
			} else if err != nil {
				return object.RegistryError(err)
			}
			p.Count(func(r *Report) { r.Removed.Pointers++ })
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// touchManifest gives a manifest a new version, and reports whether it has. If the manifest is not
// visible or another writer comes first, it does not, and the back references stay for now. The
// manifest does not count as pushed: its tag may have been removed by retention, which is about to
// remove the manifest, too, unless a client has pushed it again.
func (p *pointerCollector) touchManifest(ctx context.Context, d digest.Digest) (bool, error) {
	m, err := p.repo.ReadManifest(ctx, d)
	if err != nil || m.State != object.Visible {
		return false, err
	}
	err = p.repo.RewriteManifest(ctx, d, m)
	if driver.IsConflict(err) {
		return false, nil
	}
	return err == nil, object.RegistryError(err)
}
