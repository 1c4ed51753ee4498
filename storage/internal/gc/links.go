package gc

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage/internal/object"
)

// garbageLink is a link that no root was found to need.
type garbageLink struct {
	listed
	digest digest.Digest
	link   *object.Link
}

// linksAtOnce is how many links are condemned before it is looked again who needs them.
const linksAtOnce = 4096

// collectLinks removes the links that no root needs, and notes what the others name.
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

// sortLink decides whether a link is to be removed.
func (r *repoCollector) checkLink(ctx context.Context, f listed) error {
	d := object.PathDigest(f.Key)
	if d == "" {
		return nil
	}
	l, err := r.repo.ReadLink(ctx, d)
	if err != nil || l.Version == "" {
		return err
	}
	r.Count(func(c *Report) { c.Blobs++ })
	// One that is condemned is taken up whatever it is: whoever condemned it may have died.
	if l.State != object.Condemned && (r.needed.has(string(d)) || l.State != object.Hidden && !r.graceOver(l.ModTime)) {
		r.noteLink(f.Key, l)
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.garbage = append(r.garbage, garbageLink{f, d, l})
	return nil
}

// nameLink notes a link that stays.
func (c *Collector) noteLink(key string, l *object.Link) {
	c.remainingLinks.add(key)
	for _, seg := range l.Segments {
		c.namedData.add(seg.Name)
	}
}

// settleLinks condemns the links that were found, reads the roots again, and then removes each link or
// turns it back.
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

// countLinks counts the links that would be removed.
func (r *repoCollector) countLinks(links []garbageLink) {
	for _, l := range links {
		if r.needed.has(string(l.digest)) {
			r.noteLink(l.Key, l.link)
		} else {
			r.Count(func(c *Report) { c.Removed.Blobs++ })
		}
	}
}

// condemnLinks marks links as condemned.
func (r *repoCollector) condemnLinks(ctx context.Context, links []garbageLink) error {
	return r.parallel(len(links), func(i int) error {
		l := &links[i]
		if l.link.State != object.Live && l.link.State != object.Pending {
			return nil // nobody reads it, or somebody has condemned it
		}
		marked, err := r.repo.SetLink(ctx, l.digest, l.link, object.Condemned)
		if object.IsConflict(err) {
			l.link = nil
			return nil
		}
		if err == nil {
			r.noteOwnWrite(l, marked)
		}
		return object.RegistryError(err)
	})
}

// settleCondemned removes the condemned links that no root needs, and turns the others back.
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
		if object.IsConflict(err) {
			r.repo.IndexBlob(ctx, l.digest) // it goes first
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
	// Data go after the links that name them, also if power is lost.
	return errors.Join(err, r.syncKeys(ctx, removed))
}

// moved notes that a link is in another version by the doing of this collection.
func (r *repoCollector) noteOwnWrite(l *garbageLink, now *object.Link) {
	r.links.replace(l.listed, now.Version)
	l.Version, l.link = now.Version, now
}

// restoreLink turns a link that is needed back to what it was.
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
	if object.IsConflict(err) {
		return nil // it is seen when the links are looked at again
	}
	if err != nil {
		return object.RegistryError(err)
	}
	r.noteOwnWrite(l, back)
	r.noteLink(l.Key, back)
	return nil
}

// syncRemoved makes removals durable; "" is none.
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
