package registry_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
)

// TestUnavailableAccessIs503: an Authenticator or Authorizer that cannot answer now delays the client, and
// neither refuses nor permits anything. The cause stays on the server.
func TestUnavailableAccessIs503(t *testing.T) {
	down := &auth.UnavailableError{RetryAfter: 7 * time.Second, Err: errors.New("the issuer is down")}
	for name, o := range map[string]*registry.Options{
		"authenticator": {Authenticator: auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) {
			return auth.Identity{}, down
		})},
		"authorizer": {Authorizer: auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error {
			return down
		})},
	} {
		t.Run(name, func(t *testing.T) {
			s := registrytest.NewServer(t, o)
			res := newClient(t, s.URL).refused(503, "UNAVAILABLE", "GET", "/v2/app/tags/list", nil)
			require.Equal(t, "7", res.Header.Get("Retry-After"))
			require.NotContains(t, string(res.body), "issuer")
		})
	}
}
