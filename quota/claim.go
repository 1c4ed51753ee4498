package quota

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

const (
	// maxHolders is the maximum number of repositories in which a push looks for its blob.
	maxHolders = 4
	// maxPlans is how often a push looks again for what the prefix has, because a count has ended.
	maxPlans = 3
	// firstCount is how long a push waits for the first count of its prefix.
	firstCount = 10 * time.Second
)

// push is a write that a quota admits.
type push struct {
	a     *account
	id    string
	claim claim
	held  bool
}

// ready returns a record of a prefix that has been counted. If it never was, ready counts it.
//
// Errors: registry.ErrUnavailable; the error of ctx.
func (a *account) ready(ctx context.Context) (*record, error) {
	if r, _ := a.known(); r != nil && r.Counted != nil {
		return r, nil
	}
	r, err := a.refresh(ctx)
	if err != nil || r.Counted != nil {
		return r, err
	}
	first, cancel := context.WithTimeout(ctx, firstCount)
	defer cancel()
	err = a.count(first)
	switch {
	case err != nil && ctx.Err() == nil && errors.Is(first.Err(), context.DeadlineExceeded):
		return nil, uncounted(a.prefix)
	case err != nil:
		return nil, unavailable(a.prefix, err)
	}
	if r, err = a.refresh(ctx); err == nil && r.Counted == nil {
		err = uncounted(a.prefix)
	}
	return r, err
}

// admit makes a push hold what plan says that it needs. plan looks for what the prefix has already.
//
// Errors: ErrExceeded; registry.ErrUnavailable, registry.ErrTooManyRequests; those of plan.
func (a *account) admit(ctx context.Context, id string, plan func(ctx context.Context, c *claim) error) (*push, error) {
	for n := 1; ; n++ {
		r, err := a.ready(ctx)
		if err != nil {
			return nil, err
		}
		// The name of the count comes before the look: what was there after a count is in its figure,
		// or was added to it, until another one ends.
		c := claim{gen: r.gen()}
		if err := plan(ctx, &c); err != nil {
			return nil, err
		}
		c.charged, c.free = c.charged.only(a.counts), c.free.only(a.counts)
		p := &push{a: a, id: id, claim: c}
		if c.empty() {
			return p, nil
		}
		if a.covers(id, c) {
			p.held = true
			return p, nil
		}
		if n > maxPlans {
			p.claim.charged, p.claim.free = c.charged.plus(c.free), Amounts{}
		}
		r, err = a.hold(ctx, id, p.claim)
		switch {
		case err == nil:
			p.held, p.claim.gen = true, r.gen()
			return p, nil
		case n <= 2*maxPlans && (errors.Is(err, errUncounted) || errors.Is(err, errMoved)):
			continue
		case errors.Is(err, errUncounted):
			return nil, uncounted(a.prefix)
		}
		return nil, err
	}
}

// end ends a push. stored reports whether it may have stored anything. p may be nil.
func (p *push) end(stored bool) {
	if p == nil {
		return
	}
	if p.held {
		p.a.end(p.id, p.claim, stored)
	}
	if stored {
		for _, name := range p.claim.has {
			p.a.sees(p.claim.gen, name)
		}
	}
}

// Names of content in Quotas.seen. No name of a repository or tag has a space.
func blobName(d digest.Digest) string                  { return "b " + string(d) }
func manifestName(repo string, d digest.Digest) string { return "m " + repo + " " + string(d) }
func tagName(repo, tag string) string                  { return "t " + repo + " " + tag }
func repositoryName(repo string) string                { return "r " + repo }

func (a *account) seenKey(gen, name string) string { return a.prefix + " " + gen + " " + name }

// sees notes that the prefix has something since the count gen or later.
func (a *account) sees(gen, name string) {
	key := a.seenKey(gen, name)
	a.q.seen.Add(key, struct{}{}, len(key)+100)
}

// saw reports whether the figure of the count gen, with what was added since, has something.
func (a *account) saw(gen, name string) bool {
	_, ok := a.q.seen.Get(a.seenKey(gen, name))
	return ok
}

// claimBlob adds a blob of a repository to a claim. there is a repository that has just been found to
// have it, or "".
func (a *account) claimBlob(ctx context.Context, c *claim, repo string, d digest.Digest, size int64,
	there string) error {
	if slices.Contains(c.has, blobName(d)) {
		return nil
	}
	has, err := a.hasBlob(ctx, c.gen, repo, d, there)
	if err != nil {
		return err
	}
	part := &c.charged
	if has {
		part = &c.free
	}
	part.Bytes = sum(part.Bytes, size) // a manifest that is restored may state any size
	c.has = append(c.has, blobName(d))
	return a.claimRepository(ctx, c, repo)
}

// hasBlob reports whether a repository of the prefix has a blob.
func (a *account) hasBlob(ctx context.Context, gen, repo string, d digest.Digest, there string) (bool, error) {
	if a.counts.Bytes == 0 || a.saw(gen, blobName(d)) || there != "" && a.q.of(there) == a {
		return true, nil
	}
	if repo == a.prefix {
		if has, err := a.statBlob(ctx, repo, d); has || err != nil {
			return has, err
		}
	}
	n := 0
	for holder, err := range a.q.store.Inventory().Holders(ctx, d, a.prefix, maxHolders) {
		if err != nil {
			return false, unavailable(a.prefix, err)
		}
		if a.q.of(holder) != a {
			continue
		}
		if has, err := a.statBlob(ctx, holder, d); has || err != nil {
			return has, err
		}
		if n++; n == maxHolders {
			break
		}
	}
	return false, nil
}

func (a *account) statBlob(ctx context.Context, repo string, d digest.Digest) (bool, error) {
	_, err := a.q.store.StatBlob(ctx, repo, d, nil)
	return found(a, err, registry.ErrBlobUnknown)
}

func (a *account) statManifest(ctx context.Context, repo string, ref reference.Ref) (bool, error) {
	_, err := a.q.store.StatManifest(ctx, repo, ref, nil)
	return found(a, err, registry.ErrManifestUnknown)
}

// found reports whether content was found by a request that ended with err.
func found(a *account, err error, missing *registry.Error) (bool, error) {
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, missing):
		return false, nil
	}
	return false, unavailable(a.prefix, err)
}

// claimRepository adds a repository to a claim.
func (a *account) claimRepository(ctx context.Context, c *claim, repo string) error {
	name := repositoryName(repo)
	if a.counts.Repositories == 0 {
		return nil
	}
	has := a.saw(c.gen, name)
	if !has {
		var err error
		if has, err = a.hasContent(ctx, repo); err != nil {
			return err
		}
	}
	if has {
		c.free.Repositories = 1
	} else {
		c.charged.Repositories = 1
	}
	c.repository = repo
	c.has = append(c.has, name)
	return nil
}

// maxLooks is the maximum number of manifests, and of blobs, that hasContent looks at.
const maxLooks = 4

// hasContent reports whether a repository has a manifest or a blob. It may report false for one of
// which some content is being deleted: that repository then counts twice.
func (a *account) hasContent(ctx context.Context, repo string) (bool, error) {
	inv := a.q.store.Inventory()
	n := 0
	for m, err := range inv.Manifests(ctx, repo) {
		if err != nil {
			return false, unavailable(a.prefix, err)
		}
		if has, err := a.statManifest(ctx, repo, reference.Ref{Digest: m.Digest}); has || err != nil {
			return has, err
		}
		if n++; n == maxLooks {
			break
		}
	}
	n = 0
	for b, err := range inv.Blobs(ctx, repo) {
		if err != nil {
			return false, unavailable(a.prefix, err)
		}
		if has, err := a.statBlob(ctx, repo, b.Digest); has || err != nil {
			return has, err
		}
		if n++; n == maxLooks {
			break
		}
	}
	return false, nil
}

// claimManifest adds a manifest of a repository, and tags that point at it, to a claim.
func (a *account) claimManifest(ctx context.Context, c *claim, repo string, d digest.Digest, size int64,
	tags []string) error {
	has := a.counts.Bytes == 0 && a.counts.Manifests == 0 || a.saw(c.gen, manifestName(repo, d))
	if !has {
		var err error
		if has, err = a.statManifest(ctx, repo, reference.Ref{Digest: d}); err != nil {
			return err
		}
	}
	part := &c.charged
	if has {
		part = &c.free
	}
	part.Bytes = sum(part.Bytes, size)
	part.Manifests++
	c.has = append(c.has, manifestName(repo, d))
	for _, tag := range tags {
		if err := a.claimTag(ctx, c, repo, tag); err != nil {
			return err
		}
	}
	return a.claimRepository(ctx, c, repo)
}

// claimTag adds a tag to a claim.
func (a *account) claimTag(ctx context.Context, c *claim, repo, tag string) error {
	if a.counts.Tags == 0 {
		return nil
	}
	has := a.saw(c.gen, tagName(repo, tag))
	if !has {
		var err error
		if has, err = a.statManifest(ctx, repo, reference.Ref{Tag: tag}); err != nil {
			return err
		}
	}
	if has {
		c.free.Tags++
	} else {
		c.charged.Tags++
	}
	c.has = append(c.has, tagName(repo, tag))
	return nil
}
