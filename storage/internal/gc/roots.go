package gc

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// repoCollector collects one repository.
type repoCollector struct {
	*Collector
	repo object.Repo

	// What the roots are, and what they name. A root is a manifest that is visible, on its way, or
	// being deleted, and one that history can bring back.
	needed        *bloom        // digests that roots name
	present       *bloom        // digests of manifests that are in the repository
	heldByHistory *bloom        // digests of manifests that history holds on to
	manifests     *listSnapshot // what the lists were like that this is from
	events        *listSnapshot
	inUse         bool   // there is a visible manifest
	tagged        *bloom // digests of manifests that a back reference leads to, filled by collectPointers

	mu       sync.Mutex
	garbage  []garbageLink     // to be settled
	untagged []garbageManifest // to be settled
}

// repository collects the links of a repository, and what leads nowhere in it.
func (c *Collector) collectRepository(ctx context.Context, repo object.Repo) error {
	limit := c.opts.Memory / 12
	r := &repoCollector{
		Collector: c, repo: repo, needed: newBloom(limit), present: newBloom(limit), heldByHistory: newBloom(limit),
		tagged: newBloom(limit), manifests: newListSnapshot(), events: newListSnapshot(),
	}
	c.Count(func(r *Report) { r.Repositories++ })
	if err := r.readRoots(ctx); err != nil {
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
	if nonEmpty, err := c.isNonEmpty(ctx, repo); err != nil {
		return err
	} else if nonEmpty {
		c.nonEmpty.add(repo.Name)
	}
	if r.inUse && !c.opts.DryRun {
		return c.ensureCataloged(ctx, repo)
	}
	return nil
}

// readRoots reads all manifests, and then the history: a delete writes there before it removes the
// manifest. It removes manifests whose push has died.
func (r *repoCollector) readRoots(ctx context.Context) error {
	return r.readRootsWith(ctx, r.checkRoot)
}

// rereadRoots reads the manifests that have changed since the last read, and then the history.
func (r *repoCollector) rereadRoots(ctx context.Context) error {
	return r.readRootsWith(ctx, func(ctx context.Context, d digest.Digest) error {
		m, err := r.repo.ReadManifest(ctx, d)
		if err != nil {
			return err
		}
		return r.noteRoot(d, m)
	})
}

// readRootsWith calls f for each new or changed manifest, and then reads the history.
func (r *repoCollector) readRootsWith(ctx context.Context, f func(context.Context, digest.Digest) error) error {
	list := r.objects.Driver.List(ctx, r.repo.ManifestPrefix(), nil)
	err := r.forEachChanged(ctx, r.manifests, list, func(l listed) error {
		if d := object.PathDigest(l.Key); d != "" {
			return f(ctx, d)
		}
		return nil
	}, nil)
	if err != nil {
		return err
	}
	return r.readHistory(ctx)
}

// history looks at the events that it has not seen yet.
func (r *repoCollector) readHistory(ctx context.Context) error {
	return r.forEachChanged(ctx, r.events, r.eventList(ctx), func(f listed) error { return r.noteEvent(ctx, f.Key) }, nil)
}

// checkRoot removes a manifest whose push has died, or notes it as a root.
func (r *repoCollector) checkRoot(ctx context.Context, d digest.Digest) error {
	m, err := r.repo.ReadManifest(ctx, d)
	if err != nil {
		return err
	}
	if m.State == object.Awaited {
		if r.graceOver(m.ModTime) && !r.opts.DryRun {
			return r.removeAwaited(ctx, awaitedSubject{subject: d, version: m.Version}) // who wrote it may have died
		}
		return nil
	}
	if !m.Readable() && m.Version != "" && r.isExpired(m) {
		// Its push has died, or begins again when it finds out.
		err := r.removeUnlessDryRun(ctx, r.repo.ManifestKey(d), m.Version)
		if err == nil {
			r.Count(func(c *Report) { c.Removed.Pending++ })
			return nil
		}
		if !object.IsConflict(err) {
			return object.RegistryError(err)
		}
		if m, err = r.repo.ReadManifest(ctx, d); err != nil {
			return err
		}
	}
	if m.State != object.Gone {
		r.Count(func(c *Report) { c.Manifests++ })
	}
	return r.noteRoot(d, m)
}

// noteRoot notes a manifest, and what it names.
func (r *repoCollector) noteRoot(d digest.Digest, m *object.Manifest) error {
	if m.State == object.Gone || m.State == object.Awaited {
		return nil
	}
	if m.Readable() {
		r.mu.Lock()
		r.inUse = true
		r.mu.Unlock()
	}
	if !m.Absent() {
		r.present.add(string(d))
	}
	if m.State == object.Refused && len(m.Content) == 0 {
		for _, d := range m.References {
			r.needed.add(string(d))
		}
		return nil
	}
	return r.noteReferences(d, m.MediaType, m.Content)
}

// isOver reports whether a manifest that nothing leads to has had its time.
func (r *repoCollector) isExpired(m *object.Manifest) bool {
	again := time.Since(m.ModTime) >= object.ResendTime
	if m.State == object.Refused {
		return again
	}
	return r.graceOver(m.ModTime) && (again || !m.Again)
}

// needs notes what a manifest names.
func (r *repoCollector) noteReferences(d digest.Digest, mediaType string, content []byte) error {
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
		if r.objects.History == 0 {
			return
		}
		for e, err := range r.repo.Events(ctx, nil) {
			if err != nil {
				yield(driver.Info{}, err)
				return
			}
			if !yield(driver.Info{Key: r.repo.EventKey(e.ID)}, nil) {
				return
			}
		}
	}
}

// pastRoot takes for a root what an event can bring back: a deleted manifest, or one that a tag
// pointed at before.
func (r *repoCollector) noteEvent(ctx context.Context, key string) error {
	e := object.ParseEvent(object.Base(key))
	if e == nil {
		return nil
	}
	if ok, err := r.repo.ReadEvent(ctx, e); err != nil || !ok || e.Before == nil {
		return err
	}
	r.heldByHistory.add(string(e.Before.Digest))
	if e.Kind != object.EventDelete {
		return nil // if it is anywhere, it is among the manifests
	}
	return r.noteReferences(e.Before.Digest, e.Before.MediaType, e.Content)
}

// drop removes an object on a version, unless nothing is to be removed.
//
// Errors: ErrChanged.
func (c *Collector) removeUnlessDryRun(ctx context.Context, key, version string) error {
	if c.opts.DryRun {
		return nil
	}
	return c.objects.Remove(ctx, key, version)
}
