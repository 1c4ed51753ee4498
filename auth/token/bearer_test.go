package token_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/bearer"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
)

// TestEndpointForBearer: a registry that shares nothing with the endpoint verifies its tokens with the
// published keys by package bearer. It follows a rotation.
func TestEndpointForBearer(t *testing.T) {
	store := registrytest.NewStore(t)
	build := func(keys ...string) *token.Service {
		s, err := token.New(store, newPeople(), allow("ann repository:a:pull", "ann registry:catalog:*"),
			&token.Options{Keys: keys})
		require.NoError(t, err)
		return s
	}
	endpoint := build("old")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		endpoint.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	verifier, err := bearer.New(bearer.Options{Realm: server.URL + "/v2/token", Service: token.DefaultService,
		Issuer: token.DefaultService, JWKS: server.URL + "/v2/token/keys"})
	require.NoError(t, err)
	apart := registrytest.NewStore(t)
	reg, err := registry.New(apart, &registry.Options{Authenticator: verifier, Authorizer: verifier})
	require.NoError(t, err)
	web := httptest.NewServer(reg)
	t.Cleanup(web.Close)
	s := &site{t: t, url: web.URL}

	require.Equal(t, endpoint.Challenge(httptest.NewRequest("GET", server.URL+"/v2/a/manifests/v1", nil), nil),
		s.do("GET", "/v2/", "").Header.Get("WWW-Authenticate"))
	fetch := func(scopes ...string) string {
		status, a := ask(t, endpoint, "POST", "/v2/token", password("ann", "secret", scopes...), "")
		require.Equal(t, 200, status)
		return "Bearer " + a.AccessToken
	}
	tok := fetch("repository:a:pull,push", "registry:catalog:*")
	require.Equal(t, 404, s.do("GET", "/v2/a/manifests/v1", tok).StatusCode)
	require.Equal(t, 200, s.do("GET", "/v2/_catalog", tok).StatusCode)
	require.Equal(t, 401, s.do("POST", "/v2/a/blobs/uploads/", tok).StatusCode, "the endpoint's rules do not allow it")
	require.Equal(t, 401, s.do("GET", "/v2/b/manifests/v1", tok).StatusCode)

	endpoint = build("new", "old")
	require.Equal(t, 404, s.do("GET", "/v2/a/manifests/v1", tok).StatusCode)
}

// TestEndpointForBearerHashes: a token for very many repositories is valid at such a registry if that
// has rules of its own, because hashes only narrow what rules allow.
func TestEndpointForBearerHashes(t *testing.T) {
	endpoint := newSite(t, ann, all, nil)
	for rules, want := range map[auth.Authorizer]int{nil: 401, allow("ann repository:last:pull"): 404} {
		verifier, err := bearer.New(bearer.Options{Realm: endpoint.url + "/v2/token", Service: token.DefaultService,
			Issuer: token.DefaultService, JWKS: endpoint.url + "/v2/token/keys", Rules: rules})
		require.NoError(t, err)
		reg, err := registry.New(registrytest.NewStore(t), &registry.Options{Authenticator: verifier, Authorizer: verifier})
		require.NoError(t, err)
		web := httptest.NewServer(reg)
		t.Cleanup(web.Close)
		s := &site{t: t, url: web.URL}
		tok := endpoint.token(basic("ann", "secret"), append(manyScopes(300, 60), "repository:last:pull")...)
		require.Empty(t, granted(t, tok))
		require.Equal(t, want, s.do("GET", "/v2/last/manifests/v1", "Bearer "+tok).StatusCode)
	}
}
