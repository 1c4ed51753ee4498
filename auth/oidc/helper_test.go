package oidc_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/oidc"
)

// start is when the tests begin.
var start = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// clock is a clock that tests move.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.now.Store(&start)
	return c
}

func (c *clock) Now() time.Time { return *c.now.Load() }

func (c *clock) Add(d time.Duration) {
	now := c.Now().Add(d)
	c.now.Store(&now)
}

// key is a signing key with its kid.
type key struct {
	kid     string
	method  jwt.SigningMethod
	private crypto.Signer
}

func newKey(t testing.TB, kid string) key {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key{kid, jwt.SigningMethodES256, private}
}

// sign returns a token with exactly these claims.
func (k key) sign(t testing.TB, claims map[string]any) string {
	token := jwt.NewWithClaims(k.method, jwt.MapClaims(claims))
	token.Header["kid"] = k.kid
	signed, err := token.SignedString(k.private)
	require.NoError(t, err)
	return signed
}

// issuer is a provider that serves its discovery document and its keys, without a network.
type issuer struct {
	url      string
	clock    *clock
	requests atomic.Int64
	mu       sync.Mutex
	keys     []key // the first one signs
	down     bool
}

func newIssuer(t testing.TB, url string) *issuer {
	return &issuer{url: url, clock: newClock(), keys: []key{newKey(t, "one")}}
}

func (i *issuer) set(down bool, keys ...key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
	if len(keys) > 0 {
		i.keys = keys
	}
}

// RoundTrip implements http.RoundTripper.
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.requests.Add(1)
	i.mu.Lock()
	keys, down := i.keys, i.down
	i.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	var document any
	switch r.URL.Path {
	case "/keys":
		set := jose.JSONWebKeySet{}
		for _, k := range keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.kid, Use: "sig"})
		}
		document = set
	default:
		document = map[string]string{"issuer": i.url, "jwks_uri": "https://" + r.URL.Host + "/keys"}
	}
	content, err := json.Marshal(document)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(content)),
		Request: r}, err
}

// token returns a token of the issuer that is valid for ten minutes, with more claims.
func (i *issuer) token(t testing.TB, more map[string]any) string {
	now := i.clock.Now()
	claims := map[string]any{"iss": i.url, "aud": "registry.example", "sub": "job", "iat": now.Unix(), "nbf": now.Unix(),
		"exp": now.Add(10 * time.Minute).Unix()}
	maps.Copy(claims, more)
	for name, value := range claims {
		if value == nil {
			delete(claims, name)
		}
	}
	i.mu.Lock()
	k := i.keys[0]
	i.mu.Unlock()
	return k.sign(t, claims)
}

// open returns an Authenticator for providers, which get their keys from the issuer.
func (i *issuer) open(t testing.TB, providers ...oidc.Provider) *oidc.Authenticator {
	a, err := oidc.NewAt(i.clock.Now, i.options(), providers...)
	require.NoError(t, err)
	return a
}

// options returns options with a client that reaches the issuer.
func (i *issuer) options() *oidc.Options { return &oidc.Options{Client: &http.Client{Transport: i}} }

// anyJob accepts all tokens of an issuer.
func (i *issuer) anyJob() oidc.Provider {
	return oidc.Provider{Name: "ci", Issuer: i.url, Audience: "registry.example",
		Rules: []oidc.Rule{{Name: "all", Claims: map[string][]string{"sub": {"**"}}}}}
}

// login sends a token as the password of Basic.
func login(a auth.Authenticator, token string) (auth.Identity, error) {
	return a.Authenticate(request(token))
}

// request returns a request with a token as the password of Basic.
func request(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.SetBasicAuth("anything", token)
	return r
}

// refuses fails the test unless a token is refused for a reason.
func refuses(t testing.TB, a auth.Authenticator, token, reason string) {
	t.Helper()
	identity, err := login(a, token)
	require.ErrorIs(t, err, auth.ErrCredentials)
	require.ErrorContains(t, err, reason)
	require.Zero(t, identity)
}

// openFile opens a file, and returns a function for the error that was reported last.
func openFile(t *testing.T, is *issuer, path string) (*oidc.Authenticator, func() error) {
	var last error
	opts := &oidc.Options{Client: &http.Client{Transport: is}, Error: func(_ context.Context, err error) { last = err }}
	a, err := oidc.OpenAt(is.clock.Now, opts, path)
	require.NoError(t, err)
	_, err = oidc.OpenAt(is.clock.Now, opts, path, path)
	require.ErrorContains(t, err, "two providers have the name")
	_, err = oidc.Open(nil, opts)
	require.ErrorContains(t, err, "missing")
	return a, func() error { return last }
}
