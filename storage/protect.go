package storage

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// What a protected tag reaches (registry.TagPut.Keep, registry.DeleteOptions.Keep) is not deleted.
// Neither side checks first and acts afterwards. A delete marks its target (a manifest as Deleting,
// a link as Condemned), then looks at the tags, and then removes the target in the version of its
// mark. A push writes the tag, then looks at everything that the manifest reaches, and removes
// marks. So either the delete sees the tag, or the push sees the mark or that something is missing.
// The model is internal/model/keep.pml.

// denied returns the error of a delete that a tag prevents.
func denied(tag string) error {
	return registry.ErrDenied.WithMessage("the tag " + tag +
		" keeps it from being deleted").WithDetail(map[string]string{"tag": tag})
}

// refuseManifest returns an error if a protected tag points at a manifest or reaches it. keep may be
// nil.
//
// Errors: registry.ErrDenied.
func (r repo) refuseManifest(ctx context.Context, d digest.Digest, keep func(string) bool) error {
	return r.refuse(ctx, &walk{repo: r, targets: []digest.Digest{d}, seen: map[digest.Digest]bool{}}, keep)
}

// refuseBlob returns an error if a protected tag reaches a blob. keep may be nil.
//
// Errors: registry.ErrDenied.
func (r repo) refuseBlob(ctx context.Context, d digest.Digest, keep func(string) bool) error {
	return r.refuse(ctx, &walk{repo: r, targets: []digest.Digest{d}, images: true, seen: map[digest.Digest]bool{}}, keep)
}

// refuse returns an error if a protected tag leads to a target of w.
func (r repo) refuse(ctx context.Context, w *walk, keep func(string) bool) error {
	if keep == nil {
		return nil
	}
	return r.keptTags(ctx, keep, func(tag string, desc ocispec.Descriptor) error {
		found, err := w.reaches(ctx, manifest.Reference{
			Kind: manifest.KindManifest, MediaType: desc.MediaType, Digest: desc.Digest,
		})
		if err == nil && found {
			err = denied(tag)
		}
		return err
	})
}

// refuseRepository returns an error if the repository has a protected tag. A tag whose manifest is
// gone protects nothing. keep may be nil.
//
// Errors: registry.ErrDenied.
func (r repo) refuseRepository(ctx context.Context, keep func(string) bool) error {
	if keep == nil {
		return nil
	}
	return r.keptTags(ctx, keep, func(tag string, desc ocispec.Descriptor) error {
		m, err := r.ReadManifest(ctx, desc.Digest)
		if err != nil || !m.Readable() {
			return err
		}
		return denied(tag)
	})
}

// tagsAtOnce is the number of tags that are read at the same time.
const tagsAtOnce = 64

// keptTags calls f for each tag that keep accepts, with the manifest that the tag points at and
// with those of its pending moves, until f returns an error. A tag is read from the storage only if
// this process has not read the version that is listed.
func (r repo) keptTags(ctx context.Context, keep func(string) bool,
	f func(tag string, desc ocispec.Descriptor) error) error {
	prefix := r.TagPrefix()
	kept := object.Filter(r.Driver.List(ctx, prefix, nil), func(info driver.Info) bool {
		return keep(info.Key[len(prefix):])
	})
	for batch, err := range object.Batches(kept, tagsAtOnce) {
		if err != nil {
			return err
		}
		entries := make([]*object.Entry, len(batch))
		err := parallel.Each(object.Parallelism, len(batch), func(i int) (err error) {
			entries[i], err = r.ListedEntry(ctx, batch[i])
			return err
		})
		if err != nil {
			return err
		}
		for i, e := range entries {
			if e.Descriptor.Digest == "" {
				continue
			}
			tag := batch[i].Key[len(prefix):]
			if err := f(tag, e.Descriptor); err != nil {
				return err
			}
			for _, n := range e.Pending {
				if err := f(tag, n.Descriptor); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// walk searches manifests and what they name for its targets. It looks at each manifest once.
type walk struct {
	repo    repo
	targets []digest.Digest
	images  bool // look into images, too: a blob is looked for
	seen    map[digest.Digest]bool
}

// isImage reports whether manifests of the media type name blobs only.
func isImage(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest ||
		mediaType == "application/vnd.docker.distribution.manifest.v2+json"
}

// reaches reports whether a target is the manifest that from describes, or is named by it at any
// depth.
func (w *walk) reaches(ctx context.Context, from manifest.Reference) (bool, error) {
	level := []manifest.Reference{from}
	for len(level) > 0 {
		var look []manifest.Reference
		for _, ref := range level {
			if slices.Contains(w.targets, ref.Digest) {
				return true, nil
			}
			if ref.Kind != manifest.KindManifest && ref.Kind != manifest.KindAny || w.seen[ref.Digest] ||
				!w.images && isImage(ref.MediaType) {
				continue
			}
			w.seen[ref.Digest] = true
			look = append(look, ref)
		}
		below := make([][]manifest.Reference, len(look))
		err := parallel.Each(object.Parallelism, len(look), func(i int) error {
			m, err := w.repo.ReadManifest(ctx, look[i].Digest)
			if err != nil || m.Absent() {
				return err
			}
			below[i], err = object.References(m)
			for j := range below[i] {
				if m.Mistyped {
					below[i][j].MediaType = ""
				}
			}
			return err
		})
		if err != nil {
			return false, err
		}
		level = slices.Concat(below...)
	}
	return false, nil
}

// keepReached runs after the tags have been written. If one of them is protected, it ensures that
// everything that the manifest reaches stays. If something is missing, it removes the tags that
// this push has created.
//
// Errors: registry.ErrManifestBlobUnknown.
func (p *manifestPut) keepReached(ctx context.Context) error {
	if !slices.ContainsFunc(p.tags, func(t registry.TagPut) bool { return t.Keep }) {
		return nil
	}
	var mu sync.Mutex
	var missing []digest.Digest
	seen := map[digest.Digest]bool{}
	for level := p.parsed.References; len(level) > 0; {
		below := make([][]manifest.Reference, len(level))
		err := parallel.Each(object.Parallelism, len(level), func(i int) error {
			found, err := p.find(ctx, level[i])
			if errors.Is(err, object.ErrMissing) && !p.sparse && !level[i].NonDistributable {
				mu.Lock()
				defer mu.Unlock()
				missing = append(missing, level[i].Digest)
				return nil
			}
			if err == nil && found.manifest != nil {
				below[i], err = object.References(found.manifest)
			}
			if errors.Is(err, object.ErrMissing) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		level = slices.DeleteFunc(slices.Concat(below...), func(r manifest.Reference) bool {
			was := seen[r.Digest]
			seen[r.Digest] = true
			return was
		})
	}
	if len(missing) == 0 {
		return nil
	}
	return errors.Join(registry.ErrManifestBlobUnknown.WithDetail(missing), p.removeCreated(ctx))
}

// keepTag returns the error of a delete of a protected tag.
//
// Errors: registry.ErrDenied.
func keepTag(tag string, keep func(string) bool) error {
	if keep != nil && keep(tag) {
		return registry.ErrDenied.WithMessage("the tag " + tag + " is kept").WithDetail(map[string]string{"tag": tag})
	}
	return nil
}
