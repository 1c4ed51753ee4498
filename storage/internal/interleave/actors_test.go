package interleave

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
)

// client is an actor of a run as a user of the registry: what it does, it does by one of the
// replicas at a time, as clients do.
type client struct {
	*actor
	w     *world
	store *storage.Store
}

// roles are what actors do.
var roles = map[string]func(c *client, ctx context.Context){
	"pusher": (*client).pushSome, "mover": (*client).moveTag, "uploader": (*client).uploadSome,
	"puller":  (*client).pullSome,
	"changer": (*client).changeTags,
	"deleter": (*client).deleteSome, "undoer": (*client).undoSome, "mounter": (*client).mountSome,
}

// themes are who is in a run: of all kinds, or those who are most in each other's way.
var themes = map[string][]string{
	"all":   {"pusher", "pusher", "pusher", "mover", "uploader", "puller", "deleter", "deleter", "undoer"},
	"tags":  {"mover", "mover", "pusher", "deleter"},
	"bytes": {"mounter", "mounter", "mounter", "uploader", "pusher"},
	"again": {"pusher", "pusher", "deleter", "deleter"},
	"undo":  {"undoer", "undoer", "deleter", "deleter", "pusher"},
	"whole": {"pusher", "pusher", "deleter", "deleter"},
	// Those in mixes: tags are changed on conditions; a tag moves to and fro between manifests that
	// are deleted.
	"conditions": {"changer"},
	"pointers":   {"mover", "mover", "pusher", "deleter", "deleter"},
	// A referrer and its subject come and go, beside collectors who want the referrer.
	"referrers": {"pusher", "pusher", "pusher", "pusher", "deleter"},
}

// cast adds the actors of a run to the schedule.
func (w *world) cast(seed uint64) {
	kinds := themes[w.mode.theme]
	for range 2 + w.s.rnd.IntN(4) {
		name := kinds[w.s.rnd.IntN(len(kinds))]
		w.s.add(seed, name, func(ctx context.Context, a *actor) {
			c := &client{actor: a, w: w, store: w.stores[a.rnd.IntN(len(w.stores))]}
			if done, err := w.s.wait(ctx, "begin", ""); err == nil {
				done(nil)
				roles[name](c, ctx)
			}
		})
	}
	if w.mode.theme == "referrers" { // the collectors come first
		for _, a := range w.s.actors {
			a.stalls = append(a.stalls, stall{at: 1, calls: w.s.rnd.IntN(150)})
		}
	}
	if w.mode.theme == "pointers" {
		for _, a := range w.s.actors {
			if a.name == "deleter" {
				w.stallRemoval(a)
			}
		}
	}
	w.castCollectors(seed)
}

// stallRemoval lets an actor stall before it removes something that leads to a manifest.
func (w *world) stallRemoval(a *actor) {
	a.stalls = append(a.stalls, stall{op: "Delete", in: []string{"/t/", "/x/"}[w.s.rnd.IntN(2)], at: 1 + w.s.rnd.IntN(2),
		calls: 20 + w.s.rnd.IntN(80)})
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

// pushSome pushes images, the same one twice at times.
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
		if c.w.mode.theme == "referrers" && c.w.mans[m].subject >= 0 {
			tag = ""
		}
		c.push(ctx, repo, m, tag)
		if c.rnd.IntN(2) == 0 {
			repo, m = c.repo(), c.image()
		}
	}
}

// push pushes an image with all that it names, as a client that tries a few times.
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
			_, err := c.store.StatManifest(ctx, repo, byDigest(c.w.mans[child].desc.Digest), c.looks())
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

// pushBlindly pushes a manifest, and if it is refused sends what the answer names, no more, and
// pushes the manifest again.
func (c *client) pushBlindly(ctx context.Context, repo string, m int, tag string) error {
	err := c.put(ctx, repo, m, tag, 0)
	var refused *registry.Error
	if !errors.Is(err, registry.ErrManifestBlobUnknown) || !errors.As(err, &refused) {
		return err
	}
	ensured := c.w.s.tick(c.actor, "sends what was missing")
	for _, d := range refused.Detail().([]digest.Digest) {
		if child := c.w.number(d); child >= 0 {
			err = c.tryPush(ctx, repo, child, "")
		} else {
			err = c.upload(ctx, repo, slices.IndexFunc(c.w.blobs, func(b fixtureBlob) bool { return b.desc.Digest == d }))
		}
		if err != nil {
			c.w.unexpected(c.actor, "send what was missing", err, registry.ErrUploadUnknown, registry.ErrRangeInvalid,
				registry.ErrManifestBlobUnknown, registry.ErrTagExists)
			return err
		}
	}
	return c.put(ctx, repo, m, tag, ensured)
}

// put pushes a manifest.
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

// looks are the options of a look at what a push may rely on: by somebody who may push, most often.
func (c *client) looks() *registry.StatOptions {
	return &registry.StatOptions{Renew: func(context.Context) bool { return c.rnd.IntN(4) > 0 }}
}

// ensureBlob sees to it that the repository has a blob: it looks, mounts or uploads.
func (c *client) ensureBlob(ctx context.Context, repo string, b int) error {
	d := c.w.blobs[b].desc.Digest
	if c.rnd.IntN(2) == 0 {
		if _, err := c.store.StatBlob(ctx, repo, d, c.looks()); !errors.Is(err, registry.ErrBlobUnknown) {
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
		// A client may be told to send a blob again. Beside collectors without grace this may
		// happen several times.
		if err == nil || n == 5 || !errors.Is(err, registry.ErrUploadUnknown) && !errors.Is(err, registry.ErrRangeInvalid) {
			c.w.unexpected(c.actor, fmt.Sprintf("upload blob %d", b), err, registry.ErrUploadUnknown, registry.ErrRangeInvalid)
			return err
		}
	}
}

// upload sends a blob, in one of the ways that clients have.
func (c *client) upload(ctx context.Context, repo string, b int) error {
	content, d := c.w.blobs[b].content, c.w.blobs[b].desc.Digest
	u, err := c.store.CreateUpload(ctx, repo, nil)
	if err != nil {
		return err
	}
	if c.rnd.IntN(3) == 0 { // all with the commit
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

// uploadSome uploads blobs that nobody may need, and gives up some.
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
		c.w.unexpected(c.actor, "upload and give up", err, registry.ErrUploadUnknown, registry.ErrRangeInvalid)
	}
}

// mountSome mounts blobs, now into this repository, now into that.
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
		switch c.w.mode.theme {
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

// undoSome restores tags, manifests and repositories.
func (c *client) undoSome(ctx context.Context) {
	if !c.w.mode.history {
		c.deleteSome(ctx)
		return
	}
	opts := &registry.RestoreOptions{SetTag: func(t *registry.TagPut) error {
		t.IfAbsent, t.Keep = t.Name == keptTag, t.Name == keptTag
		return nil
	}}
	for range 1 + c.rnd.IntN(3) {
		var ref reference.Ref
		o := op{actor: c.actor, repo: c.repo(), man: -1, kind: opRestore}
		switch c.rnd.IntN(3) {
		case 0:
			o.kind, o.tag = opRestoreTag, c.tag()
			ref = byTag(o.tag)
		case 1:
			o.man = c.image()
			ref = byDigest(c.w.mans[o.man].desc.Digest)
		}
		begun := c.w.begin(o)
		res, err := c.store.Restore(ctx, o.repo, ref, opts)
		if err == nil {
			for _, m := range res.Manifests {
				begun.restored = append(begun.restored, c.w.number(m.Descriptor.Digest))
			}
			if begun.kind == opRestoreTag {
				begun.man = begun.restored[0]
			}
		}
		c.w.ended(begun, err, registry.ErrManifestUnknown, registry.ErrNameUnknown, registry.ErrManifestBlobUnknown,
			registry.ErrTagExists)
		if errors.Is(err, errOver) {
			return
		}
	}
}

// historyKept is how long history is kept, if it is: for longer than a run, and until uploads that
// were given up have ended.
const historyKept = 4 * storage.DefaultUploadTTL

// options are those of all Stores of a run.
func (w *world) options() *storage.Options {
	o := &storage.Options{Grace: graces[w.mode.grace]}
	if w.mode.history {
		o.History = historyKept
	}
	if w.mode.expiring {
		o.UploadTTL = 5 * time.Second
	}
	return o
}
