package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/web"
)

// admins are the paths of views for admins, by the name of the view.
func adminPaths() map[string]string {
	return map[string]string{"retention": "/retention", "scrub": "/scrub", "jobs": "/jobs", "mirror": "/mirror",
		"audit": "/audit"}
}

// TestViewsWithoutParts: a part that the host lacks has no view.
func TestViewsWithoutParts(t *testing.T) {
	s := newSite(t, nil)
	for _, path := range []string{"/usage", "/quotas", "/retention", "/scrub", "/jobs", "/mirror", "/events", "/audit"} {
		require.Equal(t, http.StatusNotFound, s.get(t, "boss", path).StatusCode, path)
	}
}

// refuses checks that a view does not exist for people without access, and that anonymous callers are asked to sign in.
func (s *site) refuses(t *testing.T, method, path string, pairs ...string) {
	t.Helper()
	for _, who := range []string{"ann", "bob", ""} {
		var r *response
		if method == http.MethodPost {
			r = s.post(t, who, path, pairs...)
		} else {
			r = s.get(t, who, path)
		}
		want := []int{http.StatusNotFound, http.StatusForbidden}
		if who == "" {
			want = []int{http.StatusUnauthorized}
		}
		require.Contains(t, want, r.StatusCode, "%s %s as %q: %s", method, path, who, r.text)
	}
}

// TestHiddenFromUsers: the views for admins do not exist for others.
func TestHiddenFromUsers(t *testing.T) {
	s := newSite(t, withAllUpkeep(t))
	for _, path := range adminPaths() {
		require.Equal(t, http.StatusOK, s.get(t, "boss", path).StatusCode, path)
		s.refuses(t, http.MethodGet, path)
	}
	for _, path := range []string{"/retention/plan", "/retention/plan.json", "/jobs/usage/run", "/jobs/usage/cancel",
		"/mirror/refresh", "/mirror/pin", "/mirror/unpin", "/scrub/forget", "/quotas/recount", "/retention/apply"} {
		s.refuses(t, http.MethodPost, path, "repository", "hub.example/library/app", "reference", "v1", "digest",
			"sha256:"+strings.Repeat("a", 64), "prefix", "acme", "plan", "x")
	}
}

// withAllUpkeep adds all parts of this file's views to a site.
func withAllUpkeep(t *testing.T) func(s *site, manage *api.Options, page *web.Options) {
	t.Helper()
	return func(s *site, manage *api.Options, page *web.Options) {
		withUsage(t, s, manage)
		withJobs(t, s, manage, page)
		withRetention(t, s, manage, fiveBuilds)
		withQuotas(t, s, manage)
		withMirror(t, s, manage)
		withAudit(t, s, manage)
		manage.Scrub = s.driver
	}
}
