package interleave

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// pushSome pushes one or two images, at times the same one twice.
func (c *client) pushSome(ctx context.Context) {
	repo, m := c.repo(), c.image()
	for range 1 + c.rnd.IntN(2) {
		tag := ""
		if c.rnd.IntN(4) > 0 {
			tag = c.tag()
		}
		if c.w.mode.keep && c.rnd.IntN(2) == 0 {
			tag = keptTag
		}
		if c.w.mode.mix == "referrers" && c.w.mans[m].subject >= 0 {
			tag = ""
		}
		c.push(ctx, repo, m, tag)
		if c.rnd.IntN(2) == 0 {
			repo, m = c.repo(), c.image()
		}
	}
}

// push pushes an image with all that it names, like a client that tries three times.
func (c *client) push(ctx context.Context, repo string, m int, tag string) {
	var err error
	for range 3 {
		if err = c.tryPush(ctx, repo, m, tag); err == nil || errors.Is(err, errOver) {
			return
		}
	}
	if !errors.Is(err, registry.ErrTagExists) {
		c.w.refused = append(c.w.refused, op{repo: repo, man: m, tag: tag})
	}
}

// tryPush pushes a manifest after the blobs and manifests that it names.
func (c *client) tryPush(ctx context.Context, repo string, m int, tag string) error {
	if c.w.mode.grace == "day" && c.rnd.IntN(2) == 0 {
		return c.pushBlindly(ctx, repo, m, tag)
	}
	ensured := c.w.s.tick(c.actor, "pushes %s manifest %d", repo, m)
	for _, b := range c.w.mans[m].blobs {
		if err := c.ensureBlob(ctx, repo, b); err != nil {
			return err
		}
	}
	for _, child := range c.w.mans[m].children {
		if c.rnd.IntN(2) == 0 {
			_, err := c.store.StatManifest(ctx, repo, byDigest(c.w.mans[child].desc.Digest), c.statOptions())
			if err == nil {
				continue
			}
		}
		if err := c.tryPush(ctx, repo, child, ""); err != nil {
			return err
		}
	}
	return c.put(ctx, repo, m, tag, ensured)
}

// pushBlindly pushes a manifest first. If the push is refused, it uploads what the error names, and
// nothing else, and pushes the manifest again.
func (c *client) pushBlindly(ctx context.Context, repo string, m int, tag string) error {
	err := c.put(ctx, repo, m, tag, 0)
	var refused *registry.Error
	if !errors.Is(err, registry.ErrManifestBlobUnknown) || !errors.As(err, &refused) {
		return err
	}
	ensured := c.w.s.tick(c.actor, "uploads what was missing")
	for _, d := range refused.Detail().([]digest.Digest) {
		if child := c.w.numberOf(d); child >= 0 {
			err = c.tryPush(ctx, repo, child, "")
		} else {
			err = c.upload(ctx, repo, slices.IndexFunc(c.w.blobs, func(b fixtureBlob) bool { return b.desc.Digest == d }))
		}
		if err != nil {
			c.w.unexpected(c.actor, "upload what was missing", err, registry.ErrUploadUnknown, registry.ErrRangeInvalid,
				registry.ErrManifestBlobUnknown, registry.ErrTagExists)
			return err
		}
	}
	return c.put(ctx, repo, m, tag, ensured)
}

// put pushes a manifest and nothing else. At times the client first changes to another replica.
func (c *client) put(ctx context.Context, repo string, m int, tag string, ensured int) error {
	if c.rnd.IntN(4) == 0 {
		c.store = c.w.stores[c.rnd.IntN(len(c.w.stores))]
	}
	opts := &registry.PutOptions{}
	if tag != "" {
		opts.Tags = []registry.TagPut{{Name: tag, IfAbsent: tag == keptTag || c.rnd.IntN(8) == 0, Keep: tag == keptTag}}
	}
	man := c.w.mans[m]
	o := c.w.begin(op{actor: c.actor, kind: opPut, repo: repo, man: m, tag: tag, ensured: ensured})
	_, err := c.store.PutManifest(ctx, repo, man.desc.MediaType, man.content, opts)
	c.w.ended(o, err, registry.ErrTagExists, registry.ErrManifestBlobUnknown)
	return err
}

// statOptions returns the options to look for something that a push relies on. Most callers have
// push access, so that the storage protects what they find.
func (c *client) statOptions() *registry.StatOptions {
	return &registry.StatOptions{Renew: func(context.Context) bool { return c.rnd.IntN(4) > 0 }}
}

// ensureBlob ensures that a repository has a blob: it looks for it, mounts it or uploads it.
func (c *client) ensureBlob(ctx context.Context, repo string, b int) error {
	d := c.w.blobs[b].desc.Digest
	if c.rnd.IntN(2) == 0 {
		if _, err := c.store.StatBlob(ctx, repo, d, c.statOptions()); !errors.Is(err, registry.ErrBlobUnknown) {
			c.w.unexpected(c.actor, "look for a blob", err)
			return err
		}
	}
	if c.rnd.IntN(3) == 0 {
		opts := &registry.MountOptions{}
		if c.rnd.IntN(2) == 0 {
			opts.From = c.w.repos[c.rnd.IntN(len(c.w.repos))]
		}
		if _, err := c.store.MountBlob(ctx, repo, d, opts); !errors.Is(err, registry.ErrBlobUnknown) {
			c.w.unexpected(c.actor, "mount a blob", err)
			return err
		}
	}
	for n := 0; ; n++ {
		err := c.upload(ctx, repo, b)
		// An upload may fail and must then be repeated. Beside collectors without a grace period,
		// this may happen several times.
		if err == nil || n == 5 || !errors.Is(err, registry.ErrUploadUnknown) && !errors.Is(err, registry.ErrRangeInvalid) {
			c.w.unexpected(c.actor, fmt.Sprintf("upload blob %d", b), err, registry.ErrUploadUnknown, registry.ErrRangeInvalid)
			return err
		}
	}
}

// upload uploads a blob in one of the ways that clients use.
func (c *client) upload(ctx context.Context, repo string, b int) error {
	content, d := c.w.blobs[b].content, c.w.blobs[b].desc.Digest
	u, err := c.store.CreateUpload(ctx, repo, nil)
	if err != nil {
		return err
	}
	if c.rnd.IntN(3) == 0 { // the commit has the content
		_, err = u.Commit(ctx, d, &registry.Chunk{Length: int64(len(content)), Body: bytes.NewReader(content)})
		return err
	}
	chunks := 1 + c.rnd.IntN(2)
	for at := 0; at < len(content); {
		n := min(len(content)-at, len(content)/chunks+1)
		if at > 0 && c.rnd.IntN(2) == 0 {
			store := c.w.stores[c.rnd.IntN(len(c.w.stores))]
			if u, err = store.ResumeUpload(ctx, repo, u.ID(),
				&registry.ResumeOptions{Continue: c.rnd.IntN(2) == 0}); err != nil {
				return err
			}
		}
		if _, err := u.Append(ctx, int64(at), int64(n), bytes.NewReader(content[at:at+n])); err != nil {
			return err
		}
		at += n
	}
	_, err = u.Commit(ctx, d, nil)
	return err
}

// uploadSome uploads blobs that no manifest may need, and abandons or cancels some uploads.
func (c *client) uploadSome(ctx context.Context) {
	for range 1 + c.rnd.IntN(3) {
		repo, b := c.repo(), c.blob()
		if c.rnd.IntN(3) > 0 {
			c.w.unexpected(c.actor, "upload", c.upload(ctx, repo, b), registry.ErrUploadUnknown, registry.ErrRangeInvalid)
			continue
		}
		u, err := c.store.CreateUpload(ctx, repo, nil)
		if err == nil {
			_, err = u.Append(ctx, 0, -1, bytes.NewReader(c.w.blobs[b].content))
		}
		if err == nil && c.rnd.IntN(2) == 0 {
			err = u.Cancel(ctx)
		}
		c.w.unexpected(c.actor, "upload and abandon", err, registry.ErrUploadUnknown, registry.ErrRangeInvalid)
	}
}

// mountSome mounts blobs from either repository into the other.
func (c *client) mountSome(ctx context.Context) {
	for range 2 + c.rnd.IntN(4) {
		from := c.rnd.IntN(2)
		_, err := c.store.MountBlob(ctx, c.w.repos[1-from], c.w.blobs[c.blob()].desc.Digest,
			&registry.MountOptions{From: c.w.repos[from]})
		c.w.unexpected(c.actor, "mount", err, registry.ErrBlobUnknown)
		if err == nil {
			c.w.s.fail(c.w.check())
		}
	}
}
