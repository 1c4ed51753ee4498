package interleave

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// change is a change of a tag on the condition that it is what its actor has read.
type change struct {
	op     *op
	was    int // the manifest that was read, or absent
	to     int // the manifest that is pushed; absent of a delete
	failed bool
}

// changeTags reads tags, and moves, creates or deletes them on the condition that they still are
// what was read. Each push is of a manifest that nobody else pushes.
func (c *client) changeTags(ctx context.Context) {
	for range 2 + c.rnd.IntN(3) {
		repo, tags := c.repo(), c.w.labels[:1+c.rnd.IntN(len(c.w.labels))]
		was, err := c.readTags(ctx, repo, tags)
		if slices.Contains(was, absent) { // others see what several creations leave for a moment
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

// readTags returns the manifests that tags point at.
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
		return err // a push half-way is in the way; as if this one had died
	}
	for _, ch := range changes {
		ch.failed = errors.Is(err, registry.ErrPreconditionFailed)
		c.w.ended(ch.op, err, registry.ErrPreconditionFailed, registry.ErrManifestBlobUnknown)
	}
	return err
}

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

// expecting is the condition that a tag points at a manifest, or is absent.
func (w *world) expecting(m int) *registry.Condition {
	if m == absent {
		return &registry.Condition{NoneMatch: []digest.Digest{registry.AnyDigest}}
	}
	return &registry.Condition{Match: []digest.Digest{w.mans[m].desc.Digest}}
}

// checkChanges demands, when nobody changes tags any more, that no acknowledged change was lost:
// what a push has set is there, or has been replaced or deleted once, by somebody who had read it.
// A tag was created once more often than it was deleted, at most.
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
			open := o.end == 0 // died, or as good as that
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
			return fmt.Errorf("%s has failed, and was done", text)
		case acked > 1 || acked > 0 && at == ch.to:
			return fmt.Errorf("%s was replaced by %d, and the tag is %d", text, acked, at)
		case ch.op.acked && acked+maybe == 0 && at != ch.to:
			return fmt.Errorf("%s was lost: the tag is %d", text, at)
		}
	}
	return nil
}
