package storage

import (
	"context"
	"errors"
	"iter"
	"maps"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
)

// Repositories implements [registry.Lister].
func (s *Store) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s.names(ctx, repositories, opts, func(name string, err error) bool { return yield(unescape(name), err) })
	}
}

// Tags implements [registry.Lister].
func (s *Store) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := checkName(repo); err != nil {
			yield("", err)
			return
		}
		if s.names(ctx, tagPrefix(repo), opts, yield) {
			return
		}
		// Only an empty list needs to know whether there is a repository at all.
		_, err := s.driver.Stat(ctx, repositoryKey(repo))
		if errors.Is(err, ErrNotExist) {
			err = registry.ErrNameUnknown.WithDetail(map[string]string{"name": repo})
		}
		if err != nil {
			yield("", wire(err))
		}
	}
}

// names yields the last components of the keys with a prefix, and reports whether there was any, or an error.
func (s *Store) names(ctx context.Context, prefix string, opts *registry.ListOptions, yield func(string, error) bool) (any bool) {
	o := &ListOptions{KeysOnly: true}
	if opts != nil {
		o.PageHint = opts.PageHint
		if opts.After != "" {
			o.After = prefix + escape(opts.After)
		}
	}
	for info, err := range s.driver.List(ctx, prefix, o) {
		any = true
		if err != nil {
			yield("", wire(err))
			return
		}
		if !yield(info.Key[len(prefix):], nil) {
			return
		}
	}
	return any
}

const (
	// referrersAtOnce is how many entries of referrers are read before the first of them is used.
	referrersAtOnce = 64
	// referrersMemory is how many bytes of entries are, but for the last of them: one may be as large as a manifest.
	referrersMemory = 4 << 20
	// referrerUnknown is what an entry counts of these that the driver does not tell the size of.
	referrerUnknown = referrersMemory / 16
)

// Referrers implements [registry.Lister].
func (s *Store) Referrers(ctx context.Context, repo string, d digest.Digest, opts *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		if err := checkBlob(repo, d); err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		var o registry.ReferrersOptions
		if opts != nil {
			o = *opts
		}
		prefix := referrerPrefix(repo, d)
		list := &ListOptions{KeysOnly: true, PageHint: o.PageHint}
		if o.After != "" {
			if err := checkBlob(repo, o.After); err != nil {
				yield(ocispec.Descriptor{}, err)
				return
			}
			list.After = prefix + digestPath(o.After)
		}
		var found []Info
		size := int64(0)
		for info, err := range s.driver.List(ctx, prefix, list) {
			if err != nil {
				yield(ocispec.Descriptor{}, wire(err))
				return
			}
			found = append(found, info)
			if size += info.Size; info.Size == 0 {
				size += referrerUnknown
			}
			if len(found) == referrersAtOnce || size >= referrersMemory {
				if !s.referrers(ctx, found, o.ArtifactType, yield) {
					return
				}
				found, size = found[:0], 0
			}
		}
		s.referrers(ctx, found, o.ArtifactType, yield)
	}
}

// referrers yields the entries that a list has found, and reports whether there shall be more.
func (s *Store) referrers(ctx context.Context, found []Info, artifactType string, yield func(ocispec.Descriptor, error) bool) bool {
	entries := make([]*entry, len(found))
	err := inParallel(len(found), func(i int) (err error) {
		entries[i], err = s.listedEntry(ctx, found[i])
		return err
	})
	if err != nil {
		yield(ocispec.Descriptor{}, err)
		return false
	}
	for _, e := range entries {
		if e.Descriptor.Digest == "" || artifactType != "" && e.Descriptor.ArtifactType != artifactType {
			continue
		}
		if !yield(e.Descriptor, nil) {
			return false
		}
	}
	return true
}

// listedEntry is readEntry for an entry that a list has just shown. One that this process has read is not read again, if the list tells that its
// version is the same.
func (s *Store) listedEntry(ctx context.Context, info Info) (*entry, error) {
	if info.Version == "" {
		return s.readEntry(ctx, info.Key)
	}
	if e, ok := s.entries.get(info.Key); ok && e.version == info.Version {
		own := *e
		own.Descriptor.Annotations = maps.Clone(e.Descriptor.Annotations) // the caller's to change
		return &own, nil
	}
	e, err := s.readEntry(ctx, info.Key)
	if err == nil && e.version != "" {
		const overhead = 400 // of an entry without annotations and its place in a map, in bytes
		weight := overhead + len(info.Key)
		for k, v := range e.Descriptor.Annotations {
			weight += len(k) + len(v)
		}
		kept := *e
		kept.Descriptor.Annotations = maps.Clone(e.Descriptor.Annotations)
		s.entries.add(info.Key, &kept, weight)
	}
	return e, err
}
