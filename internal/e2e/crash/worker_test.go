package crash

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// worker pushes at random until a request fails, because the server was killed, or until its time
// is over if there are other servers. Each worker has repositories of its own, so it alone decides
// what is in them. Some content is in many repositories.
type worker struct {
	c     *harness.Client
	all   *ledger
	round int
	rng   *rand.Rand
	goOn  bool // after a request that failed
}

func (w *worker) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		var err error
		switch repo := fmt.Sprintf("crash/%d-%d", w.round, w.rng.IntN(1<<30)); w.rng.IntN(10) {
		case 0, 1, 2:
			err = w.chunks(ctx, repo)
		case 3:
			err = w.deletes(ctx, repo)
		case 4:
			err = w.mount(ctx, repo)
		default:
			err = w.image(ctx, repo)
		}
		if err != nil && !w.goOn {
			return
		}
	}
}

// bytes returns new content, or, one time in eight, content that other repositories have too.
func (w *worker) bytes(most int) []byte {
	if w.rng.IntN(8) == 0 {
		return harness.RandomBytes(w.rng.Uint64N(20), 20_000)
	}
	return harness.RandomBytes(w.rng.Uint64(), 1+w.rng.IntN(most))
}

// blob pushes content in two requests and notes it.
func (w *worker) blob(ctx context.Context, repo string, content []byte) error {
	d, err := w.c.PushBlob(ctx, repo, content)
	if err != nil {
		return err
	}
	w.all.do(func() { w.all.blobs[key{repo, d}] = w.round })
	return nil
}

// image pushes a config, two layers and a manifest, under a tag that other images of the repository
// had before.
func (w *worker) image(ctx context.Context, repo string) error {
	for range 1 + w.rng.IntN(3) {
		if _, err := w.tagged(ctx, repo, "latest"); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) tagged(ctx context.Context, repo, name string) (digest.Digest, error) {
	blobs := [][]byte{w.bytes(2000), w.bytes(200_000), w.bytes(4000)}
	for _, b := range blobs {
		if err := w.blob(ctx, repo, b); err != nil {
			return "", err
		}
	}
	m := harness.Manifest(fmt.Sprint(w.rng.Uint64()), blobs...)
	d := digest.FromBytes(m)
	w.all.moving(tag{repo, name}, d)
	if err := w.c.PutManifest(ctx, repo, name, imagespec.MediaTypeImageManifest, m); err != nil {
		return "", err
	}
	w.all.do(func() { w.all.manifests[key{repo, d}] = w.round })
	w.all.moved(tag{repo, name}, d, w.round)
	return d, nil
}

// chunks pushes a blob in several PATCHes; the kill may come between or within them.
func (w *worker) chunks(ctx context.Context, repo string) error {
	content := w.bytes(2_000_000)
	location, err := w.c.Begin(ctx, repo)
	if err != nil {
		return err
	}
	u := &upload{repo: repo, location: location, content: content}
	w.all.do(func() { w.all.uploads = append(w.all.uploads, u) })
	for u.offset < int64(len(content)) {
		end := min(u.offset+1+int64(w.rng.IntN(500_000)), int64(len(content)))
		next, err := w.c.Patch(ctx, u.location, u.offset, content[u.offset:end])
		if err != nil {
			return err
		}
		w.all.do(func() { u.location, u.offset = next, end })
	}
	w.forget(u) // whether the PUT is done is open until it is answered
	d := digest.FromBytes(content)
	if err := w.c.Commit(ctx, u.location, d, bytes.NewReader(nil), 0); err != nil {
		return err
	}
	w.all.do(func() { w.all.blobs[key{repo, d}] = w.round })
	return nil
}

func (w *worker) forget(u *upload) {
	w.all.do(func() {
		for i, other := range w.all.uploads {
			if other == u {
				w.all.uploads = append(w.all.uploads[:i], w.all.uploads[i+1:]...)
				return
			}
		}
	})
}

// mount pushes a blob, mounts it elsewhere, and deletes the original.
func (w *worker) mount(ctx context.Context, repo string) error {
	d, err := w.c.PushBlob(ctx, repo, w.bytes(200_000))
	if err != nil {
		return err
	}
	to := repo + "/mounted"
	location, err := w.c.Mount(ctx, to, d, repo)
	if err != nil {
		return err
	}
	if location != "" {
		return fmt.Errorf("%s has no %s to mount", repo, d)
	}
	w.all.do(func() { w.all.blobs[key{to, d}] = w.round })
	return w.c.Delete(ctx, "/v2/"+repo+"/blobs/"+d.String())
}

// deletes pushes two tagged images and deletes the first by digest: its tag goes, the other stays.
func (w *worker) deletes(ctx context.Context, repo string) error {
	d, err := w.tagged(ctx, repo, "old")
	if err != nil {
		return err
	}
	if _, err := w.tagged(ctx, repo, "new"); err != nil {
		return err
	}
	w.all.do(func() { // from here on it may be there or not
		delete(w.all.manifests, key{repo, d})
		delete(w.all.tags, tag{repo, "old"})
	})
	return w.c.Delete(ctx, "/v2/"+repo+"/manifests/"+d.String())
}
