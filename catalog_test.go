package registry_test

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// many is a backend of n repositories, "team-000000/app" and so on. It counts the names that it
// returns.
type many struct {
	registry.Unimplemented
	n      int
	looked atomic.Int64
}

func (m *many) name(i int) string { return fmt.Sprintf("team-%06d/app", i) }

func (m *many) Repositories(_ context.Context, opts *registry.ListOptions) iter.Seq2[string, error] {
	first := 0
	if opts != nil && opts.After != "" {
		if i, err := fmt.Sscanf(opts.After, "team-%06d", &first); i != 1 || err != nil {
			first = 0
		}
		for first < m.n && m.name(first) <= opts.After {
			first++
		}
	}
	return func(yield func(string, error) bool) {
		for i := first; i < m.n; i++ {
			m.looked.Add(1)
			if !yield(m.name(i), nil) {
				return
			}
		}
	}
}

// seesSome allows a caller to list the catalog and to pull from a few repositories.
func seesSome(names ...string) auth.AuthorizerFunc {
	return func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
		for _, a := range accesses {
			if a.Type == auth.TypeRepository && !slices.Contains(names, a.Name) {
				return auth.ErrDenied
			}
		}
		return nil
	}
}

// TestCatalogFewVisibleOfManyIsBounded: a caller that can see 3 of 1,000,000 repositories gets them
// in requests that each examine a bounded number of names, and never gets another name.
func TestCatalogFewVisibleOfManyIsBounded(t *testing.T) {
	m := &many{n: 1_000_000}
	want := []string{m.name(3), m.name(499_999), m.name(999_998)}
	opts := &registry.Options{Authorizer: seesSome(want...), PageKey: []byte("0123456789abcdef")}
	c := serve(t, m, opts)
	replica := serve(t, m, opts)
	stranger := serve(t, m, &registry.Options{Authorizer: seesSome(want...)})
	for _, query := range []string{"", "?n=1", "?n=2", "?n=3", "?n=100"} {
		var all []string
		pages := 0
		for path := "/v2/_catalog" + query; path != ""; pages++ {
			require.Less(t, pages, 1000)
			before := m.looked.Load()
			a := []*client{c, replica}[pages%2].want(200, "GET", path, nil)
			require.LessOrEqual(t, m.looked.Load()-before, int64(1<<16+3))
			all = append(all, a.list(t, "repositories")...)
			path = a.next(t)
			u, err := url.Parse(path)
			require.NoError(t, err)
			last := u.Query().Get("last")
			require.True(t, last == "" || slices.Contains(want, last) || strings.HasPrefix(last, "~"), last)
			if strings.HasPrefix(last, "~") {
				stranger.refused(400, "NAME_INVALID", "GET", path, nil)
			}
		}
		require.Equal(t, want, all, query)
		require.Greater(t, pages, 14)
	}
	a := c.want(200, "GET", "/v2/_catalog?n=0", nil)
	require.Empty(t, a.list(t, "repositories"))
	require.Empty(t, a.Header.Get("Link"))
}

// below is a Prefixer that allows everything below some prefixes.
type below []string

func (b below) Authorize(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		if a.Type == auth.TypeRepository && !slices.ContainsFunc(b,
			func(p string) bool { return strings.HasPrefix(a.Name, p) }) {
			return auth.ErrDenied
		}
	}
	return nil
}

func (b below) Prefixes(context.Context, auth.Identity) []string { return b }

// TestCatalogSkipsOtherPrefixes: repositories outside the prefixes of the Authorizer are not
// examined.
func TestCatalogSkipsOtherPrefixes(t *testing.T) {
	m := &many{n: 1_000_000}
	c := serve(t, m, &registry.Options{Authorizer: below{"team-9", "team-000003/", "team-5000", "team-50001",
		"team-5000"}, PageSize: 3})
	page := c.want(200, "GET", "/v2/_catalog", nil)
	require.Equal(t, []string{"team-000003/app", "team-500000/app", "team-500001/app"}, page.list(t, "repositories"))
	require.Less(t, m.looked.Load(), int64(10))
	page = c.want(200, "GET", page.next(t), nil)
	require.Equal(t, []string{"team-500002/app", "team-500003/app", "team-500004/app"}, page.list(t, "repositories"))
	page = c.want(200, "GET", "/v2/_catalog?last=team-500099/app", nil)
	require.Equal(t, []string{"team-900000/app", "team-900001/app", "team-900002/app"}, page.list(t, "repositories"))
	page = c.want(200, "GET", "/v2/_catalog?last=team-999998/app", nil)
	require.Equal(t, []string{"team-999999/app"}, page.list(t, "repositories"))
	require.Empty(t, page.next(t))
	require.Less(t, m.looked.Load(), int64(40))

	c = serve(t, m, &registry.Options{Authorizer: below{}})
	require.Empty(t, c.want(200, "GET", "/v2/_catalog", nil).list(t, "repositories"))

	var names below
	for i := range 1000 {
		names = append(names, m.name(1000*i))
	}
	c = serve(t, m, &registry.Options{Authorizer: names})
	_, all := c.pages("/v2/_catalog", "repositories")
	require.Equal(t, []string(names), all, "too many prefixes for looking below each")
}

// TestBeforePrefix: no name with a prefix is less than the name after which the list for that
// prefix begins.
func TestBeforePrefix(t *testing.T) {
	names := []string{"a", "a-b", "a.b", "a/b", "a/b-c", "a0", "a_b", "aa", "ab/c", "b", "b/z", "ba", "z", "z9", "0",
		"0/a", "9z"}
	for _, prefix := range append([]string{"", "-", "a-", "a--", "a.", "a/", "a_", "a/-", "A", "é", "a/b/"}, names...) {
		before := registry.BeforePrefix(prefix)
		require.True(t, before == "" || reference.CheckName(before) == nil, "%q %q", prefix, before)
		for _, name := range names {
			require.False(t, strings.HasPrefix(name, prefix) && name <= before, "%q %q %q", prefix, before, name)
		}
	}
	require.Equal(t, "team"+"."+strings.Repeat("z", reference.MaxNameLength-5), registry.BeforePrefix("team/"))
}

// TestTagsHideTagsWithoutPull: neither a list nor its links contain a tag that the caller cannot
// pull.
func TestTagsHideTagsWithoutPull(t *testing.T) {
	s := registrytest.NewServer(t, &registry.Options{
		Authorizer: auth.AuthorizerFunc(func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
			for _, a := range accesses {
				if a.Tag != "" && !strings.HasPrefix(a.Tag, "open-") {
					return auth.ErrDenied
				}
			}
			return nil
		}),
	})
	require.NoError(t, registrytest.RandomImage(1, 0, 0).Push(t.Context(), s.Store, "a", "closed-1", "open-1", "open-2",
		"secret", "open-3", "z"))
	c := newClient(t, s.URL)
	for _, query := range []string{"", "?n=1", "?n=2", "?n=3"} {
		_, all := c.pages("/v2/a/tags/list"+query, "tags")
		require.Equal(t, []string{"open-1", "open-2", "open-3"}, all)
	}
	require.Empty(t, c.want(200, "GET", "/v2/a/tags/list?n=3", nil).Header.Get("Link"))
	var all []string
	for tag, err := range s.Registry.Backend(anybody).Tags(t.Context(), "a", nil) {
		require.NoError(t, err)
		all = append(all, tag)
	}
	require.Equal(t, []string{"open-1", "open-2", "open-3"}, all)
}
