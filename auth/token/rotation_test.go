package token_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// keySet is a JSON Web Key Set.
type keySet struct {
	Keys []struct{ Kty, Crv, X, Kid, Use, Alg string }
}

// verify returns the subject of a token that is signed with a key of the set.
func (k keySet) verify(tok string) (string, error) {
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(tok, &claims, func(t *jwt.Token) (any, error) {
		for _, key := range k.Keys {
			if key.Kid == t.Header["kid"] {
				x, err := base64.RawURLEncoding.DecodeString(key.X)
				return ed25519.PublicKey(x), err
			}
		}
		return nil, fmt.Errorf("unknown key")
	}, jwt.WithValidMethods([]string{"EdDSA"}))
	return claims.Subject, err
}

// TestJWKS: another program verifies tokens with the published keys, which contain nothing private.
func TestJWKS(t *testing.T) {
	s := newSite(t, ann, all, &token.Options{Keys: []string{"new", "old"}})
	res := s.do("GET", "/v2/token/keys", "")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "public, max-age=60", res.Header.Get("Cache-Control"))
	require.Equal(t, "application/jwk-set+json", res.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	var raw struct{ Keys []map[string]string }
	require.NoError(t, json.Unmarshal([]byte(res.body), &raw))
	require.Len(t, raw.Keys, 2)
	for _, key := range raw.Keys {
		require.Len(t, key, 6)
		require.Equal(t, []string{"OKP", "Ed25519", "sig", "EdDSA"}, []string{key["kty"], key["crv"], key["use"], key["alg"]})
		x, err := base64.RawURLEncoding.DecodeString(key["x"])
		require.NoError(t, err)
		require.Len(t, x, ed25519.PublicKeySize)
	}
	var set keySet
	require.NoError(t, json.Unmarshal([]byte(res.body), &set))
	for _, authorization := range []string{"", basic("ann", "secret")} {
		sub, err := set.verify(s.token(authorization, "repository:a:pull"))
		require.NoError(t, err)
		require.Equal(t, authorization != "", sub == "ann")
	}
	content, err := s.tokens.JWKS(t.Context())
	require.NoError(t, err)
	require.Equal(t, res.body, string(content))
	require.Equal(t, 200, s.do("HEAD", "/v2/token/keys", "").StatusCode)
	require.Equal(t, 405, s.do("POST", "/v2/token/keys", "").StatusCode)
	require.Equal(t, 404, s.do("GET", "/v2/token/key", "").StatusCode)

	// Mounted elsewhere, without Handler.
	mux := http.NewServeMux()
	mux.Handle("/login/", s.tokens)
	status, _ := ask(t, mux, "GET", "/login/keys", nil, "")
	require.Equal(t, 200, status)
	status, _ = ask(t, mux, "GET", "/login/", nil, basic("ann", "secret"))
	require.Equal(t, 200, status)

	broken, err := token.New(failing{fmt.Errorf("hush")}, ann, all, nil)
	require.NoError(t, err)
	status, a := ask(t, broken, "GET", "/v2/token/keys", nil, "")
	require.Equal(t, 500, status)
	require.NotContains(t, fmt.Sprint(a), "hush")
}

// rotating is a client of two replicas behind a random balancer, which uses its access token until it
// expires and then its refresh token, as docker does. It also verifies each token with the published
// keys, which it keeps for as long as it may.
type rotating struct {
	t        *testing.T
	replicas [2]*token.Service
	access   string
	expires  time.Time
	refresh  string
	set      keySet
	read     time.Time
}

func (c *rotating) any() *token.Service { return c.replicas[rand.N(2)] }

// use makes a request every ten seconds for a time. None may be refused.
func (c *rotating) use(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Second) {
		if !time.Now().Before(c.expires) {
			status, a := refresh(c.t, c.any(), c.refresh, "repository:a:pull")
			require.Equal(c.t, 200, status)
			c.access, c.expires = a.AccessToken, time.Now().Add(time.Duration(a.ExpiresIn)*time.Second)
		}
		if time.Since(c.read) >= time.Minute {
			content, err := c.any().JWKS(c.t.Context())
			require.NoError(c.t, err)
			c.read, c.set = time.Now(), keySet{}
			require.NoError(c.t, json.Unmarshal(content, &c.set))
		}
		_, err := c.set.verify(c.access)
		require.NoError(c.t, err)
		r, err := http.NewRequest(http.MethodGet, "/v2/", nil)
		require.NoError(c.t, err)
		r.Header.Set("Authorization", "Bearer "+c.access)
		who, err := c.any().Authenticate(r)
		require.NoError(c.t, err)
		require.Equal(c.t, "ann", who.Name)
	}
}

// TestRotationLogsNobodyOut: two replicas are restarted one after the other with another list of keys,
// three times, behind a random balancer. No request is refused, and the old key is gone in the end.
func TestRotationLogsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		store, err := storage.New(t.Context(), d, nil)
		require.NoError(t, err)
		users := newPeople()
		start := func(keys ...string) *token.Service {
			tokens, err := token.NewRefreshTokens(d, nil)
			require.NoError(t, err)
			s, err := token.New(store, users, all, &token.Options{Keys: keys, Refresh: tokens})
			require.NoError(t, err)
			return s
		}
		c := &rotating{t: t, replicas: [2]*token.Service{start("old"), start("old")}}
		_, a := ask(t, c.any(), "POST", "/v2/token", url.Values{"grant_type": {"password"}, "username": {"ann"},
			"password": {"secret"}, "access_type": {"offline"}}, "")
		c.refresh = a.RefreshToken
		first := a.AccessToken
		c.use(time.Hour)
		for _, keys := range [][]string{{"old", "new"}, {"new", "old"}, {"new"}} {
			for i := range c.replicas {
				c.replicas[i] = start(keys...)
				c.use(3 * time.Minute)
			}
			c.use(token.DefaultLifetime + time.Minute)
		}
		require.NoError(t, store.RemoveSharedSecret(t.Context(), "old"))
		c.use(time.Hour)
		_, err = c.set.verify(first)
		require.ErrorContains(t, err, "unknown key")
		require.Len(t, c.set.Keys, 1)
	})
}

// TestEndpointInAnotherProcess: one process issues tokens, and another one, which knows no users and
// shares the storage, verifies them and asks its own Authorizer.
func TestEndpointInAnotherProcess(t *testing.T) {
	d := memory.New(nil)
	store := func() *storage.Store {
		s, err := storage.New(t.Context(), d, nil)
		require.NoError(t, err)
		return s
	}
	tokens, err := token.NewRefreshTokens(d, nil)
	require.NoError(t, err)
	issuer := newReplica(t, store(), newPeople(), all, &token.Options{Path: "/token", Refresh: tokens})
	nobody := auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
		if len(r.Header["Authorization"]) > 0 {
			return auth.Identity{}, auth.ErrCredentials
		}
		return auth.Identity{}, nil
	})
	rules := allow("ann repository:a:pull", "ann repository:a:push")
	reg := newReplica(t, store(), nobody, rules, &token.Options{Realm: issuer.url + "/token", Always: true})

	challenge := reg.do("GET", "/v2/a/manifests/v1", "").Header.Get("WWW-Authenticate")
	require.Equal(t, `Bearer realm="`+issuer.url+`/token",service="registry",scope="repository:a:pull"`, challenge)
	status, a := ask(t, issuer.tokens, "GET", "/token",
		url.Values{"offline_token": {"true"}, "scope": {"repository:a:pull"}}, basic("ann", "secret"))
	require.Equal(t, 200, status)
	require.Equal(t, 404, reg.do("GET", "/v2/a/manifests/v1", "Bearer "+a.Token).StatusCode)
	require.Equal(t, 401, reg.do("POST", "/v2/a/blobs/uploads/", "Bearer "+a.Token).StatusCode)
	_, a = ask(t, issuer.tokens, "POST", "/token", url.Values{"grant_type": {"refresh_token"},
		"refresh_token": {a.RefreshToken}, "scope": {"repository:a:pull,push"}}, "")
	require.Equal(t, 202, reg.do("POST", "/v2/a/blobs/uploads/", "Bearer "+a.Token).StatusCode)
	require.Equal(t, 401, reg.do("GET", "/v2/", basic("ann", "secret")).StatusCode, "it knows no passwords")
	rules.set()
	require.Equal(t, 403, reg.do("POST", "/v2/a/blobs/uploads/", "Bearer "+a.Token).StatusCode, "at once")
}
