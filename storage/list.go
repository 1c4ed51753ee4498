package storage

import (
	"context"
	"errors"
	"iter"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// Repositories implements [registry.Lister]. It lists the catalog, so a repository whose delete is
// in progress may still be listed.
func (s *Store) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s.names(ctx, object.RepositoryPrefix, opts, func(name string, err error) bool {
			return yield(objectkey.Unescape(name), err)
		})
	}
}

// Tags implements [registry.Lister]. It does not read the tags.
//
// Errors: registry.ErrNameUnknown if the repository does not exist.
func (s *Store) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := registry.CheckName(repo); err != nil {
			yield("", err)
			return
		}
		if s.names(ctx, s.repo(repo).TagPrefix(), opts, yield) {
			return
		}
		// If the list is empty, the repository may not exist.
		_, err := s.objects.Driver.Stat(ctx, s.repo(repo).RepositoryKey())
		if errors.Is(err, driver.ErrNotExist) {
			err = registry.ErrNameUnknown.WithDetail(map[string]string{"name": repo})
		}
		if err != nil {
			yield("", object.RegistryError(err))
		}
	}
}

// names yields the last components of the keys that begin with prefix. It reports whether it has
// yielded any, or an error.
func (s *Store) names(ctx context.Context, prefix string, opts *registry.ListOptions,
	yield func(string, error) bool) (found bool) {
	page := options.Value(opts)
	o := &driver.ListOptions{KeysOnly: true, PageHint: page.PageHint}
	if page.After != "" {
		o.After = prefix + objectkey.Escape(page.After)
	}
	for info, err := range s.objects.Driver.List(ctx, prefix, o) {
		found = true
		if err != nil {
			yield("", object.RegistryError(err))
			return found
		}
		if !yield(info.Key[len(prefix):], nil) {
			return found
		}
	}
	return found
}
