package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/usage"
)

// The images of a content site.
var (
	imageOne = registrytest.RandomImage(1, 2, 100)
	imageTwo = registrytest.RandomImage(2, 1, 200)
)

// contentSite is a site with repositories, and with the parts that show them.
type contentSite struct {
	*site
	index *search.Index
	meter *usage.Meter
}

// newContentSite starts a site with acme/app (v1 and latest are imageOne, v2 is imageTwo),
// acme/web, ann/tool and bob/tool. bob is not in acme. refine is rules beside the accounts, or
// nothing.
func newContentSite(t *testing.T, refine ...auth.Authorizer) *contentSite {
	t.Helper()
	c := &contentSite{}
	c.site = newRefinedSite(t, append(refine, nil)[0], func(s *site, opts *api.Options) {
		var err error
		c.index, err = search.New(s.store, &search.Options{Accounts: s.people, Content: s.store})
		require.NoError(t, err)
		c.meter, err = usage.New(s.store, s.driver, nil)
		require.NoError(t, err)
		opts.Accounts, opts.Search, opts.Usage, opts.Tags = s.people, c.index, c.meter, s.store.Inventory()
		opts.Rules, err = rules.Parse([]byte(someRules))
		require.NoError(t, err)
	})
	for _, repo := range []string{"acme/app", "acme/web", "ann/tool", "bob/tool"} {
		require.NoError(t, imageOne.Push(t.Context(), c.store, repo, "v1"))
	}
	require.NoError(t, imageOne.Push(t.Context(), c.store, "acme/app", "latest"))
	require.NoError(t, imageTwo.Push(t.Context(), c.store, "acme/app", "v2"))
	return c
}

const someRules = `rules:
  - name: releases stay
    who: [{group: acme}, {claim: {sub: "repo:acme/*"}}]
    repositories: "**"
    actions: [overwrite, delete]
    tags: "v*"
    effect: deny
`

// repoPath returns the path of a repository, and of what is below it.
func repoPath(repo string, below ...string) string {
	path := "/v1/repositories/" + url.PathEscape(repo)
	for _, b := range below {
		path += "/" + url.PathEscape(b)
	}
	return path
}

// repositoryNames returns the names on all pages of a list of repositories.
func (s *site) repositoryNames(t *testing.T, user, path string) []string {
	t.Helper()
	names := []string{}
	for path != "" {
		var list types.RepositoryList
		a := s.do(t, user, "GET", path, nil).want(200).into(&list)
		for _, r := range list.Items {
			names = append(names, r.Name)
		}
		path = a.next()
	}
	return names
}

func TestListRepositories(t *testing.T) {
	c := newContentSite(t)
	require.NoError(t, imageOne.Push(t.Context(), c.store, "acme-x/app", "v1"))
	require.NoError(t, imageOne.Push(t.Context(), c.store, "acme", "v1"))
	every := []string{"acme", "acme-x/app", "acme/app", "acme/web", "ann/tool", "bob/tool"}
	for _, row := range []struct {
		user, query string
		want        []string
	}{
		{"boss", "", every},
		{"boss", "namespace=acme", []string{"acme", "acme/app", "acme/web"}},
		{"boss", "namespace=acme&q=b", []string{"acme/web"}},
		{"boss", "namespace=acme/app", []string{"acme/app"}},
		{"boss", "namespace=zed", []string{}},
		{"boss", "q=tool", []string{"ann/tool", "bob/tool"}},
		{"ann", "", []string{"acme", "acme/app", "acme/web", "ann/tool"}},
		{"bob", "", []string{"bob/tool"}},
		{"bob", "namespace=acme", []string{}},
	} {
		for _, limit := range []string{"", "&limit=1", "&limit=2"} {
			require.Equal(t, row.want, c.repositoryNames(t, row.user, "/v1/repositories?"+row.query+limit), row)
		}
	}
	require.Empty(t, c.repositoryNames(t, "", "/v1/repositories"), "nothing is public")
	_, err := c.people.UpdateRepository(t.Context(), accounts.Actor{}, "ann/tool", func(r *accounts.Repository) error {
		r.Visibility = accounts.Public
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"ann/tool"}, c.repositoryNames(t, "", "/v1/repositories"))
	c.do(t, "bob", "GET", "/v1/repositories?namespace=A", nil).fails(400, "NAME_INVALID")
	c.do(t, "bob", "GET", "/v1/repositories?name=a", nil).fails(400, "INVALID")
	c.do(t, "bob", "GET", "/v1/repositories?after=YWNtZQ", nil).fails(400, "INVALID")
	c.do(t, "bob", "GET", "/v1/repositories?q="+strings.Repeat("a", 256), nil).fails(400, "INVALID")
}

// TestCursors: a page ends after a limited number of names, whether or not the caller may see them.
// Its cursor does not contain the name, and is of no use to others.
func TestCursors(t *testing.T) {
	c := newContentSite(t)
	c.api.SetScanned(1)
	a := c.do(t, "bob", "GET", "/v1/repositories?limit=10", nil).want(200)
	require.JSONEq(t, `{"items":[]}`, string(a.body))
	require.NotEmpty(t, a.next())
	u, err := url.Parse(a.next())
	require.NoError(t, err)
	cursor := u.Query().Get("after")
	require.NotContains(t, cursor, "acme")
	for _, user := range []string{"ann", "boss"} {
		c.do(t, user, "GET", a.next(), nil).fails(400, "INVALID")
	}
	c.do(t, "bob", "GET", repoPath("bob/tool")+"/tags?after="+cursor, nil).fails(400, "INVALID")
	require.Equal(t, []string{"bob/tool"}, c.repositoryNames(t, "bob", "/v1/repositories?limit=10"))
	require.NoError(t, imageOne.Push(t.Context(), c.store, "acme/a-much-longer-name", "v1"))
	b := c.do(t, "bob", "GET", "/v1/repositories?limit=10", nil).want(200)
	require.Len(t, b.next(), len(a.next()), "the length of a name")
}

func TestRepository(t *testing.T) {
	c := newContentSite(t)
	path := repoPath("acme/app")
	var r types.Repository
	a := c.do(t, "ann", "GET", path, nil).want(200).into(&r)
	require.Equal(t, types.Repository{Name: "acme/app", Exists: true}, r)
	c.do(t, "ann", "PATCH", path, `{}`).fails(428, "PRECONDITION_REQUIRED")
	c.do(t, "ann", "PATCH", path, `{}`, `If-Match: "x"`).fails(412, "PRECONDITION_FAILED")
	patch := `{"description":"\n# The app\n\nand more","visibility":"public"}`
	b := c.do(t, "ann", "PATCH", path+"?reason=open", patch, a.ifMatch()).want(200).into(&r)
	want := types.Repository{Name: "acme/app", Exists: true, Public: true, Visibility: "public",
		Description: "\n# The app\n\nand more"}
	require.Equal(t, want, r)
	c.do(t, "ann", "PATCH", path, `{"description":""}`, a.ifMatch()).fails(412, "PRECONDITION_FAILED")
	require.NoError(t, imageTwo.Push(t.Context(), c.store, "acme/app", "v3"))
	_, err := c.meter.Count(t.Context(), nil)
	require.NoError(t, err)
	r = types.Repository{}
	counted := c.do(t, "ann", "GET", path, nil).want(200).into(&r)
	require.Equal(t, b.header.Get("ETag"), counted.header.Get("ETag"), "a push or a count changes no setting")
	require.Equal(t, int64(4), r.Usage.Figures.Tags)

	require.Equal(t, []string{"acme/app", "bob/tool"}, c.repositoryNames(t, "bob", "/v1/repositories"))
	var list types.RepositoryList
	c.do(t, "bob", "GET", "/v1/repositories?q=app", nil).want(200).into(&list)
	tags, size := r.Usage.Figures.Tags, r.Usage.Figures.Logical
	require.Equal(t, []types.RepositorySummary{{Name: "acme/app", Public: true, Summary: "The app", Tags: &tags,
		Size: &size, Counted: r.Usage.Counted}}, list.Items)
	c.do(t, "bob", "PATCH", path, `{"visibility":""}`, b.ifMatch()).fails(403, "DENIED")
	c.do(t, "ann", "PATCH", path, `{"visibility":"x"}`, b.ifMatch()).fails(400, "INVALID")
	c.do(t, "ann", "PATCH", path, `{"name":"x"}`, b.ifMatch()).fails(400, "INVALID")
	long := strings.Repeat("ä", 48<<9+1)
	c.do(t, "ann", "PATCH", path, types.RepositoryChange{Description: &long}, b.ifMatch()).fails(400, "INVALID")
	r = types.Repository{}
	c.do(t, "ann", "PATCH", path, `{"visibility":""}`, b.ifMatch()).want(200).into(&r)
	require.Equal(t, "\n# The app\n\nand more", r.Description)
	require.False(t, r.Public)
}

// TestRepositoryWithoutContent: it can have settings, for example before its first push.
func TestRepositoryWithoutContent(t *testing.T) {
	c := newContentSite(t)
	path := repoPath("acme/new")
	var r types.Repository
	a := c.do(t, "ann", "GET", path, nil).want(200).into(&r)
	require.Equal(t, types.Repository{Name: "acme/new"}, r)
	c.do(t, "ann", "PATCH", path, `{"visibility":"public"}`, a.ifMatch()).want(200)
	c.do(t, "bob", "GET", path, nil).want(200).into(&r)
	require.Equal(t, types.Repository{Name: "acme/new", Public: true, Visibility: "public"}, r)
	c.do(t, "ann", "DELETE", path, nil, "If-Match: *").fails(404, "NAME_UNKNOWN")
}

// TestNoUpdateOfARepositoryIsLost: of many changes with the same ETag, one is made.
func TestNoUpdateOfARepositoryIsLost(t *testing.T) {
	c := newContentSite(t)
	path := repoPath("acme/app")
	ifMatch := c.do(t, "ann", "GET", path, nil).want(200).ifMatch()
	require.Equal(t, 1, atOnce(16, func(i int) bool {
		return c.do(t, "ann", "PATCH", path, fmt.Sprintf(`{"description":"%d"}`, i), ifMatch).status == 200
	}))
}

// atOnce calls f n times at the same time, and returns how often it returned true.
func atOnce(n int, f func(i int) bool) int {
	var all sync.WaitGroup
	results := make([]bool, n)
	for i := range n {
		all.Go(func() { results[i] = f(i) })
	}
	all.Wait()
	count := 0
	for _, ok := range results {
		if ok {
			count++
		}
	}
	return count
}

func TestDeleteRepository(t *testing.T) {
	c := newContentSite(t)
	path := repoPath("acme/app")
	a := c.do(t, "ann", "GET", path, nil).want(200)
	c.do(t, "ann", "DELETE", path, nil).fails(428, "PRECONDITION_REQUIRED")
	c.do(t, "bob", "DELETE", path, nil, a.ifMatch()).fails(403, "DENIED")
	c.do(t, "ann", "DELETE", path, nil, `If-Match: "x"`).fails(412, "PRECONDITION_FAILED")
	c.do(t, "ann", "DELETE", path, nil, a.ifMatch()).want(204)
	c.do(t, "ann", "DELETE", path, nil, a.ifMatch()).fails(404, "NAME_UNKNOWN")
	require.Equal(t, []string{"acme/web", "ann/tool"}, c.repositoryNames(t, "ann", "/v1/repositories"))
}

// TestNoAccess: callers without access get the same response whether or not something exists.
func TestNoAccess(t *testing.T) {
	c := newContentSite(t)
	d := imageOne.Descriptor.Digest.String()
	for _, row := range []struct{ method, below, body string }{
		{"GET", "", ""}, {"PATCH", "", "{}"}, {"DELETE", "", ""}, {"GET", "/tags", ""}, {"GET", "/tags/v1", ""},
		{"PUT", "/tags/v1", "{}"}, {"DELETE", "/tags/v1", ""}, {"GET", "/manifests/v1", ""}, {"GET", "/manifests/" + d, ""},
		{"DELETE", "/manifests/" + d, ""}, {"GET", "/manifests/v1/content", ""}, {"GET", "/manifests/v1/referrers", ""},
		{"GET", "/history", ""}, {"POST", "/restore", "{}"}, {"GET", "/usage", ""},
	} {
		there := c.do(t, "bob", row.method, repoPath("acme/app")+row.below, row.body)
		there.fails(403, "DENIED")
		none := c.do(t, "bob", row.method, repoPath("acme/none")+row.below, row.body)
		none.fails(403, "DENIED")
		require.Equal(t, there.body, none.body)
		c.do(t, "", row.method, repoPath("acme/none")+row.below, row.body).fails(401, "UNAUTHORIZED")
		c.do(t, "boss", row.method, "/v1/repositories/A%2F..%2Fb"+row.below, row.body).fails(400, "NAME_INVALID")
	}
}

// TestAuditOfRoutes: a request makes one audit record, although the operation is authorised again
// below the API.
func TestAuditOfRoutes(t *testing.T) {
	c := newContentSite(t)
	c.do(t, "ann", "GET", repoPath("acme/app", "manifests", "v1"), nil).want(200)
	require.Len(t, c.audited, 1)
	<-c.audited
	c.do(t, "ann", "GET", repoPath("acme/app", "tags"), nil).want(200)
	require.Len(t, c.audited, 1)
	<-c.audited
	c.do(t, "ann", "GET", "/v1/repositories", nil).want(200)
	require.Len(t, c.audited, 1)
}

// TestWithoutAccounts: repositories have no settings then, and the parts about them do not exist.
func TestWithoutAccounts(t *testing.T) {
	s := newSite(t, nil)
	require.NoError(t, imageOne.Push(t.Context(), s.store, "acme/app", "v1"))
	var r types.Repository
	a := s.do(t, "ann", "GET", repoPath("acme/app"), nil).want(200).into(&r)
	require.Equal(t, types.Repository{Name: "acme/app", Exists: true}, r)
	b := s.do(t, "ann", "PATCH", repoPath("acme/app"), `{}`, a.ifMatch())
	b.fails(405, "UNSUPPORTED")
	require.Equal(t, "DELETE, GET, HEAD", b.header.Get("Allow"))
	var tag types.Tag
	s.do(t, "ann", "GET", repoPath("acme/app", "tags", "v1"), nil).want(200).into(&tag)
	require.Zero(t, tag.Set)
	var list types.TagList
	s.do(t, "ann", "GET", repoPath("acme/app", "tags"), nil).want(200).into(&list)
	require.Equal(t, []types.Tag{tag}, list.Items)
	s.do(t, "boss", "GET", "/v1/usage", nil).fails(404, "NOT_FOUND")
	s.do(t, "boss", "GET", "/v1/search?q=a", nil).fails(404, "NOT_FOUND")
	ask := pull("acme/app")
	ask.Account = "ann"
	s.do(t, "boss", "POST", "/v1/rules/explain", ask).fails(404, "NOT_FOUND")
	s.do(t, "ann", "DELETE", repoPath("acme/app"), nil, a.ifMatch()).want(204)
}
