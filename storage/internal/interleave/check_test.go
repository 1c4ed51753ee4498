package interleave

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage"
)

// check demands that what must exist exists, that every visible manifest is complete, and that tags
// point where they may.
func (w *world) check() error {
	var errs []error
	for _, repo := range w.repos {
		errs = append(errs, w.checkKept(repo))
		errs = append(errs, w.checkRepository(repo))
	}
	return errors.Join(errs...)
}

// checkRepository is check for the blobs, manifests, referrers and tags of a repository.
func (w *world) checkRepository(repo string) error {
	ctx := context.Background()
	required, kept := w.required(repo), w.kept(repo)
	blobs := make([]error, len(w.blobs))
	for b := range blobs {
		blobs[b] = w.readBlob(ctx, w.observer, repo, b)
		if blobs[b] != nil && !errors.Is(blobs[b], registry.ErrBlobUnknown) {
			return fmt.Errorf("%s: blob %d exists and cannot be read: %w", repo, b, blobs[b])
		}
	}
	visible := map[int]bool{}
	for m, man := range w.mans {
		got, err := w.observer.GetManifest(ctx, repo, byDigest(man.desc.Digest))
		if err != nil && (required[m] || !errors.Is(err, registry.ErrManifestUnknown)) {
			return fmt.Errorf("%s: manifest %d is lost: %w", repo, m, err)
		}
		visible[m] = err == nil
		if err == nil && !bytes.Equal(got.Content, man.content) {
			return fmt.Errorf("%s: the content of manifest %d is wrong", repo, m)
		}
	}
	for m, man := range w.mans {
		if !visible[m] {
			continue
		}
		stands := w.standingPuts(repo, m)
		for _, b := range man.blobs {
			ensured := slices.ContainsFunc(stands, func(o *op) bool { return !w.deletedBlob(repo, b, o.start) })
			if blobs[b] != nil && (ensured || kept[m] || !w.deletedBlob(repo, b, 0)) {
				return fmt.Errorf("%s: blob %d of manifest %d is lost: %w", repo, b, m, blobs[b])
			}
		}
		for _, c := range man.children {
			ensured := slices.ContainsFunc(stands, func(o *op) bool { return !w.deleted(repo, c, o.start) })
			if !visible[c] && (ensured || kept[m] || !w.deleted(repo, c, 0)) {
				return fmt.Errorf("%s: manifest %d of index %d is lost", repo, c, m)
			}
		}
		if required[m] && man.subject >= 0 {
			if err := w.checkReferrer(ctx, repo, m); err != nil {
				return err
			}
		}
	}
	return w.checkTags(ctx, repo)
}

// checkSettled demands, when no actor works, that each manifest with a subject is listed as a
// referrer. An exception is a manifest whose push or delete has died.
func (w *world) checkSettled(ctx context.Context) error {
	for _, repo := range w.repos {
		for m, man := range w.mans {
			if man.subject < 0 || w.pushing(repo, m) {
				continue
			}
			key := "r/" + objectkey.Escape(repo) + "/m/" + pathOf(man.desc.Digest)
			if !strings.Contains(w.s.describe(key), " ok]") { // it does not exist, or its delete has died
				continue
			}
			if err := w.checkReferrer(ctx, repo, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkDangling demands, when no actor works, that each tag leads to a manifest without the help of a
// collection. An exception is a repository in which an operation has died.
func (w *world) checkDangling(ctx context.Context) error {
	for _, repo := range w.repos {
		if slices.ContainsFunc(w.ops, func(o *op) bool { return o.repo == repo && o.end == 0 }) {
			continue
		}
		for tag, err := range w.observer.Tags(ctx, repo, nil) {
			if errors.Is(err, registry.ErrNameUnknown) {
				break
			}
			if err == nil {
				_, err = w.observer.GetManifest(ctx, repo, byTag(tag))
			}
			if err != nil {
				return fmt.Errorf("%s:%s leads nowhere: %w", repo, tag, err)
			}
		}
	}
	return nil
}

// checkReferrer demands that a manifest is listed as a referrer of its subject.
func (w *world) checkReferrer(ctx context.Context, repo string, m int) error {
	for desc, err := range w.observer.Referrers(ctx, repo, w.mans[w.mans[m].subject].desc.Digest, nil) {
		if err != nil {
			return err
		}
		if desc.Digest == w.mans[m].desc.Digest {
			return nil
		}
	}
	return fmt.Errorf("%s: manifest %d is not a referrer of its subject", repo, m)
}

// checkTags demands that each tag of a repository points where it may.
func (w *world) checkTags(ctx context.Context, repo string) error {
	for _, tag := range append(w.tags, keptTag) {
		may := w.mayPointAt(repo, tag)
		if slices.Contains(may, anything) {
			continue
		}
		value := absent
		got, err := w.observer.GetManifest(ctx, repo, byTag(tag))
		if err == nil {
			value = w.numberOf(got.Descriptor.Digest)
		} else if !errors.Is(err, registry.ErrManifestUnknown) {
			return err
		}
		if !slices.Contains(may, value) {
			return fmt.Errorf("%s:%s is manifest %d, and not one of %v", repo, tag, value, may)
		}
	}
	return nil
}

// readBlob returns an error if a blob cannot be read, or if its content is wrong.
func (w *world) readBlob(ctx context.Context, s *storage.Store, repo string, b int) error {
	blob, err := s.OpenBlob(ctx, repo, w.blobs[b].desc.Digest, nil)
	if err != nil {
		return err
	}
	defer blob.Body.Close()
	want := w.blobs[b].content
	got := make([]byte, len(want)+1)
	n, err := io.ReadFull(blob.Body, got)
	switch {
	case !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("read %d bytes: %w", n, err)
	case !bytes.Equal(got[:n], want):
		return errors.New("its content is wrong")
	}
	return nil
}

// checkKept demands that only one manifest has received keptTag, which is only put where it is
// absent, and is never deleted.
func (w *world) checkKept(repo string) error {
	first := absent
	for _, o := range w.ops {
		if o.repo == repo && o.acked && o.kind == opPut && o.tag == keptTag {
			if first != absent && first != o.man {
				return fmt.Errorf("%s:%s was given to manifest %d and to manifest %d", repo, keptTag, first, o.man)
			}
			first = o.man
		}
	}
	return nil
}
