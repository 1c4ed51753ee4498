package registry_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// TestAudit: each decision is recorded with the identity, the source and the rule, and without
// secrets.
func TestAudit(t *testing.T) {
	var seen []auth.Decision
	s := registrytest.NewServer(t, &registry.Options{
		Authenticator: testPrincipals, Authorizer: testPrincipals,
		Audit: func(_ context.Context, d auth.Decision) { seen = append(seen, d) },
	})
	img := registrytest.RandomImage(1, 1, 10)
	require.NoError(t, img.Push(t.Context(), s.Store, "a", "v1"))
	c := newClient(t, s.URL)
	one := func(status int, method, path, principal string) auth.Decision {
		t.Helper()
		seen = nil
		c.want(status, method, path, nil, "Principal: "+principal, "Authorization: Basic aHVzaDpodXNo",
			"User-Agent: tester", "Cookie: hush")
		require.Len(t, seen, 1)
		require.NotContains(t, fmt.Sprintf("%+v", seen[0]), "hush")
		require.NotContains(t, fmt.Sprintf("%+v", seen[0]), "aHVza")
		require.Equal(t, method, seen[0].Method)
		require.Equal(t, "tester", seen[0].UserAgent)
		require.True(t, strings.HasPrefix(seen[0].RemoteAddr, "127.0.0.1:"))
		return seen[0]
	}
	pull := []auth.Access{{Type: "repository", Name: "a", Action: auth.Pull, Tag: "v1"}}
	d := one(200, "GET", "/v2/a/manifests/v1", "reader")
	require.Equal(t, auth.Decision{
		Identity: auth.Identity{Name: "reader"}, Accesses: pull, Allowed: true,
		Method: "GET", Path: "/v2/a/manifests/v1", RemoteAddr: d.RemoteAddr, UserAgent: "tester",
	}, d)
	d = one(403, "GET", "/v2/a/manifests/v1", "other")
	require.False(t, d.Allowed)
	require.ErrorIs(t, d.Err, auth.ErrDenied)
	require.Equal(t, "other", d.Identity.Name)
	d = one(401, "GET", "/v2/a/manifests/v1", "forged")
	require.ErrorIs(t, d.Err, auth.ErrCredentials)
	require.Nil(t, d.Accesses)
	require.Equal(t, "/v2/a/blobs/uploads/<id>", one(403, "PATCH", "/v2/a/blobs/uploads/secret", "reader").Path)

	seen = nil
	c.want(202, "POST", "/v2/a/blobs/uploads/?from=c&mount="+sha256Zeros, nil, "Principal: writer")
	require.Len(t, seen, 2, "the push, and the source of the mount")
	require.Equal(t, []bool{true, false}, []bool{seen[0].Allowed, seen[1].Allowed})
	require.Equal(t, "c", seen[1].Accesses[0].Name)

	seen = nil
	c.want(201, "PUT", "/v2/a/manifests/v2", img.Manifest, "Principal: writer", "Content-Type: "+img.Descriptor.MediaType)
	require.Len(t, seen, 2, "the push, and whether the tag may be overwritten")
	require.Equal(t, auth.Overwrite, seen[1].Accesses[0].Action)

	seen = nil
	_, err := s.Registry.Backend(auth.Identity{Name: "reader"}).StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"},
		nil)
	require.NoError(t, err)
	require.Len(t, seen, 1)
	require.Equal(t, "", seen[0].RemoteAddr)
}
