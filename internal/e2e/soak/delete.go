package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry"
)

// deleteSome deletes one of the worker's images. With an index, it also deletes most of its
// children and keeps the others.
func (w *worker) deleteSome(ctx context.Context) error {
	img := w.some(func(*image) bool { return true })
	if img == nil {
		return w.pushNew(ctx)
	}
	if err := w.deleteImage(ctx, img); err != nil {
		return err
	}
	for _, c := range img.children {
		if slices.Contains(w.mine, c) && w.rng.IntN(4) > 0 {
			if err := w.deleteImage(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteImage deletes an image by its digest. The delete also removes the tags of the image and its
// entry in the list of referrers.
func (w *worker) deleteImage(ctx context.Context, img *image) error {
	w.drop(img)
	target := img.path(img.digest().String())
	remove := func() error { return w.c.Delete(ctx, target) }
	var cut bool
	var err error
	if img.subject == nil && w.coin() {
		if cut, err = w.once(ctx, remove); cut && err == nil {
			if back, err := w.resolveDelete(ctx, img); back || err != nil {
				return err
			}
		}
	} else {
		cut, err = w.again(ctx, remove)
	}
	if status(err) == 404 && cut {
		err = nil
	}
	if err != nil {
		return missing(err)
	}
	return w.deleted(ctx, img)
}

// resolveDelete determines the result of a delete whose response was lost. Either result is
// correct. back reports whether the image still exists; even then, some of its tags may be deleted.
func (w *worker) resolveDelete(ctx context.Context, img *image) (back bool, err error) {
	w.s.report.event("outcomes looked up", 1)
	_, err = w.again(ctx, func() error {
		back, err = w.c.Has(ctx, img.path(img.digest().String()))
		return err
	})
	if err != nil || !back {
		return false, err
	}
	for _, tag := range slices.Clone(img.tags) {
		d, err := w.tagged(ctx, img.repo, tag)
		switch {
		case err != nil:
			return true, err
		case d == "":
			img.untag(tag)
			delete(w.tags, img.repo+":"+tag)
		case d != img.digest():
			return true, fail(lost, "%s:%s names %s after the delete of %s was cut off", img.repo, tag, d, img.digest())
		}
	}
	w.adopt(img)
	return true, nil
}

// deleted records that an image has been deleted, and checks that it is gone.
func (w *worker) deleted(ctx context.Context, img *image) error {
	tags := img.tags
	w.forget(img)
	for _, ref := range append(tags, img.digest().String()) {
		_, err := w.again(ctx, func() error {
			has, err := w.c.Has(ctx, img.path(ref))
			if err == nil && has {
				err = fail(wrong, "%s in %s is there after its delete", ref, img.repo)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forget records that an image no longer exists.
func (w *worker) forget(img *image) {
	w.s.journal.note("w%d ledger: deleted %s in %s", w.id, img.digest(), img.repo)
	for _, tag := range img.tags {
		delete(w.tags, img.repo+":"+tag)
	}
	img.tags = nil
	w.freeBelow(img)
	if img.subject != nil {
		img.subject.referrers = slices.DeleteFunc(img.subject.referrers, func(i *image) bool { return i == img })
		return
	}
	if img.children == nil {
		if w.gone = append(w.gone, img); len(w.gone) > mostGone {
			w.gone = w.gone[1:]
		}
	}
}

// deleteTag deletes a tag. The image remains, unless a collection removes it.
func (w *worker) deleteTag(ctx context.Context) error {
	if len(w.tags) == 0 {
		return w.pushNew(ctx)
	}
	names := make([]string, 0, len(w.tags))
	for name := range w.tags {
		names = append(names, name)
	}
	slices.Sort(names)
	name := names[w.rng.IntN(len(names))]
	img := w.tags[name]
	tag := name[strings.LastIndexByte(name, ':')+1:]
	img.untag(tag)
	w.free(img)
	cut, err := w.again(ctx, func() error { return w.c.Delete(ctx, img.path(tag)) })
	if err != nil && (status(err) != 404 || !cut) {
		return missing(err)
	}
	delete(w.tags, name)
	d, err := w.tagged(ctx, img.repo, tag)
	if err == nil && d != "" {
		err = fail(wrong, "%s names %s after its delete", name, d)
	}
	return err
}

// deleteBlob pushes a blob that no manifest references, and deletes it. If an image in another
// repository has mounted the blob, that image keeps it.
func (w *worker) deleteBlob(ctx context.Context) error {
	l := newLayer(w.rng.Uint64(), someSize(w.rng))
	repo, other := w.ownRepo(), w.repo()
	if err := w.sendLayer(ctx, repo, l, false); err != nil {
		return err
	}
	if other != repo && w.rng.IntN(2) == 0 {
		w.s.where.Store(l.desc.Digest, repo) // push may mount it from there
		defer w.s.where.CompareAndDelete(l.desc.Digest, repo)
		if err := w.push(ctx, newImage(other, w.unique(), nil, l), w.tag()); err != nil {
			return err
		}
	}
	target := "/v2/" + repo + "/blobs/" + l.desc.Digest.String()
	cut, err := w.again(ctx, func() error { return w.c.Delete(ctx, target) })
	if status(err) == 404 && (cut || time.Since(w.began) > w.s.config.grace/2) {
		err = nil // deleted before, or removed by a collection
	}
	if err != nil {
		return missing(err)
	}
	_, err = w.again(ctx, func() error {
		has, err := w.c.Has(ctx, target)
		if err == nil && has {
			err = fail(wrong, "%s in %s is there after its delete", l.desc.Digest, repo)
		}
		return err
	})
	return err
}

// deleteRepository deletes the worker's own repository. The HTTP API has no request for that, so
// this process deletes it directly in the shared storage.
func (w *worker) deleteRepository(ctx context.Context) error {
	repo := w.ownRepo()
	var in []*image
	for _, img := range slices.Clone(w.mine) {
		if img.repo == repo {
			in = append(in, img)
			w.drop(img)
			for _, c := range img.children {
				w.drop(c)
			}
		}
	}
	w.s.journal.note("w%d delete repository %s", w.id, repo)
	err := w.s.store.DeleteRepository(ctx, repo, nil)
	if errors.Is(err, registry.ErrNameUnknown) && len(in) == 0 {
		err = nil
	}
	if err != nil {
		return err
	}
	for _, img := range in {
		if err := w.deleted(ctx, img); err != nil {
			return err
		}
	}
	return w.checkTags(ctx, repo)
}
