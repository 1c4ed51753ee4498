package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/client/login"
)

func TestScopesOfRequest(t *testing.T) {
	const d = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	for request, want := range map[string]string{
		"GET /v2/":                                         "",
		"GET /v2":                                          "",
		"GET /v2/_catalog?n=1":                             "registry:catalog:*",
		"GET /v2/a/manifests/v1":                           "repository:a:pull",
		"HEAD /v2/library/alpine/manifests/" + d:           "repository:library/alpine:pull",
		"GET /v2/a/b/c/blobs/" + d:                         "repository:a/b/c:pull",
		"GET /v2/a/blobs/uploads/blobs/" + d:               "repository:a:pull,push", // an upload named blobs/sha256:...
		"GET /v2/a/tags/list":                              "repository:a:pull",
		"GET /v2/a/referrers/" + d:                         "repository:a:pull",
		"GET /v2/manifests/manifests/manifests":            "repository:manifests:pull",
		"PUT /v2/a/manifests/v1":                           "repository:a:pull,push",
		"POST /v2/a/blobs/uploads/":                        "repository:a:pull,push",
		"POST /v2/a/blobs/uploads/?mount=" + d + "&from=b": "repository:a:pull,push repository:b:pull",
		"POST /v2/b/blobs/uploads/?mount=" + d + "&from=a": "repository:a:pull repository:b:pull,push",
		"POST /v2/a/blobs/uploads/?mount=x&from=a":         "repository:a:pull,push",
		"POST /v2/a/blobs/uploads/?from=../x":              "repository:a:pull,push",
		"PATCH /v2/a/blobs/uploads/1?x=y":                  "repository:a:pull,push",
		"GET /v2/a/blobs/uploads/1":                        "repository:a:pull,push",
		"DELETE /v2/a/blobs/uploads/1":                     "repository:a:pull,push",
		"DELETE /v2/a/manifests/v1":                        "repository:a:delete",
		"PATCH /uploads/1":                                 "?",
		"GET /v2/a":                                        "?",
		"GET /v2/a/b":                                      "?",
		"GET /v2/A/manifests/v1":                           "?",
		"GET /v2/a/../b/manifests/v1":                      "?",
		"GET /v2/manifests/v1":                             "?",
		"GET /v3/a/manifests/v1":                           "?",
	} {
		for _, base := range []string{"https://example.com", "https://example.com/some/where"} {
			b, err := url.Parse(base)
			require.NoError(t, err)
			method, path, _ := strings.Cut(request, " ")
			req, err := http.NewRequest(method, base+path, nil)
			require.NoError(t, err)
			got, ok := login.ScopesOf(req, b)
			if !ok {
				got = "?"
			}
			require.Equal(t, want, got, request)
		}
	}
}

func TestNormalizeScopes(t *testing.T) {
	for scopes, want := range map[string]string{
		"":                                    "",
		"  ":                                  "",
		"repository:b:push,pull":              "repository:b:pull,push",
		"repository:b:pull  repository:a:":    "repository:a: repository:b:pull",
		"repository:a:push repository:a:pull": "repository:a:pull,push",
		"repository:h:5000/a:pull,pull":       "repository:h:5000/a:pull",
		"registry:catalog:*":                  "registry:catalog:*",
		"x":                                   "",
		"repository:a:pull\x00":               "",
		"repository:ü:pull":                   "",
		strings.Repeat("a:b:c ", 1000):        "",
	} {
		require.Equal(t, want, login.Normalize(scopes), "%q", scopes)
		require.Equal(t, want, login.Normalize(want))
	}
	many := ""
	for i := range 40 {
		many += " r:" + strings.Repeat("a", i+1) + ":pull"
	}
	require.Empty(t, login.Normalize(many))

	require.True(t, login.Covers("repository:a:pull,push repository:b:pull", "repository:b:pull repository:a:push"))
	require.True(t, login.Covers("repository:a:*", "repository:a:pull"))
	require.True(t, login.Covers("x", ""))
	require.False(t, login.Covers("", "repository:a:pull"))
	require.False(t, login.Covers("repository:a:pull", "repository:a:pull,push"))
	require.False(t, login.Covers("repository:a:pull", "repository:a:pull repository:b:pull"))
	require.False(t, login.Covers("repository:a:pull,push", "repository:b:pull"))
}
