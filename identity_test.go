package registry_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
)

// TestIdentityFromIsTheCaller checks that interceptors learn who calls, over HTTP and from Go code.
// A call within another one has the identity of the inner call.
func TestIdentityFromIsTheCaller(t *testing.T) {
	var got []string
	var s *registrytest.Server
	observe := func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		got = append(got, op.Repository+" "+registry.IdentityFrom(ctx).Name)
		if op.Repository == "outer" {
			for _, err := range s.Registry.Backend(auth.Identity{}).Tags(ctx, "inner", nil) {
				require.ErrorIs(t, err, registry.ErrNameUnknown)
			}
		}
		return next(ctx)
	}
	s = registrytest.NewServer(t, &registry.Options{
		Interceptors: []registry.Interceptor{observe},
		Authenticator: auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
			name, _, _ := r.BasicAuth()
			return auth.Identity{Name: name}, nil
		}),
	})
	get := func(name, repo string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/v2/"+repo+"/tags/list", nil)
		require.NoError(t, err)
		req.SetBasicAuth(name, "")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusNotFound, res.StatusCode)
	}
	get("ann", "a")
	get("", "b")
	get("bob", "outer")
	for _, err := range s.Registry.Backend(auth.Identity{Name: "carl"}).Tags(t.Context(), "c", nil) {
		require.ErrorIs(t, err, registry.ErrNameUnknown)
	}
	require.Equal(t, []string{"a ann", "b ", "outer bob", "inner ", "c carl"}, got)
	require.True(t, registry.IdentityFrom(t.Context()).Anonymous())
}
