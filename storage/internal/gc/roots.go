package gc

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// repoCollector collects one repository.
type repoCollector struct {
	*Collector
	repo object.Repo

	// The roots, and what they name. A root is a manifest that is visible, pending or being
	// deleted, or that the history can restore.
	needed        *bloom        // digests that roots name
	present       *bloom        // digests of manifests that are in the repository or pending
	heldByHistory *bloom        // digests of manifests that the history can restore
	manifests     *listSnapshot // the list of manifests that has been read
	events        *listSnapshot // the list of events that has been read
	inUse         bool          // there is a visible manifest
	tagged        *bloom        // digests of manifests with back references, filled by collectPointers

	mu       sync.Mutex
	garbage  []garbageLink     // links to be settled
	untagged []garbageManifest // manifests to be settled
}

// collectRepository removes the unreferenced links and pointers of a repository and, with
// Options.Untagged, its untagged manifests. It ensures that a repository with a manifest is in the
// catalog.
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

// readRoots reads all manifests, and then the history. It removes pending and refused manifests
// that have expired.
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

// readRootsWith calls f for each new or changed manifest, and then reads the history. The history
// comes second: a delete writes its event before it removes the manifest, so what is missing among
// the manifests is in the history.
func (r *repoCollector) readRootsWith(ctx context.Context, f func(context.Context, digest.Digest) error) error {
	list := r.objects.Driver.List(ctx, r.repo.ManifestPrefix(), nil)
	err := r.forEachChanged(ctx, r.manifests, list, func(l listed) error {
		if d := objectkey.PathDigest(l.Key); d != "" {
			return f(ctx, d)
		}
		return nil
	}, nil)
	if err != nil {
		return err
	}
	return r.readHistory(ctx)
}

// readHistory notes the roots of events that have not been read yet.
func (r *repoCollector) readHistory(ctx context.Context) error {
	return r.forEachChanged(ctx, r.events, r.eventList(ctx), func(f listed) error { return r.noteEvent(ctx, f.Key) }, nil)
}

// checkRoot removes a manifest that is not in the repository and has expired: its push has died, or
// starts again when it finds that the manifest is gone. It notes any other manifest as a root.
func (r *repoCollector) checkRoot(ctx context.Context, d digest.Digest) error {
	m, err := r.repo.ReadManifest(ctx, d)
	if err != nil {
		return err
	}
	if m.State == object.Awaited {
		// The collection that has written the record may have died.
		if r.graceOver(m.ModTime) && !r.opts.DryRun {
			return r.repo.RemoveAwaited(ctx, d, m.Version)
		}
		return nil
	}
	if !m.Readable() && m.Version != "" && r.isExpired(m) {
		err := r.removeUnlessDryRun(ctx, r.repo.ManifestKey(d), m.Version)
		if err == nil {
			r.Count(func(c *Report) { c.Removed.Pending++ })
			return nil
		}
		if !driver.IsConflict(err) {
			return object.RegistryError(err)
		}
		if m, err = r.repo.ReadManifest(ctx, d); err != nil {
			return err
		}
	}
	if !m.IsAwaitable() {
		r.Count(func(c *Report) { c.Manifests++ })
	}
	return r.noteRoot(d, m)
}

// noteRoot notes a manifest, and what it names. A refused manifest without content names what its
// References list.
func (r *repoCollector) noteRoot(d digest.Digest, m *object.Manifest) error {
	if m.IsAwaitable() {
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

// isExpired reports whether the time is over for which collections leave m alone if nothing leads
// to it: object.ResendTime for a refused manifest, and the grace period for others. A manifest that
// was refused before is left alone for object.ResendTime even if the grace period is shorter.
func (r *repoCollector) isExpired(m *object.Manifest) bool {
	again := time.Since(m.ModTime) >= object.ResendTime
	if m.State == object.Refused {
		return again
	}
	return r.graceOver(m.ModTime) && (again || !m.Again)
}

// noteReferences notes what a manifest names. It returns an error if the manifest cannot be parsed,
// although it could be parsed when it was pushed.
func (r *repoCollector) noteReferences(d digest.Digest, mediaType string, content []byte) error {
	parsed, err := manifest.ParseStored(mediaType, content)
	if err != nil {
		return fmt.Errorf("storage: the manifest %s: %w", d, err)
	}
	for _, ref := range parsed.References {
		r.needed.add(string(ref.Digest))
	}
	return nil
}

// eventList lists the events of the history, without versions: what an event says about roots never
// changes.
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

// noteEvent notes what an event can restore as a root: a deleted manifest, or the manifest that a
// tag pointed at before.
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
		return nil // the event does not hold the manifest; if it still exists, it is among the manifests
	}
	return r.noteReferences(e.Before.Digest, e.Before.MediaType, e.Content)
}

// removeUnlessDryRun removes an object on a version, unless this is a dry run. "" means any
// version.
//
// Errors: driver.ErrChanged, and other errors of the driver.
func (c *Collector) removeUnlessDryRun(ctx context.Context, key, version string) error {
	if c.opts.DryRun {
		return nil
	}
	return c.objects.Remove(ctx, key, version)
}
