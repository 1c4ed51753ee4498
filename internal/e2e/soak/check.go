package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// pullSome pulls a random image of any worker.
func (w *worker) pullSome(ctx context.Context) error {
	for range 10 {
		img := w.s.ledger.some(w.rng)
		if img == nil || !img.mu.TryRLock() { // its worker is about to delete it
			continue
		}
		defer img.mu.RUnlock()
		if img.there {
			return w.pull(ctx, img)
		}
		return nil
	}
	return nil
}

// pull reads all of an image and compares every byte. The image must exist.
func (w *worker) pull(ctx context.Context, img *image) error {
	_, err := w.again(ctx, func() error { return w.c.PullManifest(ctx, img.repo, img.digest().String(), img.digest()) })
	if err != nil {
		return missing(err)
	}
	for _, c := range img.children {
		if err := w.pull(ctx, c); err != nil {
			return fmt.Errorf("index %s: %w", img.digest(), err)
		}
	}
	for _, l := range img.layers {
		_, err := w.again(ctx, func() error { return w.c.PullBlob(ctx, img.repo, l.desc.Digest) })
		if err != nil {
			return fmt.Errorf("image %s: %w", img.digest(), missing(err))
		}
		w.s.report.event("blobs pulled", 1)
	}
	return nil
}

// pullTag pulls the image of one of the worker's tags.
func (w *worker) pullTag(ctx context.Context) error {
	names := slices.Sorted(maps.Keys(w.tags))
	if len(names) == 0 {
		return nil
	}
	return w.checkTag(ctx, names[w.rng.IntN(len(names))])
}

// checkTag pulls the image that a tag points at.
func (w *worker) checkTag(ctx context.Context, name string) error {
	img := w.tags[name]
	tag := name[strings.LastIndexByte(name, ':')+1:]
	_, err := w.again(ctx, func() error { return w.c.PullManifest(ctx, img.repo, tag, img.digest()) })
	if err != nil {
		return fmt.Errorf("tag %s of %s: %w", name, img.digest(), missing(err))
	}
	return w.pull(ctx, img)
}

// tagged returns the digest that a tag points at, or "" if the tag does not exist.
func (w *worker) tagged(ctx context.Context, repo, tag string) (d digest.Digest, err error) {
	_, err = w.again(ctx, func() error {
		r, err := w.c.Do(ctx, http.StatusOK, http.MethodGet, "/v2/"+repo+"/manifests/"+tag, harness.Accept(), nil)
		if status(err) == 404 {
			d = ""
			return nil
		}
		if err == nil {
			d = digest.FromBytes(r.Body)
		}
		return err
	})
	return d, err
}

// listTags checks the list of tags in one of the worker's repositories.
func (w *worker) listTags(ctx context.Context) error { return w.checkTags(ctx, w.repo()) }

// checkTags compares the list of tags of a repository with the worker's tags.
func (w *worker) checkTags(ctx context.Context, repo string) error {
	var want []string
	for name := range w.tags {
		if tag, ok := strings.CutPrefix(name, repo+":"); ok {
			want = append(want, tag)
		}
	}
	slices.Sort(want)
	var got []string
	_, err := w.again(ctx, func() (err error) {
		got, err = w.c.Tags(ctx, repo)
		if status(err) == 404 && len(want) == 0 {
			err = nil
		}
		return err
	})
	if err != nil {
		return missing(err)
	}
	prefix := fmt.Sprintf("w%d-", w.id)
	got = slices.DeleteFunc(got, func(t string) bool { return !strings.HasPrefix(t, prefix) })
	if !slices.Equal(got, want) {
		return fail(lost, "the tags of %s are %s and not %s", repo, got, want)
	}
	return nil
}

// listReferrers compares the list of referrers of one of the worker's images with its known
// referrers.
func (w *worker) listReferrers(ctx context.Context) error {
	img := w.some(func(img *image) bool { return len(img.referrers) > 0 })
	if img == nil {
		return nil
	}
	return w.checkReferrers(ctx, img)
}

func (w *worker) checkReferrers(ctx context.Context, img *image) error {
	var want []digest.Digest
	for _, r := range img.referrers {
		if r.there {
			want = append(want, r.digest())
		}
	}
	var got []digest.Digest
	_, err := w.again(ctx, func() (err error) {
		got, err = w.c.Referrers(ctx, img.repo, img.digest())
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range want {
		if !slices.Contains(got, d) {
			return fail(lost, "%s is not among the referrers of %s in %s", d, img.digest(), img.repo)
		}
	}
	// While the subject was missing, a collection may have removed some of the referrers.
	if len(got) > len(want) && !w.s.config.untagged {
		return fail(wrong, "the referrers of %s in %s are %s and not %s", img.digest(), img.repo, got, want)
	}
	return nil
}

// lookForDeleted checks that a deleted image of the worker does not exist.
func (w *worker) lookForDeleted(ctx context.Context) error {
	if len(w.gone) == 0 {
		return nil
	}
	img := w.gone[w.rng.IntN(len(w.gone))]
	_, err := w.again(ctx, func() error {
		has, err := w.c.Has(ctx, img.path(img.digest().String()))
		if err == nil && has {
			err = fail(wrong, "%s in %s was deleted and is there again", img.digest(), img.repo)
		}
		return err
	})
	return err
}

// checkAll checks everything that the worker knows.
func (w *worker) checkAll(ctx context.Context) error {
	if err := w.checkKept(ctx); err != nil {
		return err
	}
	for _, img := range w.mine {
		if err := w.pull(ctx, img); err != nil {
			return err
		}
		if err := w.checkReferrers(ctx, img); err != nil {
			return err
		}
	}
	repos := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(w.tags)) {
		if err := w.checkTag(ctx, name); err != nil {
			return err
		}
		repos[w.tags[name].repo] = true
	}
	for repo := range repos {
		if err := w.checkTags(ctx, repo); err != nil {
			return err
		}
	}
	return nil
}
