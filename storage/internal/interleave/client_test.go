package interleave

import (
	"context"
	"errors"
	"fmt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
)

// client is an actor as a user of the registry. It calls one of the replicas at a time.
type client struct {
	*actor
	w     *world
	store *storage.Store
}

// repo returns one of the repositories in use. The first is a little more likely than the second.
func (c *client) repo() string { return c.w.places[c.rnd.IntN(4*len(c.w.places)-1)/4] }

func (c *client) tag() string { return c.w.labels[c.rnd.IntN(len(c.w.labels))] }

func (c *client) image() int { return c.w.images[c.rnd.IntN(len(c.w.images))] }

// blob returns a blob that one of the images in use names, or at times any blob.
func (c *client) blob() int {
	blobs := c.w.mans[c.image()].blobs
	if len(blobs) == 0 || c.rnd.IntN(8) == 0 {
		return c.rnd.IntN(len(c.w.blobs))
	}
	return blobs[c.rnd.IntN(len(blobs))]
}

// moveTag points a tag at several images, one after the other.
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

// pullSome pulls images while other actors work. A pull of an image that must exist before and
// after it must succeed.
func (c *client) pullSome(ctx context.Context) {
	for range 1 + c.rnd.IntN(4) {
		repo, m := c.repo(), c.image()
		before := c.w.required(repo)[m]
		err := c.pull(ctx, repo, m)
		if err == nil || errors.Is(err, errOver) || !before || !c.w.required(repo)[m] {
			continue
		}
		damaged := false // a client has deleted one of the blobs
		for _, b := range c.w.mans[m].blobs {
			damaged = damaged || c.w.deletedBlob(repo, b, 0)
		}
		if !damaged {
			c.w.s.fail(fmt.Errorf("%s manifest %d exists and could not be pulled: %w", repo, m, err))
		}
	}
}

// pull reads a manifest and the blobs that it names.
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
	for range 1 + c.rnd.IntN(3) {
		repo := c.repo()
		if err := c.delete(ctx, repo, c.chooseDelete()); errors.Is(err, errOver) {
			return
		}
	}
}

// keepHouse deletes manifests to which nothing leads. To the oracle, such a delete is what a collection
// of untagged manifests is: it must not remove anything that is tagged, named or a referrer.
func (c *client) keepHouse(ctx context.Context) {
	for range 2 + c.rnd.IntN(5) {
		o := c.w.begin(op{actor: c.actor, kind: opUnused, repo: c.repo(), man: c.image()})
		err := c.store.DeleteManifest(ctx, o.repo, byDigest(c.w.mans[o.man].desc.Digest),
			&registry.DeleteOptions{IfUnused: true})
		c.w.ended(o, err, registry.ErrManifestUnknown, registry.ErrDenied)
		if errors.Is(err, errOver) {
			return
		}
	}
}

// chooseDelete draws what to delete next, as suits the mix.
func (c *client) chooseDelete() opKind {
	kinds := []opKind{opUntag, opUntag, opDelete, opDelete, opDelete, opDeleteBlob, opDeleteRepo}
	n := c.rnd.IntN(7)
	switch c.w.mode.mix {
	case "tags", "pointers":
		n = c.rnd.IntN(5)
	case "again":
		n = 2 + c.rnd.IntN(3)
	case "whole":
		n = 6
	}
	return kinds[n]
}

func (c *client) delete(ctx context.Context, repo string, kind opKind) (err error) {
	opts := &registry.DeleteOptions{}
	if c.w.mode.keep {
		opts.Keep = func(tag string) bool { return tag == keptTag }
	}
	switch kind {
	case opUntag:
		o := c.w.begin(op{actor: c.actor, kind: kind, repo: repo, tag: c.tag()})
		err = c.store.DeleteManifest(ctx, repo, byTag(o.tag), opts)
		c.w.ended(o, err, registry.ErrManifestUnknown)
	case opDelete:
		o := c.w.begin(op{actor: c.actor, kind: kind, repo: repo, man: c.image()})
		err = c.store.DeleteManifest(ctx, repo, byDigest(c.w.mans[o.man].desc.Digest), opts)
		c.w.ended(o, err, registry.ErrManifestUnknown, registry.ErrDenied)
	case opDeleteBlob:
		o := c.w.begin(op{actor: c.actor, kind: kind, repo: repo, blob: c.blob()})
		err = c.store.DeleteBlob(ctx, repo, c.w.blobs[o.blob].desc.Digest, opts)
		c.w.ended(o, err, registry.ErrBlobUnknown, registry.ErrDenied)
	case opDeleteRepo:
		o := c.w.begin(op{actor: c.actor, kind: kind, repo: repo})
		err = c.store.DeleteRepository(ctx, repo, opts)
		c.w.ended(o, err, registry.ErrNameUnknown, registry.ErrDenied)
	}
	return err
}
