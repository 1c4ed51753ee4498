package interleave

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// change is a change of a tag, on the condition that the tag still is what the actor has read.
type change struct {
	op     *op
	was    int // the manifest that was read, or absent
	to     int // the manifest that is pushed, or absent for a delete
	failed bool
}

// changeTags reads tags, and moves, creates or deletes them on the condition that they still are
// what was read. Each push is of a new manifest.
func (c *client) changeTags(ctx context.Context) {
	for range 2 + c.rnd.IntN(3) {
		repo, tags := c.repo(), c.w.labels[:1+c.rnd.IntN(len(c.w.labels))]
		was, err := c.readTags(ctx, repo, tags)
		if slices.Contains(was, absent) { // while several tags are created, others can see some of them
			tags, was = tags[:1], was[:1]
		}
		switch {
		case err != nil:
		case was[0] != absent && c.rnd.IntN(4) == 0:
			err = c.deleteTagIf(ctx, repo, tags[0], was[0])
		default:
			err = c.putTagsIf(ctx, repo, tags, was)
		}
		if errors.Is(err, errOver) {
			return
		}
	}
}

// readTags returns the manifests that tags point at, or absent.
func (c *client) readTags(ctx context.Context, repo string, tags []string) (was []int, err error) {
	for _, tag := range tags {
		got, err := c.store.GetManifest(ctx, repo, byTag(tag))
		switch {
		case err == nil:
			was = append(was, c.w.numberOf(got.Descriptor.Digest))
		case errors.Is(err, registry.ErrManifestUnknown):
			was = append(was, absent)
		default:
			c.w.unexpected(c.actor, "read a tag", err)
			return nil, err
		}
	}
	return was, nil
}

// putTagsIf pushes a new manifest with tags, on the condition that they still are what was read.
func (c *client) putTagsIf(ctx context.Context, repo string, tags []string, was []int) error {
	ensured := c.w.s.tick(c.actor, "changes %s:%v, which are %v", repo, tags, was)
	if err := c.ensureBlob(ctx, repo, 0); err != nil {
		return err
	}
	m := len(c.w.mans)
	c.w.image(fmt.Sprint(m), -1, 0)
	opts := &registry.PutOptions{}
	var changes []*change
	for i, tag := range tags {
		opts.Tags = append(opts.Tags, registry.TagPut{Name: tag, If: c.w.expecting(was[i])})
		o := c.w.begin(op{actor: c.actor, kind: opPut, repo: repo, man: m, tag: tag, ensured: ensured})
		changes = append(changes, &change{op: o, was: was[i], to: m})
	}
	c.w.changes = append(c.w.changes, changes...)
	man := c.w.mans[m]
	_, err := c.store.PutManifest(ctx, repo, man.desc.MediaType, man.content, opts)
	if errors.Is(err, registry.ErrUnavailable) {
		return err // an unfinished push blocks this one, which counts as dead
	}
	for _, ch := range changes {
		ch.failed = errors.Is(err, registry.ErrPreconditionFailed)
		c.w.ended(ch.op, err, registry.ErrPreconditionFailed, registry.ErrManifestBlobUnknown)
	}
	return err
}

// deleteTagIf deletes a tag, on the condition that it still is what was read.
func (c *client) deleteTagIf(ctx context.Context, repo, tag string, was int) error {
	o := c.w.begin(op{actor: c.actor, kind: opUntag, repo: repo, tag: tag})
	ch := &change{op: o, was: was, to: absent}
	c.w.changes = append(c.w.changes, ch)
	err := c.store.DeleteManifest(ctx, repo, byTag(tag), &registry.DeleteOptions{If: c.w.expecting(was)})
	if errors.Is(err, registry.ErrUnavailable) {
		return err
	}
	ch.failed = errors.Is(err, registry.ErrPreconditionFailed)
	c.w.ended(o, err, registry.ErrPreconditionFailed, registry.ErrManifestUnknown)
	return err
}

// expecting returns the condition that a tag points at a manifest, or that it is absent.
func (w *world) expecting(m int) *registry.Condition {
	if m == absent {
		return &registry.Condition{NoneMatch: []digest.Digest{registry.AnyDigest}}
	}
	return &registry.Condition{Match: []digest.Digest{w.mans[m].desc.Digest}}
}

// checkChanges demands, when no actor works, that no acknowledged change of a tag was lost: either
// the tag is what the push set, or exactly one client that had read it has replaced or deleted it.
// A tag was created at most once more often than it was deleted.
func (w *world) checkChanges(ctx context.Context) error {
	for _, ch := range w.changes {
		at, text := absent, w.text(ch.op)
		got, err := w.observer.GetManifest(ctx, ch.op.repo, byTag(ch.op.tag))
		if err == nil {
			at = w.numberOf(got.Descriptor.Digest)
		} else if !errors.Is(err, registry.ErrManifestUnknown) {
			return err
		}
		acked, maybe, created, deleted := 0, 0, 0, 0
		for _, other := range w.changes {
			o := other.op
			if o.repo != ch.op.repo || o.tag != ch.op.tag {
				continue
			}
			open := o.end == 0 // it died, or counts as dead
			switch {
			case other.was == absent && o.acked:
				created++
			case other.to == absent && (o.acked || open):
				deleted++
			}
			if ch.to == absent || other.was != ch.to {
				continue
			}
			if o.acked {
				acked++
			} else if open {
				maybe++
			}
		}
		switch {
		case created > 1+deleted:
			return fmt.Errorf("%s:%s was created %d times, and deleted %d times", ch.op.repo, ch.op.tag, created, deleted)
		case ch.to == absent:
		case ch.failed && (at == ch.to || acked > 0):
			return fmt.Errorf("%s has failed, but was done", text)
		case acked > 1 || acked > 0 && at == ch.to:
			return fmt.Errorf("%s was replaced %d times, and the tag is manifest %d", text, acked, at)
		case ch.op.acked && acked+maybe == 0 && at != ch.to:
			return fmt.Errorf("%s was lost: the tag is manifest %d", text, at)
		}
	}
	return nil
}
