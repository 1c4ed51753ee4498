package web_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/usage"
	"github.com/registrykit/registry/web"
)

// withUsage adds a Meter to a site.
func withUsage(t *testing.T, s *site, manage *api.Options) *usage.Meter {
	t.Helper()
	meter, err := usage.New(s.store, s.driver, nil)
	require.NoError(t, err)
	manage.Usage = meter
	return meter
}

// newUsageSite starts a site with some content, and returns its Meter.
func newUsageSite(t *testing.T) (*site, *usage.Meter) {
	t.Helper()
	var meter *usage.Meter
	s := newSite(t, func(s *site, manage *api.Options, _ *web.Options) { meter = withUsage(t, s, manage) })
	shared := registrytest.RandomImage(1, 2, 50_000)
	for _, repo := range []string{"acme/app", "acme/team/web", "ann/tool"} {
		require.NoError(t, shared.Push(t.Context(), s.store, repo, "v1"))
	}
	require.NoError(t, registrytest.RandomImage(2, 2, 100_000).Push(t.Context(), s.store, "acme/app", "v2"))
	return s, meter
}

// TestUsage: an admin sees the whole registry, and goes down to a repository.
func TestUsage(t *testing.T) {
	s, meter := newUsageSite(t)
	require.Contains(t, s.get(t, "boss", "/usage").text, "Nothing was counted yet.")
	_, err := meter.Count(t.Context(), nil)
	require.NoError(t, err)
	r := s.get(t, "boss", "/usage")
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	require.Contains(t, r.text, "3 repositories")
	require.Contains(t, r.text, "Exclusive")
	require.Equal(t, "acme", r.doc.Find("table[aria-labelledby=frees] tbody tr").First().Find("a").Text())
	require.Equal(t, 2, r.doc.Find("table[aria-labelledby=below] tbody tr").Length())
	require.Equal(t, r.doc.Find("tbody tr").Length()-1, r.doc.Find("svg.parts").Length(), "each row but that of the day")
	target, ok := r.doc.Find("table[aria-labelledby=below] a").First().Attr("href")
	require.True(t, ok)
	require.Equal(t, "/ui/usage?prefix=acme", target)
	down := s.get(t, "boss", "/usage?prefix=acme")
	require.Equal(t, "acme", down.doc.Find("h1").Text())
	require.Contains(t, down.doc.Find("table[aria-labelledby=below]").Text(), "acme/team")
	one := s.get(t, "boss", "/usage?prefix=acme/team/web")
	require.Equal(t, "Usage / acme / team", one.doc.Find(".crumbs").Text())
	require.Equal(t, 1, one.doc.Find(`a[href="/ui/repositories/acme/team/web"]`).Length())
	for _, path := range []string{"none", "UPPER", "a//b", "../x", "%00"} {
		require.GreaterOrEqual(t, s.get(t, "boss", "/usage?prefix="+path).StatusCode, 400, path)
	}
}

// TestUsageOfOthers: people see their own namespaces, without what others share with them.
func TestUsageOfOthers(t *testing.T) {
	s, meter := newUsageSite(t)
	require.Contains(t, s.get(t, "ann", "/usage").text, "Nothing was counted yet.")
	_, err := meter.Count(t.Context(), nil)
	require.NoError(t, err)
	r := s.get(t, "ann", "/usage")
	require.Equal(t, http.StatusOK, r.StatusCode, r.text)
	require.Equal(t, "annacme", r.doc.Find("table[aria-labelledby=below] tbody a").Text())
	require.NotContains(t, r.text, "Exclusive")
	require.NotContains(t, r.text, "What frees most")
	down := s.get(t, "ann", "/usage?prefix=acme/app")
	require.Equal(t, http.StatusOK, down.StatusCode)
	require.NotContains(t, down.text, "Exclusive")
	require.Contains(t, s.get(t, "bob", "/usage").text, "Nothing in your namespaces was counted yet.")
	for _, prefix := range []string{"acme", "acme/app", "ann", "none"} {
		require.Equal(t, http.StatusNotFound, s.get(t, "bob", "/usage?prefix="+prefix).StatusCode, prefix)
		require.Equal(t, http.StatusUnauthorized, s.get(t, "", "/usage?prefix="+prefix).StatusCode, prefix)
	}
	require.Equal(t, http.StatusUnauthorized, s.get(t, "", "/usage").StatusCode)
}

// TestUsageOfMany: a page has a bounded number of rows and of calls, and the others are on further pages.
func TestUsageOfMany(t *testing.T) {
	s, meter := newUsageSite(t)
	image := registrytest.RandomImage(3, 1, 10)
	for i := range 120 {
		require.NoError(t, image.Push(t.Context(), s.store, fmt.Sprintf("many/r%03d", i), "v1"))
	}
	_, err := meter.Count(t.Context(), nil)
	require.NoError(t, err)
	s.calls.Store(0)
	r := s.get(t, "boss", "/usage?prefix=many")
	require.Zero(t, s.calls.Load(), "the figures of the last count need no call of the backend")
	require.Equal(t, 50, r.doc.Find("table[aria-labelledby=below] tbody tr").Length())
	next, ok := r.doc.Find("a[rel=next]").Attr("href")
	require.True(t, ok)
	require.Contains(t, s.get(t, "boss", "/usage"+next).text, "many/r050")
}
