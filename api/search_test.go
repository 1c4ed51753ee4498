package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
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
	c.do(t, "", "GET", "/v1/search?q=a", nil).fails(401, "UNAUTHORIZED")
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
}
