package main

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScopesOf(t *testing.T) {
	for target, want := range map[string][]string{
		"/v2/_catalog?n=1":                                    {"registry:catalog:*"},
		"/v2/a/b/manifests/latest":                            {"repository:a/b:pull,push,delete"},
		"/v2/a/blobs/sha256:ab":                               {"repository:a:pull,push,delete"},
		"/v2/a/blobs/uploads/1?digest=sha256:ab":              {"repository:a:pull,push,delete"},
		"/v2/a/referrers/sha256:ab":                           {"repository:a:pull,push,delete"},
		"/v2/a/tags/list":                                     {"repository:a:pull,push,delete"},
		"/v2/a/blobs/uploads/?mount=sha256:ab&from=manifests": {"repository:a:pull,push,delete", "repository:manifests:pull"},
	} {
		u, err := url.Parse(target)
		require.NoError(t, err)
		require.Equal(t, want, scopesOf(u), target)
	}
}
