package gc

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// garbageLink is a link that no root was found to need.
type garbageLink struct {
	listed
	digest digest.Digest
	link   *object.Link // nil if another writer has changed the link
}

// linksAtOnce is about the number of links that are condemned before the roots are read again.
const linksAtOnce = 4096

// collectLinks removes the links that no root needs, and notes the data that the others name.
func (r *repoCollector) collectLinks(ctx context.Context) error {
	check := func(f listed) error { return r.checkLink(ctx, f) }
	settle := func() error {
		if len(r.garbage) < linksAtOnce {
			return nil
		}
		return r.settleLinks(ctx)
	}
	list := r.objects.Driver.List(ctx, r.repo.LinkPrefix(), nil)
	err := r.forEachChanged(ctx, r.links, list, check, settle)
	if err != nil {
		return err
	}
	return r.settleLinks(ctx)
}

// checkLink notes a link that stays, or adds it to the garbage.
func (r *repoCollector) checkLink(ctx context.Context, f listed) error {
	d := objectkey.PathDigest(f.Key)
	if d == "" {
		return nil
	}
	l, err := r.repo.ReadLink(ctx, d)
	if err != nil || l.Version == "" {
		return err
	}
	r.Count(func(c *Report) { c.Blobs++ })
	// A condemned link is always decided again: the process that condemned it may have died.
	young := func() bool { return l.State != object.Hidden && !r.linkGraceOver(r.repo.Name, d, l.ModTime) }
	if l.State != object.Condemned && (r.needed.has(string(d)) || young()) {
		r.noteLink(f.Key, l)
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.garbage = append(r.garbage, garbageLink{f, d, l})
	return nil
}

// noteLink notes that a link stays, and the data that it names.
func (c *Collector) noteLink(key string, l *object.Link) {
	c.remainingLinks.add(key)
	for _, seg := range l.Segments {
		c.namedData.add(seg.Name)
	}
}

// settleLinks condemns the garbage links, then reads the roots again, and then removes each link or
// restores it.
func (r *repoCollector) settleLinks(ctx context.Context) error {
	links := r.garbage
	r.garbage = nil
	if len(links) == 0 {
		return nil
	}
	if r.opts.DryRun {
		r.countLinks(links)
		return nil
	}
	if err := r.condemnLinks(ctx, links); err != nil {
		return err
	}
	if err := r.rereadRoots(ctx); err != nil {
		return err
	}
	return r.settleCondemned(ctx, links)
}

// countLinks counts the links that a dry run would remove.
func (r *repoCollector) countLinks(links []garbageLink) {
	for _, l := range links {
		if r.needed.has(string(l.digest)) {
			r.noteLink(l.Key, l.link)
		} else {
			r.Count(func(c *Report) { c.Removed.Blobs++ })
		}
	}
}

// condemnLinks marks links as Condemned, each on the version that was read. Links in other states
// than Live and Pending need no mark: a Condemned link has one, and a Hidden link must be written
// before anything relies on it.
func (r *repoCollector) condemnLinks(ctx context.Context, links []garbageLink) error {
	return r.parallel(len(links), func(i int) error {
		l := &links[i]
		if l.link.State != object.Live && l.link.State != object.Pending {
			return nil
		}
		marked, err := r.repo.SetLink(ctx, l.digest, l.link, object.Condemned)
		if driver.IsConflict(err) {
			l.link = nil
			return nil
		}
		if err == nil {
			r.noteOwnWrite(l, marked)
		}
		return object.RegistryError(err)
	})
}

// settleCondemned removes the links that no root needs, on the version of the mark, and restores
// the others.
func (r *repoCollector) settleCondemned(ctx context.Context, links []garbageLink) error {
	removed := make([]string, len(links))
	err := r.parallel(len(links), func(i int) error {
		l := &links[i]
		if l.link == nil {
			return nil
		}
		if r.needed.has(string(l.digest)) {
			return r.restoreLink(ctx, l)
		}
		err := r.repo.RemoveLink(ctx, l.digest, l.link)
		if driver.IsConflict(err) {
			r.repo.IndexBlob(ctx, l.digest) // RemoveLink has removed that key already
			return nil
		}
		if err != nil {
			return object.RegistryError(err)
		}
		r.links.replace(l.listed, "")
		removed[i] = l.Key
		r.Count(func(c *Report) { c.Removed.Blobs++ })
		return nil
	})
	// The removals of links must be durable before data are removed, so that a loss of power cannot
	// bring back a link without its data.
	return errors.Join(err, r.syncKeys(ctx, removed))
}

// noteOwnWrite notes the version that this collection has given to a link, so that the next look
// does not read the link again.
func (r *repoCollector) noteOwnWrite(l *garbageLink, now *object.Link) {
	r.links.replace(l.listed, now.Version)
	l.Version, l.link = now.Version, now
}

// restoreLink gives a link that is needed the state that it had before it was condemned.
func (r *repoCollector) restoreLink(ctx context.Context, l *garbageLink) error {
	if l.link.State != object.Condemned {
		r.noteLink(l.Key, l.link)
		return nil
	}
	to := object.Live
	if l.link.Unproven {
		to = object.Pending
	}
	back, err := r.repo.SetLink(ctx, l.digest, l.link, to)
	if driver.IsConflict(err) {
		return nil // the next look at the links reads it
	}
	if err != nil {
		return object.RegistryError(err)
	}
	r.noteOwnWrite(l, back)
	r.noteLink(l.Key, back)
	return nil
}

// syncKeys makes writes and removals of keys durable. It ignores keys that are "".
func (c *Collector) syncKeys(ctx context.Context, keys []string) error {
	var some []string
	for _, k := range keys {
		if k != "" {
			some = append(some, k)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return object.RegistryError(c.objects.Driver.Sync(ctx, some...))
}
