package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
)

func TestUsage(t *testing.T) {
	c := newContentSite(t)
	require.NoError(t, imageTwo.Push(t.Context(), c.store, "acme/app/sub", "v1"))
	c.do(t, "boss", "GET", "/v1/usage", nil).fails(404, "NOT_COUNTED")
	_, err := c.meter.Count(t.Context(), nil)
	require.NoError(t, err)
	var u types.Usage
	c.do(t, "boss", "GET", "/v1/usage", nil).want(200).into(&u)
	require.Equal(t, int64(5), u.Figures.Repositories)
	require.NotNil(t, u.Figures.Exclusive)
	require.Len(t, u.History, 1)
	c.do(t, "ann", "GET", "/v1/usage", nil).fails(403, "DENIED")
	for _, prefix := range []string{"acme", "acme/app", "ann"} {
		u = types.Usage{}
		c.do(t, "ann", "GET", "/v1/usage?prefix="+prefix, nil).want(200).into(&u)
		require.Equal(t, prefix, u.Prefix)
		require.Nil(t, u.Figures.Exclusive, "it would tell what other repositories hold")
		c.do(t, "bob", "GET", "/v1/usage?prefix="+prefix, nil).fails(403, "DENIED")
		c.do(t, "bob", "GET", "/v1/usage/children?prefix="+prefix, nil).fails(403, "DENIED")
		c.do(t, "bob", "GET", "/v1/usage/largest?prefix="+prefix, nil).fails(403, "DENIED")
	}
	c.do(t, "bob", "GET", "/v1/usage?prefix=none", nil).fails(403, "DENIED")
	c.do(t, "boss", "GET", "/v1/usage?prefix=none", nil).fails(404, "NAME_UNKNOWN")
	c.do(t, "boss", "GET", "/v1/usage?prefix=A", nil).fails(400, "NAME_INVALID")
	var list types.UsageList
	a := c.do(t, "ann", "GET", "/v1/usage/children?prefix=acme&limit=1", nil).want(200).into(&list)
	require.Equal(t, "acme/app", list.Items[0].Prefix)
	c.do(t, "ann", "GET", a.next(), nil).want(200).into(&list)
	require.Equal(t, "acme/web", list.Items[0].Prefix)
	c.do(t, "boss", "GET", "/v1/usage/largest?limit=2", nil).want(200).into(&list)
	require.Equal(t, "acme", list.Items[0].Prefix)
	require.Len(t, list.Items, 2)
	c.do(t, "boss", "GET", "/v1/usage/largest?limit=21", nil).fails(400, "INVALID")

	u = types.Usage{}
	c.do(t, "ann", "GET", repoPath("acme/app", "usage"), nil).want(200).into(&u)
	require.Equal(t, int64(3), u.Figures.Tags, "without those of acme/app/sub")
	require.Empty(t, u.History)
	c.do(t, "ann", "GET", repoPath("acme/web", "usage"), nil).want(200).into(&u)
	require.Len(t, u.History, 1)
	c.do(t, "ann", "GET", repoPath("acme/none", "usage"), nil).fails(404, "NAME_UNKNOWN")
	c.do(t, "ann", "GET", repoPath("acme", "usage"), nil).fails(404, "NAME_UNKNOWN")
}
