package interleave

import (
	"context"
	"errors"
	"fmt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
)

// client is an actor of a run as a user of the registry: what it does, it does by one of the
// replicas at a time, as clients do.
type client struct {
	*actor
	w     *world
	store *storage.Store
}

func (c *client) repo() string { return c.w.places[c.rnd.IntN(4*len(c.w.places)-1)/4] }

func (c *client) tag() string { return c.w.labels[c.rnd.IntN(len(c.w.labels))] }

func (c *client) image() int { return c.w.images[c.rnd.IntN(len(c.w.images))] }

// blob is one of those that the images in use name.
func (c *client) blob() int {
	blobs := c.w.mans[c.image()].blobs
	if len(blobs) == 0 || c.rnd.IntN(8) == 0 {
		return c.rnd.IntN(len(c.w.blobs))
	}
	return blobs[c.rnd.IntN(len(blobs))]
}

// moveTag points a tag at this image and that, as long as they are there.
func (c *client) moveTag(ctx context.Context) {
	repo, tag := c.repo(), c.tag()
	if c.w.mode.keep && c.rnd.IntN(2) == 0 {
		tag = keptTag
	}
	for range 2 + c.rnd.IntN(3) {
		if err := c.put(ctx, repo, c.image(), tag, 0); errors.Is(err, errOver) {
			return
		}
	}
}

// pullSome reads images that are there, whole, while the others go on.
func (c *client) pullSome(ctx context.Context) {
	for range 1 + c.rnd.IntN(4) {
		repo, m := c.repo(), c.image()
		before := c.w.required(repo)[m]
		err := c.pull(ctx, repo, m)
		if err == nil || errors.Is(err, errOver) || !before || !c.w.required(repo)[m] {
			continue
		}
		damaged := false // by somebody who was allowed to
		for _, b := range c.w.mans[m].blobs {
			damaged = damaged || c.w.deletedBlob(repo, b, 0)
		}
		if !damaged {
			c.w.s.fail(fmt.Errorf("%s manifest %d, which is there, could not be pulled: %w", repo, m, err))
		}
	}
}

func (c *client) pull(ctx context.Context, repo string, m int) error {
	c.w.s.tick(c.actor, "pulls %s manifest %d", repo, m)
	if _, err := c.store.GetManifest(ctx, repo, byDigest(c.w.mans[m].desc.Digest)); err != nil {
		return err
	}
	for _, b := range c.w.mans[m].blobs {
		if err := c.w.readBlob(ctx, c.store, repo, b); err != nil {
			return fmt.Errorf("blob %d: %w", b, err)
		}
	}
	return nil
}

// deleteSome deletes tags, manifests, blobs and repositories.
func (c *client) deleteSome(ctx context.Context) {
	opts := &registry.DeleteOptions{}
	if c.w.mode.keep {
		opts.Keep = func(tag string) bool { return tag == keptTag }
	}
	for range 1 + c.rnd.IntN(3) {
		repo := c.repo()
		var err error
		n := c.rnd.IntN(7)
		switch c.w.mode.mix {
		case "tags", "pointers":
			n = c.rnd.IntN(5)
		case "again":
			n = 2 + c.rnd.IntN(3)
		case "whole":
			n = 6
		}
		switch n {
		case 0, 1:
			o := c.w.begin(op{actor: c.actor, kind: opUntag, repo: repo, tag: c.tag()})
			err = c.store.DeleteManifest(ctx, repo, byTag(o.tag), opts)
			c.w.ended(o, err, registry.ErrManifestUnknown)
		case 2, 3, 4:
			o := c.w.begin(op{actor: c.actor, kind: opDelete, repo: repo, man: c.image()})
			err = c.store.DeleteManifest(ctx, repo, byDigest(c.w.mans[o.man].desc.Digest), opts)
			c.w.ended(o, err, registry.ErrManifestUnknown, registry.ErrDenied)
		case 5:
			o := c.w.begin(op{actor: c.actor, kind: opDeleteBlob, repo: repo, blob: c.blob()})
			err = c.store.DeleteBlob(ctx, repo, c.w.blobs[o.blob].desc.Digest, opts)
			c.w.ended(o, err, registry.ErrBlobUnknown, registry.ErrDenied)
		case 6:
			o := c.w.begin(op{actor: c.actor, kind: opDeleteRepo, repo: repo})
			err = c.store.DeleteRepository(ctx, repo, opts)
			c.w.ended(o, err, registry.ErrNameUnknown, registry.ErrDenied)
		}
		if errors.Is(err, errOver) {
			return
		}
	}
}
