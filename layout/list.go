package layout

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sort"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
)

// Root is an entry of index.json.
type Root struct {
	// Repository and Tag are the name of the entry. Both are "" for an entry without a tag.
	Repository, Tag string
	// Descriptor has the media type, digest, size and annotations of the entry.
	Descriptor ocispec.Descriptor
}

// Roots returns the entries of index.json in their order: those with a tag, and others, such as
// referrers and manifests that were stored without a name.
//
// Errors: those of reading index.json.
func (l *Layout) Roots(ctx context.Context) ([]Root, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	x, err := l.current()
	if err != nil {
		return nil, err
	}
	roots := make([]Root, 0, len(x.entries))
	for _, e := range x.entries {
		desc := e.desc
		desc.Annotations = maps.Clone(desc.Annotations)
		roots = append(roots, Root{Repository: e.name.repo, Tag: e.name.tag, Descriptor: desc})
	}
	return roots, nil
}

// Repositories implements [registry.Backend]. If no entry has a tag, the only repository is that of
// Options.Repository or DefaultRepository.
func (l *Layout) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	return list(ctx, opts, func() ([]string, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		names, err := l.repositories()
		return slices.Sorted(maps.Keys(names)), err
	})
}

// repositories returns the tags of each repository. The caller holds l.mu.
func (l *Layout) repositories() (map[string][]string, error) {
	x, err := l.current()
	if err != nil {
		return nil, err
	}
	if names := x.names(); len(names) > 0 || len(x.entries) == 0 {
		return names, nil
	}
	repo := l.opts.Repository
	options.Default(&repo, DefaultRepository)
	return map[string][]string{repo: nil}, nil
}

// Tags implements [registry.Backend].
//
// Errors: registry.ErrNameUnknown.
func (l *Layout) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return list(ctx, opts, func() ([]string, error) {
		if err := registry.CheckName(repo); err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		names, err := l.repositories()
		if err != nil {
			return nil, err
		}
		tags, ok := names[repo]
		if !ok {
			return nil, registry.ErrNameUnknown
		}
		return tags, nil
	})
}

// list yields the names that get returns, which are in order, from a position on.
func list(ctx context.Context, opts *registry.ListOptions, get func() ([]string, error)) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names, err := get()
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield("", err)
			return
		}
		after := options.Value(opts).After
		for _, n := range names[sort.Search(len(names), func(i int) bool { return names[i] > after }):] {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			if !yield(n, nil) {
				return
			}
		}
	}
}
