package web_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/web"
)

// withQuotas adds limits to a site.
func withQuotas(t *testing.T, s *site, manage *api.Options) {
	t.Helper()
	limits, err := quota.NewLimits([]quota.Limit{
		{Prefix: "free", Unlimited: true},
		{Prefix: "acme", Max: quota.Amounts{Bytes: 1 << 20, Tags: 1}},
		{Prefix: "*", Max: quota.Amounts{Bytes: 1 << 20}, Soft: quota.Amounts{Bytes: 1000, Repositories: 5}},
	})
	require.NoError(t, err)
	manage.Quotas, err = quota.New(s.store, s.store, s.driver, limits, nil)
	require.NoError(t, err)
}

// newQuotaSite starts a site with limits and n namespaces with content.
func newQuotaSite(t *testing.T, n int) *site {
	t.Helper()
	var quotas *quota.Quotas
	s := newSite(t, func(s *site, manage *api.Options, _ *web.Options) {
		withQuotas(t, s, manage)
		quotas = manage.Quotas
	})
	image := registrytest.RandomImage(1, 2, 1000)
	for _, repo := range []string{"acme/app", "ann/web"} {
		require.NoError(t, image.Push(t.Context(), quotas, repo, "v1"))
	}
	for i := range n {
		require.NoError(t, image.Push(t.Context(), quotas, fmt.Sprintf("n%03d/app", i), "v1"))
	}
	require.NoError(t, quotas.Flush(t.Context()))
	return s
}

// TestQuotas: an admin sees all limits and what is used of them, and counts again.
func TestQuotas(t *testing.T) {
	s := newQuotaSite(t, 0)
	r := s.get(t, "boss", "/quotas")
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	for _, text := range []string{"full", "above the soft limit", "at most 1.0 MB, at most 1 tag", "no limit",
		"a warning from 5 repositories", "warning from 1.0 kB"} {
		require.Contains(t, r.text, text)
	}
	require.Equal(t, 1, r.doc.Find(".level-full").Length())
	require.Equal(t, 1, r.doc.Find(".level-soft").Length())
	require.NoError(t, s.store.DeleteRepository(t.Context(), "acme/app", nil))
	again := s.submit(t, "boss", r, `form:has(input[value="acme"])`)
	r = s.follow(t, "boss", again)
	require.Contains(t, r.text, "It was counted again.")
	require.Zero(t, r.doc.Find(".level-full").Length())
	for _, prefix := range []string{"free", "UPPER", "../x"} {
		require.Equal(t, http.StatusNotFound, s.post(t, "boss", "/quotas/recount", "prefix", prefix).StatusCode, prefix)
	}
}

// TestOwnQuotas: people see the quotas of their namespaces, and cannot count again.
func TestOwnQuotas(t *testing.T) {
	s := newQuotaSite(t, 0)
	r := s.get(t, "ann", "/quotas")
	require.Equal(t, 2, r.doc.Find("th[scope=rowgroup]").Length())
	require.Zero(t, r.doc.Find("main form").Length())
	require.NotContains(t, r.text, "free")
	require.Contains(t, s.get(t, "bob", "/quotas").doc.Find("th[scope=rowgroup]").Text(), "bob")
	require.Equal(t, http.StatusUnauthorized, s.get(t, "", "/quotas").StatusCode)
	require.Equal(t, http.StatusForbidden, s.post(t, "ann", "/quotas/recount", "prefix", "acme").StatusCode)
}

func TestQuotasOfMany(t *testing.T) {
	s := newQuotaSite(t, 60)
	r := s.get(t, "boss", "/quotas")
	require.Equal(t, 50, r.doc.Find("tbody.quota").Length())
	next := r.doc.Find("a[rel=next]").AttrOr("href", "")
	require.Equal(t, 12, s.get(t, "boss", "/quotas"+next).doc.Find("tbody.quota").Length())
}
