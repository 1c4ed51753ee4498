package signin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"html"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// refresh is the time within which a replica notices the changes of another one.
const refresh = 100 * time.Millisecond

// site is two replicas of a registry with its API and sign-in, behind a balancer that chooses one
// at random.
type site struct {
	*httptest.Server
	people   *accounts.Accounts
	replicas []http.Handler
	only     atomic.Int64 // the number of the replica that gets all requests, or 0 for any
}

// newSite starts a site whose people sign in at p.
func newSite(t *testing.T, p *provider, change func(*signin.Provider)) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(s.only.Load())
		if n == 0 {
			n = 1 + rand.N(len(s.replicas))
		}
		s.replicas[n-1].ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	given := signin.Provider{Name: "company", Issuer: p.URL, ClientID: clientID, ClientSecret: clientSecret,
		Scopes: []string{"profile", "email"}, UserInfo: true, Create: signin.ByName, PostLogoutURL: s.URL + "/bye"}
	if change != nil {
		change(&given)
	}
	p.set(func(ps *providerStorage) {
		ps.redirects = []string{s.URL + "/signin/oidc/company/callback", s.URL + "/bye"}
	})
	d := memory.New(nil)
	for range 2 {
		store, err := storage.New(t.Context(), d, nil)
		require.NoError(t, err)
		s.people, err = accounts.New(d, &accounts.Options{Refresh: refresh})
		require.NoError(t, err)
		sessions, err := session.New(d, s.people, &session.Options{Refresh: refresh})
		require.NoError(t, err)
		logins, err := accounts.NewAuthenticator(s.people, nil)
		require.NoError(t, err)
		key, err := store.SharedSecret(t.Context(), "signin")
		require.NoError(t, err)
		handler, err := signin.New(s.people, sessions, key, &signin.Options{URL: s.URL + "/signin", Passwords: logins,
			Providers: []signin.Provider{given}, Error: func(_ context.Context, err error) { t.Log(err) },
			Audit: func(_ context.Context, d auth.Decision) {
				var cause interface{ Unwrap() error }
				if errors.As(d.Err, &cause) {
					t.Log(d.Err)
				}
			}})
		require.NoError(t, err)
		reg, err := registry.New(store, &registry.Options{Authenticator: logins,
			Authorizer: accounts.NewAuthorizer(s.people)})
		require.NoError(t, err)
		manage, err := api.New(reg, &api.Options{Authenticator: sessions.Authenticator(logins),
			Parts: api.Parts{Accounts: s.people, Sessions: sessions}})
		require.NoError(t, err)
		mux := http.NewServeMux()
		mux.Handle("/signin/", http.StripPrefix("/signin", handler))
		mux.Handle("/api/", http.StripPrefix("/api", manage))
		mux.Handle("/v2/", reg)
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page "+r.URL.Path) })
		s.replicas = append(s.replicas, mux)
	}
	return s
}

// browser is a client with cookies that follows redirects.
type browser struct {
	t *testing.T
	s *site
	*http.Client
}

func (s *site) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t, s, &http.Client{Transport: s.Client().Transport, Jar: jar}}
}

// do sends a request and returns the status, the body, and the URL after redirects.
func (b *browser) do(method, target string, body any, headers ...string) (status int, text, at string) {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.s.URL + target
	}
	content, contentType := []byte(nil), ""
	switch v := body.(type) {
	case nil:
	case url.Values:
		content, contentType = []byte(v.Encode()), "application/x-www-form-urlencoded"
	default:
		var err error
		content, err = json.Marshal(v)
		require.NoError(b.t, err)
		contentType = "application/json"
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, bytes.NewReader(content))
	require.NoError(b.t, err)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := b.Do(r)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	if _, rest, ok := strings.Cut(string(all), `http-equiv="refresh" content="0; url=`); ok {
		to, _, _ := strings.Cut(rest, `"`)
		return b.do("GET", html.UnescapeString(to), nil)
	}
	return resp.StatusCode, string(all), resp.Request.URL.String()
}

// signIn signs in at the provider.
func (b *browser) signIn() (status int, text, at string) {
	b.t.Helper()
	return b.do("GET", "/signin/oidc/company?return=/repositories", nil)
}

// caller is what GET /v1/user returns.
type caller struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
	Admin  bool     `json:"admin"`
}

// caller returns who is signed in, by the management API.
func (b *browser) caller(headers ...string) (c caller) {
	b.t.Helper()
	status, text, _ := b.do("GET", "/api/v1/user", nil, headers...)
	if status == http.StatusUnauthorized {
		return c
	}
	require.Equal(b.t, 200, status, text)
	require.NoError(b.t, json.Unmarshal([]byte(text), &c))
	return c
}
