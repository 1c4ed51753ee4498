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
)

// Tags that are kept (registry.TagPut.Keep, registry.DeleteOptions.Keep): what such a tag reaches
// is not deleted. Neither side checks first and acts afterwards. A delete marks what it wants (a
// manifest as deleting, a link as condemned), then looks at the tags, then removes it on the
// version of its mark. A push writes the tag, then looks at all that the manifest reaches, and
// takes marks off. So either the delete sees the tag, or the push sees the mark or what is missing.
// The model is internal/model/keep.pml.

// denied is the refusal of a delete because of a tag.
func denied(tag string) error {
	return registry.ErrDenied.WithMessage("the tag " + tag +
		" keeps it from being deleted").WithDetail(map[string]string{"tag": tag})
}

// refuse returns an error if a tag that is kept points at the target, a manifest or blob, or
// reaches it. keep may be nil.
//
// Errors: registry.ErrDenied.
func (s *Store) refuse(ctx context.Context, repo string, target digest.Digest, blob bool,
	keep func(string) bool) error {
	if keep == nil {
		return nil
	}
	w := &walk{s: s, repo: repo, targets: []digest.Digest{target}, images: blob, seen: map[digest.Digest]bool{}}
	return s.keptTags(ctx, repo, keep, func(tag string, desc ocispec.Descriptor) error {
		if found, err := w.reaches(ctx, manifest.Reference{Kind: manifest.KindManifest, MediaType: desc.MediaType,
			Digest: desc.Digest}); err != nil {
			return err
		} else if found {
			return denied(tag)
		}
		return nil
	})
}

// refuseRepository returns an error if the repository has a tag that is kept. One whose manifest is
// not there keeps nothing.
//
// Errors: registry.ErrDenied.
func (s *Store) refuseRepository(ctx context.Context, repo string, keep func(string) bool) error {
	if keep == nil {
		return nil
	}
	return s.keptTags(ctx, repo, keep, func(tag string, desc ocispec.Descriptor) error {
		m, err := s.readManifest(ctx, repo, desc.Digest)
		if err != nil || !m.readable() {
			return err
		}
		return denied(tag)
	})
}

// tagsAtOnce is how many tags are read at once.
const tagsAtOnce = 64

// keptTags calls f for each tag that keep says yes to, and what it points at or is about to, until
// it returns an error. Tags that this process has read before, in the version that is listed, are
// not read again.
func (s *Store) keptTags(ctx context.Context, repo string, keep func(string) bool,
	f func(tag string, desc ocispec.Descriptor) error) error {
	prefix := tagPrefix(repo)
	var found []driver.Info
	flush := func() error {
		entries := make([]*entry, len(found))
		err := parallel.Each(parallelism, len(found), func(i int) (err error) {
			entries[i], err = s.listedEntry(ctx, found[i])
			return err
		})
		if err != nil {
			return err
		}
		for i, e := range entries {
			if e.Descriptor.Digest == "" {
				continue
			}
			tag := found[i].Key[len(prefix):]
			if err := f(tag, e.Descriptor); err != nil {
				return err
			}
			for _, n := range e.Next {
				if err := f(tag, n.Descriptor); err != nil {
					return err
				}
			}
		}
		found = found[:0]
		return nil
	}
	for info, err := range s.driver.List(ctx, prefix, nil) {
		if err != nil {
			return wire(err)
		}
		if !keep(info.Key[len(prefix):]) {
			continue
		}
		if found = append(found, info); len(found) == tagsAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// walk looks for a manifest or blob below manifests. What has been looked at once is not looked at
// again.
type walk struct {
	s       *Store
	repo    string
	targets []digest.Digest
	images  bool // look into images, too: a blob is looked for
	seen    map[digest.Digest]bool
}

// isImage reports whether a manifest of the type names blobs only.
func isImage(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest ||
		mediaType == "application/vnd.docker.distribution.manifest.v2+json"
}

// reaches reports whether a target is the manifest that from names, or below it.
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
		err := parallel.Each(parallelism, len(look), func(i int) error {
			m, err := w.s.readManifest(ctx, w.repo, look[i].Digest)
			if err != nil || m.absent() {
				return err
			}
			below[i], err = references(m)
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

// references returns what a manifest that is stored names.
func references(m *manifestRecord) ([]manifest.Reference, error) {
	parsed, err := manifest.ParseStored(m.MediaType, m.content)
	if err != nil {
		return nil, err // it could be parsed when it was pushed
	}
	return parsed.References, nil
}

// unmark takes the mark of a delete off a manifest that another one needs, and returns it as it is
// then: the delete leaves that alone, as one that has been pushed again.
func (s *Store) unmark(ctx context.Context, repo string, d digest.Digest) (*manifestRecord, error) {
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return nil, err
		}
		m, err := s.readManifest(ctx, repo, d)
		if err != nil || m.State != deleting {
			return m, err
		}
		now, err := s.setVisible(ctx, repo, d, m)
		if changed(err) {
			continue
		}
		if err == nil && !m.Collected {
			err = s.enter(ctx, repo, d, now)
		}
		return now, wire(err)
	}
	return nil, errContended
}

// enter writes the entry of a referrer with its subject again, which a delete may have removed
// before the mark was taken off. Unless another delete has come meanwhile, whoever looks finds it.
func (s *Store) enter(ctx context.Context, repo string, d digest.Digest, m *manifestRecord) error {
	if m.Subject == "" {
		return nil
	}
	parsed, err := manifest.ParseStored(m.MediaType, m.content)
	if err != nil {
		return err // it could be parsed when it was pushed
	}
	info, err := s.putReferrer(ctx, repo, m.Subject, parsed.Descriptor(d, m.Size))
	if err != nil {
		return err
	}
	if m, err = s.readManifest(ctx, repo, d); err != nil {
		return err
	} else if m.absent() {
		return s.removeSeen(ctx, info.Key, info.Version)
	}
	return s.driver.Sync(ctx, info.Key)
}

// setVisible makes a manifest visible that is known as m, and returns it as it is then.
//
// Errors: ErrChanged if it is another by now.
func (s *Store) setVisible(ctx context.Context, repo string, d digest.Digest, m *manifestRecord) (*manifestRecord,
	error) {
	n := *m
	n.State, n.Nonce, n.Collected, n.Delete = visible, nonce(), false, ""
	var err error
	n.version, err = s.put(ctx, manifestKey(repo, d), m.version, &n, m.content, driver.Deferred)
	return &n, err
}

// hold looks, after the tags have been written, at all that the manifest reaches, if one of them is
// kept, and sees to it that it stays. If something is missing, the tags that this push has created
// are removed.
//
// Errors: registry.ErrManifestBlobUnknown.
func (p *manifestPut) hold(ctx context.Context) error {
	if !slices.ContainsFunc(p.tags, func(t registry.TagPut) bool { return t.Keep }) {
		return nil
	}
	var mu sync.Mutex
	var missing []digest.Digest
	seen := map[digest.Digest]bool{}
	for level := p.parsed.References; len(level) > 0; {
		below := make([][]manifest.Reference, len(level))
		err := parallel.Each(parallelism, len(level), func(i int) error {
			found, err := p.find(ctx, level[i])
			if errors.Is(err, errMissing) && !p.s.opts.Sparse && !level[i].NonDistributable {
				mu.Lock()
				defer mu.Unlock()
				missing = append(missing, level[i].Digest)
				return nil
			}
			if err == nil && found.manifest != nil {
				below[i], err = references(found.manifest)
			}
			if errors.Is(err, errMissing) {
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
	return errors.Join(registry.ErrManifestBlobUnknown.WithDetail(missing), p.untag(ctx))
}

// keepTag returns the error of a delete of a tag that is kept.
//
// Errors: registry.ErrDenied.
func keepTag(tag string, keep func(string) bool) error {
	if keep != nil && keep(tag) {
		return registry.ErrDenied.WithMessage("the tag " + tag + " is kept").WithDetail(map[string]string{"tag": tag})
	}
	return nil
}
