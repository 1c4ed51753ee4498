package storage

import (
	"context"
	"errors"
	"iter"
	"maps"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
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
		if err := registry.CheckName(repo); err != nil {
			yield("", err)
			return
		}
		if s.names(ctx, tagPrefix(repo), opts, yield) {
			return
		}
		// Only an empty list needs to know whether there is a repository at all.
		_, err := s.driver.Stat(ctx, repositoryKey(repo))
		if errors.Is(err, driver.ErrNotExist) {
			err = registry.ErrNameUnknown.WithDetail(map[string]string{"name": repo})
		}
		if err != nil {
			yield("", wire(err))
		}
	}
}

// names yields the last components of the keys with a prefix, and reports whether there was any, or
// an error.
func (s *Store) names(ctx context.Context, prefix string, opts *registry.ListOptions,
	yield func(string, error) bool) (any bool) {
	o := &driver.ListOptions{KeysOnly: true}
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

// listedEntry is readEntry for an entry that a list has just shown. One that this process has read
// is not read again, if the list tells that its version is the same.
func (s *Store) listedEntry(ctx context.Context, info driver.Info) (*entry, error) {
	if info.Version == "" {
		return s.readEntry(ctx, info.Key)
	}
	if e, ok := s.entries.Get(info.Key); ok && e.version == info.Version {
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
		s.entries.Add(info.Key, &kept, weight)
	}
	return e, err
}
