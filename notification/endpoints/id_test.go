package endpoints_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/storage/memory"
)

// TestIDs: an ID states its scope and needs no escaping.
func TestIDs(t *testing.T) {
	p, err := endpoints.New(memory.New(nil), nil)
	require.NoError(t, err)
	for _, text := range []string{"registry", "namespace:acme", "namespace:a.b-c__d", "repository:alpine",
		"repository:acme/app.v1/x", "repository:" + strings.Repeat("a/", 127) + "a"} {
		scope, err := endpoints.ParseScope(text)
		require.NoError(t, err)
		require.Equal(t, text, scope.String())
		e, _, err := p.Create(t.Context(), "", scope, endpoints.Settings{Name: "x", URL: "https://x.example/"})
		require.NoError(t, err)
		require.Equal(t, string(e.ID), url.PathEscape(string(e.ID)))
		require.LessOrEqual(t, len(e.ID), 450)
		got, err := e.ID.Scope()
		require.NoError(t, err)
		require.Equal(t, scope, got)
		read, err := p.Get(t.Context(), e.ID)
		require.NoError(t, err)
		require.Equal(t, e, read)
	}
	for _, text := range []string{"", "registry:", "registry:x", "namespace", "namespace:", "namespace:a/b", "repository:",
		"repository:A", "repository:a:b", "other:x", "repository:../x"} {
		_, err := endpoints.ParseScope(text)
		require.ErrorIs(t, err, endpoints.ErrInvalid, text)
	}
}

// FuzzID: an ID is refused, or its scope has a text that is read again.
func FuzzID(f *testing.F) {
	for _, s := range []string{"registry.aaaaaaaaaaaaaaaa", "namespace.acme.aaaaaaaaaaaaaaaa",
		"repository.acme.~app.aaaaaaaaaaaaaaaa", "repository..aaaaaaaaaaaaaaaa", "namespace.a.~b.aaaaaaaaaaaaaaaa", "x", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		scope, err := endpoints.ID(s).Scope()
		if err != nil {
			require.ErrorIs(t, err, endpoints.ErrInvalid)
			return
		}
		again, err := endpoints.ParseScope(scope.String())
		require.NoError(t, err)
		require.Equal(t, scope, again)
	})
}
