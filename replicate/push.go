package replicate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
)

// putManifests stores the manifests at the destination, each after those that it names, and the tag
// last.
func (c *copier) putManifests(ctx context.Context) error {
	g := c.graph
	waiting := map[*node]int{}     // for how many children
	parents := map[*node][]*node{} // of each child
	for _, n := range g.order {
		for _, child := range n.children {
			waiting[n]++
			parents[child] = append(parents[child], n)
		}
	}
	// A referrer may also be an index of the image.
	last := len(parents[g.root]) == 0
	var ready []*node
	for _, n := range g.order {
		if waiting[n] == 0 {
			ready = append(ready, n)
		}
	}
	for len(ready) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, n := range ready {
			// To a store, an index of which not all is there is itself missing in part.
			n.sparse = n.sparse || slices.ContainsFunc(n.children, func(child *node) bool { return child.sparse })
		}
		err := parallel.Each(c.opts.Parallel, len(ready), func(i int) error {
			switch n := ready[i]; {
			case last && n == g.root:
				return nil
			case n.err != nil: // a referrer that does not exist any more
				c.progress.manifest(n.desc)
				return nil
			default:
				return c.putNode(ctx, n)
			}
		})
		if err != nil {
			return err
		}
		var next []*node
		for _, n := range ready {
			for _, p := range parents[n] {
				if waiting[p]--; waiting[p] == 0 {
					next = append(next, p)
				}
			}
		}
		ready = next
	}
	if err := c.putReferrersTags(ctx); err != nil {
		return err
	}
	return c.putRoot(ctx, last)
}

// putNode stores a manifest under its digest and cosign's tags.
func (c *copier) putNode(ctx context.Context, n *node) error {
	if err := c.put(ctx, n, n.tags); err != nil {
		return n.failure(err)
	}
	c.progress.manifest(n.desc)
	return nil
}

// putRoot stores the root, or only its tag.
func (c *copier) putRoot(ctx context.Context, last bool) error {
	root := c.graph.root
	tags := root.tags
	if c.to.tag != "" {
		tags = append([]string{c.to.tag}, tags...)
	}
	if last || len(tags) > 0 {
		if err := c.put(ctx, root, tags); err != nil {
			return root.failure(err)
		}
	}
	if last {
		c.progress.manifest(root.desc)
	}
	return nil
}

// put stores a manifest and sets tags, unless the destination has them.
func (c *copier) put(ctx context.Context, n *node, tags []string) error {
	has, err := c.has(ctx, n, tags)
	if has || err != nil {
		return err
	}
	err = c.push(ctx, n, tags)
	if errors.Is(err, registry.ErrManifestBlobUnknown) && !n.sparse && len(n.children) > 0 {
		// A store may have a child that was stored when not all of it was there (see
		// registry.PutOptions.Sparse). It counts as missing until it is pushed again.
		for _, child := range n.children {
			if err := c.pushAgain(ctx, child); err != nil {
				return err
			}
		}
		err = c.push(ctx, n, tags)
	}
	if n.sparse && errors.Is(err, registry.ErrManifestBlobUnknown) {
		return fmt.Errorf("the destination refuses an index of which not all platforms are copied; "+
			"copy all of them, or one image by its digest: %w", err)
	}
	return err
}

// pushAgain pushes a manifest, and what it names before it. The source's graph has no cycles, because
// each digest depends on those of the children.
func (c *copier) pushAgain(ctx context.Context, n *node) error {
	if n.again.Swap(true) {
		return nil
	}
	for _, child := range n.children {
		if err := c.pushAgain(ctx, child); err != nil {
			return err
		}
	}
	if err := c.push(ctx, n, nil); err != nil {
		return n.failure(err)
	}
	return nil
}

// push sends a manifest to the destination.
func (c *copier) push(ctx context.Context, n *node, tags []string) error {
	content := n.content
	if content == nil {
		m, err := c.graph.get(ctx, reference.Ref{Digest: n.desc.Digest})
		if err != nil {
			return err
		}
		content = m.Content
	}
	opts := &registry.PutOptions{Digest: n.desc.Digest, Sparse: n.sparse, AcceptWrongSizes: true}
	for _, tag := range tags {
		opts.Tags = append(opts.Tags, registry.TagPut{Name: tag})
	}
	var res registry.PutResult
	err := retry(ctx, c.opts.Retries, func() (err error) {
		res, err = c.dst.PutManifest(ctx, c.to.repo, n.desc.MediaType, content, opts)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing to the destination: %w", err)
	}
	if n.subject != nil && res.Subject == nil && c.opts.Referrers {
		return c.noReferrersAPI(n, content)
	}
	return nil
}

// has reports whether the destination has a manifest and its tags. A manifest with a subject is always
// sent, because the response says whether the destination has the referrers API. An index is always
// sent, because the destination may have it as one of which not all is there.
func (c *copier) has(ctx context.Context, n *node, tags []string) (bool, error) {
	if n.subject != nil || len(n.children) > 0 {
		return false, nil
	}
	refs := []reference.Ref{{Digest: n.desc.Digest}}
	if len(tags) > 0 {
		refs = nil
	}
	for _, tag := range tags {
		refs = append(refs, reference.Ref{Tag: tag})
	}
	renew := &registry.StatOptions{Renew: func(context.Context) bool { return true }}
	for _, ref := range refs {
		var desc ocispec.Descriptor
		err := retry(ctx, c.opts.Retries, func() (err error) {
			desc, err = c.dst.StatManifest(ctx, c.to.repo, ref, renew)
			return err
		})
		if isAbsent(err) {
			return false, nil
		}
		if err != nil || desc.Digest != n.desc.Digest {
			return false, err
		}
	}
	return true, nil
}

// noReferrersAPI notes that a referrer must be listed under the tag of its subject.
func (c *copier) noReferrersAPI(n *node, content []byte) error {
	m, err := manifest.ParseStored(n.desc.MediaType, content)
	if err != nil {
		return err
	}
	c.graph.mu.Lock()
	defer c.graph.mu.Unlock()
	c.graph.tagged = append(c.graph.tagged, referrersTag{
		subject: n.subject.Digest, members: []ocispec.Descriptor{m.Descriptor(n.desc.Digest, n.desc.Size)},
	})
	return nil
}

// putReferrersTags sets the tags of the referrers tag schema: those that the source has, and those
// that the destination needs because it has no referrers API.
func (c *copier) putReferrersTags(ctx context.Context) error {
	bySubject := map[digest.Digest]int{}
	var all []referrersTag
	for _, t := range c.graph.tagged {
		copied := t
		copied.members = nil
		for _, desc := range t.members {
			n := c.graph.nodes[desc.Digest]
			if n != nil && n.err == nil && n.subject != nil && n.subject.Digest == t.subject {
				copied.members = append(copied.members, desc)
			}
		}
		if len(copied.members) < len(t.members) {
			copied.source = nil // the list names what does not exist, or is no referrer
		}
		i, ok := bySubject[t.subject]
		if !ok {
			bySubject[t.subject] = len(all)
			all = append(all, copied)
			continue
		}
		all[i].add(copied)
	}
	for _, t := range all {
		if err := c.putReferrersTag(ctx, t); err != nil {
			return fmt.Errorf("the list of the referrers of %s: %w", t.subject, err)
		}
	}
	return nil
}

// add adds the members of another list for the same subject.
func (t *referrersTag) add(other referrersTag) {
	have := map[digest.Digest]bool{}
	for _, desc := range t.members {
		have[desc.Digest] = true
	}
	for _, desc := range other.members {
		if !have[desc.Digest] {
			t.members = append(t.members, desc)
			t.source = nil
		}
	}
}
