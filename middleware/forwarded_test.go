package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/htpasswd"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/middleware"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}

// from sends a request to a handler as if it came from peer, and returns the response.
func from(h http.Handler, peer, method, path string, headers ...string) *http.Response {
	return send(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = peer
		h.ServeHTTP(w, r)
	}), method, path, headers...)
}

// TestForwardedNamesClientInEventsAndAudit: events and audit records have the address of the
// client, and of the peer if that is no trusted proxy.
func TestForwardedNamesClientInEventsAndAudit(t *testing.T) {
	var seen []string
	store := registrytest.NewStore(t)
	require.NoError(t, registrytest.Index().Push(t.Context(), store, "app", "v1"))
	reg, err := registry.New(store, &registry.Options{
		Sink: notification.SinkFunc(func(_ context.Context, e notification.Event) error {
			seen = append(seen, e.Request.RemoteAddr)
			return nil
		}),
		Audit: func(_ context.Context, d auth.Decision) { seen = append(seen, d.RemoteAddr) },
	})
	require.NoError(t, err)
	trusted := []netip.Prefix{proxies[0]}
	h := middleware.Forwarded(reg, trusted)
	trusted[0] = netip.MustParsePrefix("192.0.2.0/24") // has no effect any more
	for peer, want := range map[string]string{"10.0.0.1:99": "198.51.100.7", "192.0.2.1:99": "192.0.2.1:99"} {
		seen = nil
		res := from(h, peer, http.MethodGet, "/v2/app/manifests/v1", "X-Forwarded-For: 198.51.100.7")
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, []string{want, want}, seen)
	}
	desc, err := store.StatManifest(t.Context(), "app", reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
	require.NotZero(t, desc.Size)
}

// TestForwardedKeepsTrustedProxiesOfToken: the token service still knows that a trusted proxy sent
// the request, and takes the name of the registry from its headers.
func TestForwardedKeepsTrustedProxiesOfToken(t *testing.T) {
	users, err := static.New(map[string]static.User{"ann": {Secret: "secret"}}, nil)
	require.NoError(t, err)
	nobody := auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return auth.ErrDenied })
	store := registrytest.NewStore(t)
	service, err := token.New(store, users, nobody, &token.Options{TrustedProxies: proxies})
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{Authenticator: service, Authorizer: service})
	require.NoError(t, err)
	for peer, want := range map[string]string{
		"10.0.0.1:99": "https://registry.example/", "192.0.2.1:99": "https://inner/",
	} {
		res := from(middleware.Forwarded(reg, proxies), peer, http.MethodGet, "/v2/a/manifests/v1", "Host: inner",
			"X-Forwarded-For: 198.51.100.7", "X-Forwarded-Host: registry.example", "X-Forwarded-Proto: https")
		require.Equal(t, http.StatusUnauthorized, res.StatusCode)
		require.Contains(t, res.Header.Get("WWW-Authenticate"), want)
	}
}

// TestForwardedKeepsLoginLimits: the login limits of htpasswd count by client behind Forwarded,
// whether or not htpasswd has a list of proxies of its own.
func TestForwardedKeepsLoginLimits(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "htpasswd")
	require.NoError(t, os.WriteFile(path, append([]byte("ann:"), hash...), 0o600))
	for _, own := range [][]netip.Prefix{nil, proxies} {
		file, err := htpasswd.New(path, &htpasswd.Options{Failures: 1, TrustedProxies: own})
		require.NoError(t, err)
		var last error
		h := middleware.Forwarded(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, last = file.Authenticate(r)
		}), proxies)
		login := func(client string) error {
			r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
			r.RemoteAddr = "10.0.0.1:99"
			r.Header.Set("X-Forwarded-For", client)
			r.SetBasicAuth("ann", "wrong")
			h.ServeHTTP(httptest.NewRecorder(), r)
			return last
		}
		require.ErrorIs(t, login("198.51.100.7"), auth.ErrCredentials)
		var limit *auth.LimitError
		require.ErrorAs(t, login("198.51.100.7"), &limit, "one failure is allowed")
		require.ErrorIs(t, login("198.51.100.8"), auth.ErrCredentials, "another client is not")
	}
}
