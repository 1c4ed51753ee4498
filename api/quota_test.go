package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/registrytest"
)

// withQuotas returns a site with limits and some content below them.
func withQuotas(t *testing.T) *site {
	t.Helper()
	return newSite(t, func(s *site, opts *api.Options) {
		limits, err := quota.NewLimits([]quota.Limit{
			{Prefix: "free", Unlimited: true},
			{Prefix: "*", Max: quota.Amounts{Bytes: 1 << 20, Tags: 10}, Soft: quota.Amounts{Bytes: 1 << 19}},
		})
		require.NoError(t, err)
		opts.Quotas, err = quota.New(s.store, s.store, s.driver, limits, nil)
		require.NoError(t, err)
		for i, repo := range []string{"acme/app", "ann/web", "free/x", "zoe/x"} {
			image := registrytest.RandomImage(uint64(i), 2, 1000)
			require.NoError(t, image.Push(t.Context(), opts.Quotas, repo, "v1"))
		}
		require.NoError(t, opts.Quotas.Flush(t.Context()))
	})
}

// TestQuotas: admins read all figures in pages, and recount.
func TestQuotas(t *testing.T) {
	s := withQuotas(t)
	var limits types.QuotaLimitList
	s.do(t, "boss", "GET", "/v1/quota/limits", nil).want(200).into(&limits)
	require.Len(t, limits.Items, 2)
	require.True(t, limits.Items[0].Unlimited)
	require.Equal(t, int64(1<<20), limits.Items[1].Max.Bytes)
	first := s.do(t, "boss", "GET", "/v1/quota/limits?limit=1", nil).want(200)
	s.do(t, "boss", "GET", first.next(), nil).want(200).into(&limits)
	require.Equal(t, "*", limits.Items[0].Prefix)

	for _, limit := range []string{"", "?limit=1", "?limit=2"} {
		prefixes, path := []string{}, "/v1/quotas"+limit
		for path != "" {
			var list types.QuotaList
			page := s.do(t, "boss", "GET", path, nil).want(200).into(&list)
			for _, one := range list.Items {
				require.Equal(t, int64(1), one.Used.Tags)
				prefixes = append(prefixes, one.Prefix)
			}
			path = page.next()
		}
		require.Equal(t, []string{"acme", "ann", "zoe"}, prefixes)
	}

	var one types.Quota
	s.do(t, "boss", "GET", "/v1/quotas/acme", nil).want(200).into(&one)
	require.Greater(t, one.Used.Bytes, int64(2000))
	require.NotZero(t, one.Counted)
	require.NoError(t, s.store.DeleteRepository(t.Context(), "acme/app", nil))
	var counted types.Quota
	s.do(t, "boss", "POST", "/v1/quotas/acme/recount", nil).want(200).into(&counted)
	require.Equal(t, types.QuotaAmounts{}, counted.Used)
	for _, prefix := range []string{"free", "acme%2Fapp", "~"} {
		s.do(t, "boss", "GET", "/v1/quotas/"+prefix, nil).fails(404, "NOT_FOUND")
		s.do(t, "boss", "POST", "/v1/quotas/"+prefix+"/recount", nil).fails(404, "NOT_FOUND")
	}
	s.do(t, "boss", "GET", "/v1/quotas/UPPER", nil).fails(400, "NAME_INVALID")
	s.do(t, "boss", "GET", "/v1/quotas?after=AAAA", nil).fails(400, "INVALID")
}

// TestOwnQuota: people read the quota of their own namespace, and of organisations that they are
// in, and no other.
func TestOwnQuota(t *testing.T) {
	s := withQuotas(t)
	var one types.Quota
	s.do(t, "ann", "GET", "/v1/quotas/ann", nil).want(200).into(&one)
	require.Equal(t, int64(1<<20), one.Max.Bytes)
	s.do(t, "ann", "GET", "/v1/quotas/acme", nil).want(200)
	s.do(t, "bob", "GET", "/v1/quotas/bob", nil).want(200)
	for _, prefix := range []string{"ann", "acme", "zoe", "nobody", "~", "UPPER"} {
		s.do(t, "bob", "GET", "/v1/quotas/"+prefix, nil).fails(403, "DENIED")
		s.do(t, "", "GET", "/v1/quotas/"+prefix, nil).fails(401, "UNAUTHORIZED")
	}
	s.do(t, "ann", "GET", "/v1/quotas", nil).fails(403, "DENIED")
	s.do(t, "ann", "GET", "/v1/quota/limits", nil).fails(403, "DENIED")
	s.do(t, "ann", "POST", "/v1/quotas/ann/recount", nil).fails(403, "DENIED")
}
