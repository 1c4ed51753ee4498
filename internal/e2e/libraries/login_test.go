package libraries

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/stretchr/testify/require"
)

// TestRegclientManyRepositories uses one client for a hundred private repositories. For each new
// repository, the client asks for a token with the scopes of all repositories so far.
func TestRegclientManyRepositories(t *testing.T) {
	store := registrytest.NewStore(t)
	users, err := static.New(map[string]static.User{"ann": {Secret: "secret"}}, nil)
	require.NoError(t, err)
	rules := auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, _ []auth.Access) error {
		if who.Name != "ann" {
			return auth.ErrDenied
		}
		return nil
	})
	logins, err := token.New(store, users, rules, &token.Options{Always: true})
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{Authenticator: logins, Authorizer: logins})
	require.NoError(t, err)
	server := httptest.NewServer(logins.Handler(reg))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")

	const repositories = 100
	img := registrytest.RandomImage(1, 1, 10)
	name := func(i int) string { return fmt.Sprintf("department/team-%d/a-service-with-a-name-%d", i%7, i) }
	for i := range repositories {
		require.NoError(t, img.Push(t.Context(), store, name(i), "v1"))
	}
	rc := regclient.New(regclient.WithConfigHost(config.Host{
		Name: host, Hostname: host, TLS: config.TLSDisabled, User: "ann", Pass: "secret",
	}))
	for range 2 {
		for i := range repositories {
			m, err := rc.ManifestGet(t.Context(), parseRef(t, host+"/"+name(i)+":v1"))
			require.NoError(t, err, name(i))
			require.Equal(t, img.Descriptor.Digest, m.GetDescriptor().Digest)
		}
	}
	// A push extends the scope of the first repository, in its place.
	require.NoError(t, rc.ImageCopy(t.Context(), parseRef(t, host+"/"+name(1)+":v1"), parseRef(t, host+"/"+name(0)+":v2")))
	require.NoError(t, rc.TagDelete(t.Context(), parseRef(t, host+"/"+name(0)+":v2")))
}
