package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// pushNew pushes an image of new layers and layers of the pool.
func (w *worker) pushNew(ctx context.Context) error {
	return w.push(ctx, newImage(w.repo(), w.unique(), nil, w.layers()...), w.tagOrNone())
}

// tagOrNone returns a tag. Where collections keep untagged manifests, it may return "" instead, for
// a push by digest.
func (w *worker) tagOrNone() string {
	if !w.s.config.untagged && w.rng.IntN(3) == 0 {
		return ""
	}
	return w.tag()
}

// pushAgain pushes an image again that exists or that the worker has deleted.
func (w *worker) pushAgain(ctx context.Context) error {
	if len(w.gone) > 0 && w.rng.IntN(2) == 0 {
		i := w.rng.IntN(len(w.gone))
		img := w.gone[i]
		w.gone = append(w.gone[:i], w.gone[i+1:]...)
		return w.push(ctx, img, w.tagOrNone())
	}
	img := w.some(func(img *image) bool { return img.children == nil })
	if img == nil {
		return w.pushNew(ctx)
	}
	return w.push(ctx, img, w.tagOrNone())
}

// pushIndex pushes images by digest and then an index of them. Some indexes also reference a blob.
func (w *worker) pushIndex(ctx context.Context) error {
	repo := w.repo()
	var children []*image
	for range 2 + w.rng.IntN(2) {
		children = append(children, newImage(repo, w.unique(), nil, w.layers()...))
	}
	var blobs []*layer
	if w.rng.IntN(4) == 0 {
		blobs = append(blobs, w.layer())
	}
	return w.push(ctx, newIndex(repo, w.unique(), children, blobs), w.tagOrNone())
}

// pushReferrer pushes an image with an existing subject. It pushes by digest, like signing tools.
func (w *worker) pushReferrer(ctx context.Context) error {
	subject := w.some(func(img *image) bool { return img.subject == nil })
	if subject == nil {
		return w.pushNew(ctx)
	}
	return w.push(ctx, newImage(subject.repo, w.unique(), subject, w.layer(), w.layer()), "")
}

// pushCommon pushes one of a few images that all workers push, with a tag of the worker.
func (w *worker) pushCommon(ctx context.Context) error {
	img := newImage(commonRepo, "common", nil, w.s.pool[w.rng.IntN(commonImages)], w.s.pool[commonImages],
		w.s.pool[commonImages+1])
	img.common = true
	return w.push(ctx, img, w.tag())
}

const commonRepo = "soak/common"

// moveTag moves a tag to an existing image.
func (w *worker) moveTag(ctx context.Context) error {
	img := w.some(func(*image) bool { return true })
	if img == nil {
		return w.pushNew(ctx)
	}
	return w.putManifest(ctx, img, w.tag())
}

// push pushes an image layer by layer. It pushes by digest if tag is "".
func (w *worker) push(ctx context.Context, img *image, tag string) error {
	start := time.Now()
	defer func() { w.s.report.push(time.Since(start)) }()
	if err := w.send(ctx, img, w.rng.IntN(10) < 7); err != nil { // most pushes first check what exists, like docker
		return err
	}
	return w.putManifest(ctx, img, tag)
}

// send sends all content that a manifest references.
func (w *worker) send(ctx context.Context, img *image, look bool) error {
	for _, l := range img.layers {
		if err := w.sendLayer(ctx, img.repo, l, look); err != nil {
			return err
		}
	}
	for _, c := range img.children {
		if err := w.sendChild(ctx, c, look); err != nil {
			return err
		}
	}
	return nil
}

// sendChild sends an image that an index references.
func (w *worker) sendChild(ctx context.Context, c *image, look bool) error {
	if err := w.send(ctx, c, look); err != nil {
		return err
	}
	return w.put(ctx, c, func() error {
		_, err := w.again(ctx, func() error {
			return w.c.PutManifest(ctx, c.repo, c.digest().String(), c.desc.MediaType, c.content)
		})
		return err
	})
}

// remembered is the time for which collectors keep the content that a refused push references. It
// must equal the unexported constant of package storage. Content that is sent again within this
// time exists for the next attempt.
const remembered = time.Minute

// put pushes a manifest by calling f. If the push is refused, put sends the missing content and the
// manifest again, which must succeed.
func (w *worker) put(ctx context.Context, img *image, f func() error) error {
	var before time.Time // start of the push that was refused before
	for n := 0; ; n++ {
		start := time.Now()
		err := f()
		missing, no := refusal(err)
		if !no {
			return err
		}
		if err := w.refused(n, err); err != nil {
			return err
		}
		if n > 0 && time.Since(before) < remembered {
			return &failure{refusedTwice, err}
		}
		before = start
		for _, l := range img.layers {
			if slices.Contains(missing, l.desc.Digest) {
				if err := w.sendLayer(ctx, img.repo, l, false); err != nil {
					return err
				}
			}
		}
		for _, c := range img.children {
			if slices.Contains(missing, c.digest()) {
				if err := w.sendChild(ctx, c, true); err != nil {
					return err
				}
			}
		}
	}
}

// sendLayer pushes a layer. The registry may refuse a push that takes too long.
func (w *worker) sendLayer(ctx context.Context, repo string, l *layer, look bool) error {
	for n := 0; ; n++ {
		_, err := w.again(ctx, func() error { return w.trySendLayer(ctx, repo, l, look) })
		if _, no := refusal(err); !no {
			return err
		}
		if err := w.refused(n, err); err != nil {
			return err
		}
	}
}

// refusal reports whether err is a refusal, and returns the content that the push must send again.
func refusal(err error) (missing []digest.Digest, refused bool) {
	var e *harness.Error
	if !errors.As(err, &e) {
		return nil, false
	}
	var body struct {
		Errors []struct {
			Code   string
			Detail struct{ Digest digest.Digest }
		}
	}
	if json.Unmarshal(e.Response.Body, &body) != nil {
		return nil, false
	}
	for _, one := range body.Errors {
		if one.Code != "MANIFEST_BLOB_UNKNOWN" && one.Code != "BLOB_UPLOAD_UNKNOWN" {
			return nil, false
		}
		missing = append(missing, one.Detail.Digest)
	}
	return missing, len(missing) > 0
}

// refused records that a push must send content again, after n earlier refusals in a row. With a
// grace period this is a failure, unless the push takes longer than half of it.
func (w *worker) refused(n int, err error) error {
	w.s.journal.note("w%d refused: %v", w.id, err)
	slow := time.Since(w.began) > w.s.config.grace/2
	if n == 7 || w.s.config.grace > 0 && !slow {
		return &failure{refused, err}
	}
	if w.s.config.grace > 0 {
		w.s.report.event("pushes refused that took longer than half the grace", 1)
		return nil
	}
	w.s.report.event(refused, 1)
	if n > 0 { // an upload has expired, or the push took longer than remembered
		w.s.report.event("of them not the first in a row", 1)
	}
	return nil
}

// trySendLayer pushes a layer in a random way. If look is set, it first checks whether the layer
// exists and tries to mount it.
func (w *worker) trySendLayer(ctx context.Context, repo string, l *layer, look bool) error {
	d := l.desc.Digest
	location := ""
	if look {
		if has, err := w.c.Has(ctx, "/v2/"+repo+"/blobs/"+d.String()); has || err != nil {
			return err
		}
	}
	if from, ok := w.s.where.Load(d); ok && from != repo && w.rng.IntN(2) == 0 {
		var err error
		if location, err = w.c.Mount(ctx, repo, d, from.(string)); err != nil || location == "" {
			if err == nil {
				w.s.report.event("mounts", 1)
			}
			return err
		}
	}
	content := l.content()
	switch way := w.rng.IntN(4); {
	case location == "" && way == 0:
		_, err := w.c.Do(ctx, http.StatusCreated, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+d.String(),
			http.Header{"Content-Type": {"application/octet-stream"}}, content)
		return err
	case location == "" && way == 1:
		return w.c.PushAsDocker(ctx, repo, d, bytes.NewReader(content))
	case location == "":
		var err error
		if location, err = w.c.Begin(ctx, repo); err != nil {
			return err
		}
	}
	rest := content
	for n := w.rng.IntN(4); n > 0 && len(rest) > 1; n-- { // send everything in the PUT, or a few chunks before
		var err error
		size := 1 + w.rng.IntN(len(rest))
		if location, err = w.c.Patch(ctx, location, int64(len(content)-len(rest)), rest[:size]); err != nil {
			return err
		}
		rest = rest[size:]
	}
	return w.c.Commit(ctx, location, d, bytes.NewReader(rest), int64(len(rest)))
}

// putManifest pushes the manifest of an image whose content has been sent, and records the result.
func (w *worker) putManifest(ctx context.Context, img *image, tag string) error {
	ref := tag
	if tag == "" {
		ref = img.digest().String()
	}
	before := w.tags[img.repo+":"+tag]
	if before != nil && before != img && w.s.config.untagged {
		before.untag(tag)
		w.free(before)
	}
	try, once := w.again, img.subject == nil && !img.common && w.coin()
	if once {
		try = w.once
	}
	unknown := false
	err := w.put(ctx, img, func() error {
		cut, err := try(ctx, func() error { return w.c.PutManifest(ctx, img.repo, ref, img.desc.MediaType, img.content) })
		unknown = once && cut
		return err
	})
	if err != nil {
		return err
	}
	if unknown {
		return w.resolvePut(ctx, img, tag, before)
	}
	w.adopt(img)
	w.named(img, tag, before)
	for _, l := range img.layers {
		w.s.where.Store(l.desc.Digest, img.repo)
	}
	return nil
}

// named records that a tag now points at img instead of before.
func (w *worker) named(img *image, tag string, before *image) {
	if tag == "" || before == img {
		return
	}
	if before != nil {
		before.untag(tag)
	}
	w.tags[img.repo+":"+tag] = img
	img.tags = append(img.tags, tag)
}

// resolvePut determines the result of a push whose response was lost. Either result is correct, but
// a visible image must be complete.
func (w *worker) resolvePut(ctx context.Context, img *image, tag string, before *image) error {
	w.s.report.event("outcomes looked up", 1)
	_, err := w.again(ctx, func() error {
		has, err := w.c.Has(ctx, img.path(img.digest().String()))
		if err == nil && !has && img.there {
			return fail(lost, "%s was in %s before it was pushed again", img.digest(), img.repo)
		}
		if err == nil && has {
			if err = w.pull(ctx, img); err == nil {
				w.adopt(img)
			}
		}
		return err
	})
	if err == nil && !img.there {
		for _, c := range img.children { // their pushes were acknowledged
			c.parent = nil
			w.adopt(c)
		}
	}
	if err != nil || tag == "" {
		return err
	}
	d, err := w.tagged(ctx, img.repo, tag)
	switch {
	case err != nil:
		return err
	case d == img.digest() && img.there:
		w.named(img, tag, before)
	case before == nil && d == "" || before != nil && d == before.digest():
	default:
		return fail(lost, "%s:%s names %q after the push of %s was cut off", img.repo, tag, d, img.digest())
	}
	return nil
}

// abandonUpload begins an upload and leaves it unfinished.
func (w *worker) abandonUpload(ctx context.Context) error {
	return w.uploadOnly(ctx, func() error { _, err := w.beginUpload(ctx); return err })
}

// uploadOnly calls f, which begins an upload that ends without a blob. The registry may refuse an
// upload that takes too long.
func (w *worker) uploadOnly(ctx context.Context, f func() error) error {
	_, err := w.again(ctx, f)
	if _, no := refusal(err); no {
		return w.refused(0, err)
	}
	return err
}

// cancelUpload begins an upload and cancels it.
func (w *worker) cancelUpload(ctx context.Context) error {
	return w.uploadOnly(ctx, func() error {
		location, err := w.beginUpload(ctx)
		if err == nil {
			_, err = w.c.Do(ctx, http.StatusNoContent, http.MethodDelete, location, nil, nil)
		}
		return err
	})
}

func (w *worker) beginUpload(ctx context.Context) (location string, err error) {
	location, err = w.c.Begin(ctx, w.repo())
	offset := int64(0)
	for n := w.rng.IntN(3); n >= 0 && err == nil; n-- {
		chunk := harness.RandomBytes(w.rng.Uint64(), 1+w.rng.IntN(100<<10))
		location, err = w.c.Patch(ctx, location, offset, chunk)
		offset += int64(len(chunk))
	}
	return location, err
}
