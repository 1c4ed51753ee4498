package mirror

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
)

// Repositories implements [registry.Lister]. It lists the repositories of each member that are read
// from it. A member that cannot list repositories is left out, unless no member can.
func (g *Group) Repositories(ctx context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	lists := make([]iter.Seq2[string, error], len(g.members))
	for i, m := range g.members {
		lists[i] = func(yield func(string, error) bool) {
			for repo, err := range m.Repositories(ctx, opts) {
				if (err != nil || slices.Contains(g.of(repo), m)) && !yield(repo, err) {
					return
				}
			}
		}
	}
	return union(ctx, g, g.members, lists, registry.ErrUnsupported, func(name string) string { return name })
}

// Tags implements [registry.Lister].
//
// Errors: registry.ErrNameUnknown if no member has the repository.
func (g *Group) Tags(ctx context.Context, repo string, opts *registry.ListOptions) iter.Seq2[string, error] {
	return listFrom(ctx, g, repo, func(m *member) iter.Seq2[string, error] { return m.Tags(ctx, repo, opts) },
		func(name string) string { return name })
}

// Referrers implements [registry.Lister]. ReferrersOptions.Scan has no effect in a mixed
// repository.
func (g *Group) Referrers(ctx context.Context, repo string, d digest.Digest,
	opts *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	if len(g.of(repo)) > 1 && opts != nil {
		o := options.Value(opts)
		o.Scan = nil // the members would call it in an order that is not that of the digests
		opts = &o
	}
	list := func(m *member) iter.Seq2[ocispec.Descriptor, error] { return m.Referrers(ctx, repo, d, opts) }
	return listFrom(ctx, g, repo, list, func(desc ocispec.Descriptor) string { return string(desc.Digest) })
}

// listFrom yields the union of the lists of the members of a repository.
func listFrom[T any](ctx context.Context, g *Group, repo string, list func(*member) iter.Seq2[T, error],
	key func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		if err := registry.CheckName(repo); err != nil {
			yield(zero, err)
			return
		}
		members := g.of(repo)
		switch len(members) {
		case 0:
			yield(zero, registry.ErrNameUnknown)
			return
		case 1:
			list(members[0])(yield)
			return
		}
		lists := make([]iter.Seq2[T, error], len(members))
		for i, m := range members {
			lists[i] = list(m)
		}
		union(ctx, g, members, lists, registry.ErrNameUnknown, key)(yield)
	}
}

// merge merges sorted lists of members. Of elements with the same key, it has that of the first
// member.
type merge[T any] struct {
	group  *Group
	ctx    context.Context
	absent error // the error of a list whose member does not have it
	key    func(T) string
	heads  []*head[T] // the lists that have not ended, in the order of their members
}

// head is a list, and its next element.
type head[T any] struct {
	member *member
	next   func() (T, error, bool)
	stop   func()
	value  T
	key    string
}

// union yields the union of lists. A list that begins with the error absent is left out, unless all
// do.
func union[T any](ctx context.Context, g *Group, members []*member, lists []iter.Seq2[T, error], absent error,
	key func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		m := &merge[T]{group: g, ctx: ctx, absent: absent, key: key}
		defer m.stop()
		err := m.start(members, lists)
		for err == nil && len(m.heads) > 0 {
			first := slices.MinFunc(m.heads, func(a, b *head[T]) int { return cmp.Compare(a.key, b.key) })
			at := first.key
			if !yield(first.value, nil) {
				return
			}
			err = m.advance(at)
		}
		if err != nil {
			yield(zero, err)
		}
	}
}

// start reads the first element of each list.
func (m *merge[T]) start(members []*member, lists []iter.Seq2[T, error]) error {
	there := false
	var missing, failed error
	for i, list := range lists {
		h := &head[T]{member: members[i]}
		h.next, h.stop = iter.Pull2(list)
		more, err := m.read(h)
		if more {
			m.heads = append(m.heads, h)
		} else {
			h.stop()
		}
		switch {
		case err == nil:
			there = true
		case errors.Is(err, m.absent):
			missing = err
		case !m.skips(err):
			return members[i].from(err)
		default:
			failed = members[i].from(err)
		}
	}
	if !there && failed != nil {
		return failed
	}
	if !there {
		return missing
	}
	return nil
}

// read reads the next element of a list. more is false if there is none.
func (m *merge[T]) read(h *head[T]) (more bool, err error) {
	v, err, ok := h.next()
	if !ok || err != nil {
		return false, err
	}
	h.value, h.key = v, m.key(v)
	return true, nil
}

// advance moves the lists on whose next element has the key at, and drops those that end.
func (m *merge[T]) advance(at string) error {
	for i := 0; i < len(m.heads); {
		h := m.heads[i]
		if h.key > at {
			i++
			continue
		}
		more, err := m.read(h)
		if err != nil && !m.skips(err) {
			return h.member.from(err)
		}
		if more {
			i++
		} else {
			h.stop()
			m.heads = slices.Delete(m.heads, i, i+1)
		}
	}
	return nil
}

// skips reports whether a list that fails is left out.
func (m *merge[T]) skips(err error) bool {
	return m.group.skipFailing && m.ctx.Err() == nil && !isRefusal(err)
}

// stop ends all lists.
func (m *merge[T]) stop() {
	for _, h := range m.heads {
		h.stop()
	}
}
