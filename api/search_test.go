package api_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/rules"
)

func TestSearch(t *testing.T) {
	c := newContentSite(t)
	_, err := c.people.UpdateRepository(t.Context(), accounts.Actor{}, "ann/tool", func(r *accounts.Repository) error {
		r.Description = "# Builds the app"
		return nil
	})
	require.NoError(t, err)
	names := func(user, query string) []string {
		t.Helper()
		var list types.SearchList
		c.do(t, user, "GET", "/v1/search?"+query, nil).want(200).into(&list)
		names := []string{}
		for _, r := range list.Items {
			names = append(names, r.Kind+" "+r.Name)
		}
		return names
	}
	require.Empty(t, names("boss", "q=app"), "before the first refresh")
	require.NoError(t, c.index.Refresh(t.Context()))
	require.Equal(t, []string{"repository acme/app", "repository ann/tool"}, names("boss", "q=APP"))
	require.Equal(t, []string{"repository acme/app", "repository ann/tool"}, names("ann", "q=app"))
	require.Empty(t, names("bob", "q=app"))
	require.Equal(t, []string{"organisation acme", "repository acme/app", "repository acme/web"}, names("boss", "q=acme"))
	require.Equal(t, []string{"organisation acme", "repository acme/app", "repository acme/web"}, names("ann", "q=acme"))
	require.Empty(t, names("bob", "q=acme"))
	require.Equal(t, []string{"user bob", "repository bob/tool"}, names("bob", "q=bob"))
	require.Equal(t, []string{"user bob"}, names("bob", "q=bob&kind=user"))
	require.Empty(t, names("ann", "q=bob"))
	require.Equal(t, []string{"repository bob/tool"}, names("bob", "q=tool"))
	var list types.SearchList
	a := c.do(t, "ann", "GET", "/v1/search?q=a&limit=1", nil).want(200).into(&list)
	require.True(t, list.More)
	require.Len(t, list.Items, 1)
	require.Empty(t, a.next())
	list = types.SearchList{}
	c.do(t, "bob", "GET", "/v1/search?q=tool&limit=1", nil).want(200).into(&list)
	require.False(t, list.More, "what is hidden does not count")
	require.Empty(t, names("", "q=a"), "nothing is public")
	c.do(t, "bob", "GET", "/v1/search?q=+", nil).fails(400, "INVALID")
	c.do(t, "bob", "GET", "/v1/search", nil).fails(400, "INVALID")
	c.do(t, "bob", "GET", "/v1/search?q=a&kind=robot", nil).fails(400, "INVALID")
	c.do(t, "bob", "GET", "/v1/search?q=a&kind=", nil).fails(400, "INVALID")

	_, err = c.people.UpdateRepository(t.Context(), accounts.Actor{}, "acme/web", func(r *accounts.Repository) error {
		r.Visibility = accounts.Public
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"repository acme/web"}, names("bob", "q=acme"), "access is asked at once")
	require.Equal(t, []string{"repository acme/web"}, names("", "q=a"))
}

// newSearchSite is a content site whose index has tags and images.
func newSearchSite(t *testing.T, refine ...auth.Authorizer) *contentSite {
	t.Helper()
	c := newContentSite(t, refine...)
	require.NoError(t, c.index.Refresh(t.Context()))
	return c
}

func TestSearchTagsAndImages(t *testing.T) {
	c := newSearchSite(t)
	find := func(user, query string) types.SearchList {
		t.Helper()
		var list types.SearchList
		c.do(t, user, "GET", "/v1/search?"+query, nil).want(200).into(&list)
		return list
	}
	image := imageTwo.Descriptor.Digest
	list := find("ann", "q=v2")
	require.Len(t, list.Items, 1)
	r := list.Items[0]
	require.Equal(t, []string{"tag", "acme/app:v2", "acme/app", "v2", image.String()},
		[]string{r.Kind, r.Name, r.Repository, r.Tag, r.Digest})
	require.Equal(t, []types.SearchMatch{{Field: "tag", Text: "v2"}}, r.Matched)
	require.WithinDuration(t, time.Now(), r.Pushed, time.Minute)
	for _, query := range []string{"q=" + image.String(), "q=" + image.Encoded()[:10] + "&kind=image",
		"q=digest:" + image.Encoded()[:8]} {
		require.Equal(t, "acme/app@"+image.String(), find("ann", query).Items[0].Name, query)
		for _, user := range []string{"bob", ""} {
			require.Equal(t, []types.SearchResult{}, find(user, query).Items, query)
		}
	}
	list = find("boss", "q=v1&each=2")
	require.Len(t, list.Items, 2)
	require.Equal(t, []string{"tag"}, list.MoreOf)
	require.True(t, list.More)
	for _, query := range []string{"q=a&each=", "q=a&each=0", "q=a&each=x", "q=a&each=1001", "q=%ff", "q=tag:",
		"q=a&kind=layer"} {
		c.do(t, "ann", "GET", "/v1/search?"+query, nil).fails(400, "INVALID")
	}
}

// TestSearchHidesTags: a rule about tags also holds in a search.
func TestSearchHidesTags(t *testing.T) {
	hide, err := rules.Parse([]byte(`rules:
  - {name: hide, who: everyone, repositories: "**", tags: "v2", actions: [pull], effect: deny}
`))
	require.NoError(t, err)
	c := newSearchSite(t, hide)
	var list types.SearchList
	c.do(t, "boss", "GET", "/v1/search?q=v2", nil).want(200).into(&list)
	require.Empty(t, list.Items)
	list = types.SearchList{}
	c.do(t, "boss", "GET", "/v1/search?q="+imageTwo.Descriptor.Digest.String(), nil).want(200).into(&list)
	require.Len(t, list.Items, 1)
	require.Empty(t, list.Items[0].Tag)
}

func TestNamespaces(t *testing.T) {
	c := newSearchSite(t)
	names := func(user, query string) (names []string) {
		t.Helper()
		var list types.NamespaceList
		for path := "/v1/namespaces" + query; path != ""; {
			list = types.NamespaceList{}
			path = c.do(t, user, "GET", path, nil).want(200).into(&list).next()
			for _, n := range list.Items {
				names = append(names, n.Prefix)
			}
		}
		return names
	}
	for _, limit := range []string{"?", "?limit=1&", "?limit=2&"} {
		require.Equal(t, []string{"acme", "ann", "bob"}, names("boss", limit))
		require.Equal(t, []string{"acme", "ann"}, names("ann", limit))
		require.Equal(t, []string{"acme/app", "acme/web"}, names("ann", limit+"prefix=acme"))
		require.Empty(t, names("bob", limit+"prefix=acme"))
		require.Empty(t, names("", limit))
	}
	var list types.NamespaceList
	c.do(t, "ann", "GET", "/v1/namespaces", nil).want(200).into(&list)
	require.Equal(t, int64(3), list.Repositories)
	require.Equal(t, int64(2), list.Items[0].Repositories)
	require.False(t, list.Items[0].Repository)
	require.WithinDuration(t, time.Now(), list.Items[0].Pushed, time.Minute)
	c.do(t, "ann", "GET", "/v1/namespaces?prefix=A", nil).fails(400, "NAME_INVALID")
	c.do(t, "ann", "GET", "/v1/namespaces?after=YQ", nil).fails(400, "INVALID")
}

func TestSharing(t *testing.T) {
	c := newSearchSite(t)
	shared := func(user, repo, reference string) (s types.Sharing) {
		t.Helper()
		c.do(t, user, "GET", repoPath(repo, "manifests", reference, "shared"), nil).want(200).into(&s)
		return s
	}
	s := shared("boss", "acme/app", "v1")
	require.Len(t, s.Items, 3)
	require.Equal(t, types.SharedImage{Repository: "acme/web", Tag: "v1", Digest: imageOne.Descriptor.Digest.String(),
		Layers: 2}, s.Items[0])
	require.Len(t, s.Layers, 2)
	require.Equal(t, int64(3), s.Layers[1].Repositories)
	s = shared("ann", "acme/app", imageOne.Descriptor.Digest.String())
	require.Len(t, s.Items, 2)
	require.Equal(t, int64(2), s.Layers[0].Repositories, "what is hidden does not count")
	require.Empty(t, shared("boss", "acme/app", "v2").Items)
	c.do(t, "bob", "GET", repoPath("acme/app", "manifests", "v1", "shared"), nil).fails(403, "DENIED")
	c.do(t, "ann", "GET", repoPath("acme/app", "manifests", "none", "shared"), nil).fails(404, "MANIFEST_UNKNOWN")
}

// TestRepositoryFigures: lists have the numbers of tags, sizes and times.
func TestRepositoryFigures(t *testing.T) {
	c := newContentSite(t)
	first := func() types.RepositorySummary {
		t.Helper()
		var list types.RepositoryList
		c.do(t, "ann", "GET", "/v1/repositories?q=app", nil).want(200).into(&list)
		require.Len(t, list.Items, 1)
		return list.Items[0]
	}
	r := first()
	require.Nil(t, r.Tags)
	require.Nil(t, r.Size)
	_, err := c.meter.Count(t.Context(), nil)
	require.NoError(t, err)
	r = first()
	require.Equal(t, int64(3), *r.Tags, "those of the count")
	require.Positive(t, *r.Size)
	require.False(t, r.Counted.IsZero())
	require.NoError(t, imageTwo.Push(t.Context(), c.store, "acme/app", "v3"))
	require.NoError(t, c.index.Refresh(t.Context()))
	r = first()
	require.Equal(t, int64(4), *r.Tags, "those of the index")
	require.WithinDuration(t, time.Now(), r.Pushed, time.Minute)
}
