package storage

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage/driver"
)

// repoCollector collects one repository.
type repoCollector struct {
	*collector
	repo string

	// What the roots are, and what they name. A root is a manifest that is visible, on its way, or
	// being deleted, and one that history can bring back.
	needed    *bloom  // digests that roots name
	there     *bloom  // digests of manifests that are in the repository
	kept      *bloom  // digests of manifests that history holds on to
	manifests *looked // what the lists were like that this is from
	events    *looked
	inUse     bool   // there is a visible manifest
	tagged    *bloom // digests of manifests that a back reference leads to, filled by collectPointers

	mu       sync.Mutex
	garbage  []garbageLink     // to be settled
	untagged []garbageManifest // to be settled
}

// repository collects the links of a repository, and what leads nowhere in it.
func (c *collector) repository(ctx context.Context, repo string) error {
	limit := c.opts.Memory / 12
	r := &repoCollector{
		collector: c, repo: repo, needed: newBloom(limit), there: newBloom(limit), kept: newBloom(limit),
		tagged: newBloom(limit), manifests: newLooked(), events: newLooked(),
	}
	c.count(func(r *CollectReport) { r.Repositories++ })
	if err := r.roots(ctx, true); err != nil {
		return err
	}
	parts := []func(context.Context) error{r.collectLinks, r.collectPointers}
	if c.opts.Untagged {
		parts = append(parts, r.collectUntagged)
	}
	for _, part := range parts {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if filled, err := c.isFilled(ctx, repo); err != nil {
		return err
	} else if filled {
		c.filled.add(repo)
	}
	if r.inUse && !c.opts.DryRun {
		return c.catalogue(ctx, repo)
	}
	return nil
}

// roots looks at the manifests, and then at the history: a delete writes there before it removes
// the manifest. The first time it reads all, and removes manifests whose push has died; later what
// has changed.
func (r *repoCollector) roots(ctx context.Context, first bool) error {
	list := r.s.driver.List(ctx, manifestPrefix(r.repo), nil)
	err := r.look(ctx, r.manifests, list, func(f found) error { return r.root(ctx, f, first) }, nil)
	if err != nil {
		return err
	}
	return r.history(ctx)
}

// history looks at the events that it has not seen yet.
func (r *repoCollector) history(ctx context.Context) error {
	return r.look(ctx, r.events, r.eventList(ctx), func(f found) error { return r.pastRoot(ctx, f.Key) }, nil)
}

// root takes a manifest for a root.
func (r *repoCollector) root(ctx context.Context, f found, first bool) error {
	d := pathDigest(f.Key)
	if d == "" {
		return nil
	}
	m, err := r.s.readManifest(ctx, r.repo, d)
	if err != nil {
		return err
	}
	if m.State == awaited {
		if first && r.old(m.modTime) && !r.opts.DryRun {
			return r.endWait(ctx, d, m.version) // who wrote it may have died
		}
		return nil
	}
	if first && !m.readable() && m.version != "" && r.isOver(m) {
		// Its push has died, or begins again when it finds out.
		err := r.drop(ctx, f.Key, m.version)
		if err == nil {
			r.count(func(c *CollectReport) { c.Removed.Pending++ })
			return nil
		}
		if !changed(err) {
			return wire(err)
		}
		if m, err = r.s.readManifest(ctx, r.repo, d); err != nil {
			return err
		}
	}
	if m.State == gone {
		return nil
	}
	if first {
		r.count(func(c *CollectReport) { c.Manifests++ })
	}
	if m.readable() {
		r.mu.Lock()
		r.inUse = true
		r.mu.Unlock()
	}
	if !m.absent() {
		r.there.add(string(d))
	}
	if m.State == refused && len(m.content) == 0 {
		for _, d := range m.References {
			r.needed.add(string(d))
		}
		return nil
	}
	return r.needs(d, m.MediaType, m.content)
}

// sendAgain is how long what a refused push names is kept from collectors, whatever the grace, so
// that what its client sends is there for the next; see refuse.go.
const sendAgain = time.Minute

// isOver reports whether a manifest that nothing leads to has had its time.
func (r *repoCollector) isOver(m *manifestRecord) bool {
	again := time.Since(m.modTime) >= sendAgain
	if m.State == refused {
		return again
	}
	return r.old(m.modTime) && (again || !m.Again)
}

// needs notes what a manifest names.
func (r *repoCollector) needs(d digest.Digest, mediaType string, content []byte) error {
	parsed, err := manifest.ParseStored(mediaType, content)
	if err != nil {
		return fmt.Errorf("storage: the manifest %s: %w", d, err) // it could be parsed when it was pushed
	}
	for _, ref := range parsed.References {
		r.needed.add(string(ref.Digest))
	}
	return nil
}

// eventList lists the events of the history. What an event tells of roots never changes.
func (r *repoCollector) eventList(ctx context.Context) iter.Seq2[driver.Info, error] {
	return func(yield func(driver.Info, error) bool) {
		if r.s.opts.History == 0 {
			return
		}
		for e, err := range r.s.events(ctx, r.repo, nil) {
			if err != nil {
				yield(driver.Info{}, err)
				return
			}
			if !yield(driver.Info{Key: eventKey(r.repo, e.id)}, nil) {
				return
			}
		}
	}
}

// pastRoot takes for a root what an event can bring back: a deleted manifest, or one that a tag
// pointed at before.
func (r *repoCollector) pastRoot(ctx context.Context, key string) error {
	e := parseEvent(base(key))
	if e == nil {
		return nil
	}
	if ok, err := r.s.readEvent(ctx, r.repo, e); err != nil || !ok || e.Before == nil {
		return err
	}
	r.kept.add(string(e.Before.Digest))
	if e.kind != eventDelete {
		return nil // if it is anywhere, it is among the manifests
	}
	return r.needs(e.Before.Digest, e.Before.MediaType, e.content)
}

// drop removes an object on a version, unless nothing is to be removed.
//
// Errors: ErrChanged.
func (c *collector) drop(ctx context.Context, key, version string) error {
	if c.opts.DryRun {
		return nil
	}
	return c.s.remove(ctx, key, version)
}
