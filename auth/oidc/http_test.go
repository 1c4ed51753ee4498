package oidc_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/chain"
	"github.com/registrykit/registry/auth/htpasswd"
	"github.com/registrykit/registry/auth/oidc"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/memory"
)

// site is a registry with a token endpoint.
type site struct {
	handler   http.Handler
	decisions []auth.Decision
}

// newSite returns a registry whose callers log in by users and may do what access allows.
func newSite(t *testing.T, users auth.Authenticator, access auth.Authorizer) *site {
	s, store := &site{}, registrytest.NewStore(t)
	audit := func(_ context.Context, d auth.Decision) { s.decisions = append(s.decisions, d) }
	refresh, err := token.NewRefreshTokens(memory.New(nil), nil)
	require.NoError(t, err)
	tokens, err := token.New(store, users, access, &token.Options{Audit: audit, Refresh: refresh})
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens, Audit: audit})
	require.NoError(t, err)
	s.handler = tokens.Handler(reg)
	return s
}

func (s *site) do(method, path, authorization string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://registry.example"+path, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// password returns the header of a login.
func password(name, password string) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

// token returns the header with a token for a repository that the token endpoint has issued, and the status.
func (s *site) token(t *testing.T, authorization, repo string) (string, int) {
	w := s.do(http.MethodGet, "/v2/token?service=registry&scope="+url.QueryEscape("repository:"+repo+":pull,push"),
		authorization)
	if w.Code != http.StatusOK {
		return "", w.Code
	}
	var body struct{ Token string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
	return "Bearer " + body.Token, w.Code
}

// push returns the status of the first request of a push.
func (s *site) push(repo, authorization string) int {
	return s.do(http.MethodPost, "/v2/"+repo+"/blobs/uploads/", authorization).Code
}

// TestOnlyTheReleasePushes: only the workflow release.yml on branch main pushes app/**, with the ID token as the
// password of each request, and with a token of the token endpoint.
func TestOnlyTheReleasePushes(t *testing.T) {
	is := newIssuer(t, github.issuer)
	a, err := oidc.OpenAt(is.clock.Now, is.options(), "testdata/github.yaml")
	require.NoError(t, err)
	access, err := rules.Parse([]byte(`rules:
  - {name: release, who: {group: releasers}, repositories: "app/**", actions: [pull, push]}
  - {name: builds, who: {group: builders}, repositories: "app/**", actions: pull}
  - {name: sandbox, who: {claim: {repository: acme/app}}, repositories: "sandbox/**", actions: push}
`))
	require.NoError(t, err)
	s := newSite(t, a, access)
	for _, j := range github.jobs {
		claims := maps.Clone(github.claims)
		maps.Copy(claims, j.claims)
		job := password("anybody", is.token(t, claims))
		pushes, other := http.StatusForbidden, http.StatusForbidden
		switch {
		case j.name == "github:acme/app":
			pushes = http.StatusAccepted
		case j.name == "":
			pushes, other = http.StatusUnauthorized, http.StatusUnauthorized
		}
		require.Equal(t, pushes, s.push("app/web", job), j.what)
		require.Equal(t, other, s.push("other/web", job), j.what)
		require.Equal(t, other, s.push("application/web", job), j.what)

		bearer, status := s.token(t, job, "app/web")
		if j.name == "" {
			require.Equal(t, http.StatusUnauthorized, status, j.what)
			require.Equal(t, http.StatusUnauthorized, s.do(http.MethodGet, "/v2/", job).Code, j.what)
			continue
		}
		require.Equal(t, http.StatusOK, status, j.what)
		require.Equal(t, pushes, s.push("app/web", bearer), j.what)
		require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/v2/", job).Code, j.what)
		require.Equal(t, http.StatusNotFound, s.do(http.MethodGet, "/v2/app/web/manifests/v1", bearer).Code, j.what)
	}

	// Kept claims decide, too, also after the token endpoint.
	release := password("x", is.token(t, github.claims))
	require.Equal(t, http.StatusAccepted, s.push("sandbox/x", release))
	bearer, _ := s.token(t, release, "sandbox/x")
	require.Equal(t, http.StatusAccepted, s.push("sandbox/x", bearer))
	last := s.decisions[len(s.decisions)-1]
	require.Equal(t, "github:acme/app", last.Identity.Name)
	require.Equal(t, "github: release", last.Identity.Claims[oidc.RuleClaim])

	// The audit has the reason of a refusal.
	s.push("app/web", password("x", is.token(t, object{"aud": "vault"})))
	last = s.decisions[len(s.decisions)-1]
	require.False(t, last.Allowed)
	require.ErrorContains(t, last.Err, `oidc: github: the audience is ["vault"] and not "registry.example"`)
}

// TestProviderDownOverHTTP: a login of an issuer whose keys are not known gets 503, and others work.
func TestProviderDownOverHTTP(t *testing.T) {
	is := newIssuer(t, issuerURL)
	is.set(true)
	file := passwordFile(t)
	users, err := chain.New(is.open(t, is.anyJob()), file)
	require.NoError(t, err)
	access, err := rules.New([]rules.Rule{{Who: rules.Who{Authenticated: true}, Repositories: []string{"**"},
		Actions: []auth.Action{auth.All}}})
	require.NoError(t, err)
	s := newSite(t, users, access)
	job := password("x", is.token(t, nil))
	require.Equal(t, http.StatusServiceUnavailable, s.push("app", job))
	w := s.do(http.MethodGet, "/v2/", job)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "10", w.Header().Get("Retry-After"))
	require.Empty(t, w.Header().Get("WWW-Authenticate"))
	require.NotContains(t, w.Body.String(), "refused", "the reason is for the log")
	require.Equal(t, http.StatusAccepted, s.push("app", password("ann", "secret")))
	is.set(false)
	is.clock.Add(10 * time.Second)
	require.Equal(t, http.StatusAccepted, s.push("app", job))
}

// passwordFile has the user ann with the password "secret".
func passwordFile(t *testing.T) *htpasswd.File {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(path, append([]byte("ann:"), append(hash, '\n')...), 0o600))
	file, err := htpasswd.New(path, nil)
	require.NoError(t, err)
	return file
}

// TestChain: in a chain with a password file, each login works in either order, however often.
func TestChain(t *testing.T) {
	is := newIssuer(t, issuerURL)
	a, file := is.open(t, is.anyJob()), passwordFile(t)
	token, expired := is.token(t, nil), is.token(t, object{"exp": 1})
	stranger := newIssuer(t, "https://stranger.example").token(t, nil)
	for _, links := range [][]auth.Authenticator{{a, file}, {file, a}} {
		users, err := chain.New(links...)
		require.NoError(t, err)
		for range 30 { // more than the file allows to fail
			for _, name := range []string{"ann", "job"} {
				r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
				r.SetBasicAuth(name, token)
				identity, err := users.Authenticate(r)
				require.NoError(t, err)
				require.Equal(t, "ci:job", identity.Name)
			}
		}
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.SetBasicAuth("ann", "secret")
		identity, err := users.Authenticate(r)
		require.NoError(t, err)
		require.Equal(t, "ann", identity.Name)
		for _, password := range []string{expired, stranger, "wrong"} {
			_, err = login(users, password)
			require.ErrorIs(t, err, auth.ErrCredentials)
		}
		_, err = login(users, expired)
		require.ErrorContains(t, err, "oidc: ci: token is expired (exp 1, ")
	}
}

// TestForms: a job can also use the OAuth2 form of the token endpoint. It gets no refresh token, which would outlive
// its ID token: docker would store it instead, and the next push would fail.
func TestForms(t *testing.T) {
	is := newIssuer(t, issuerURL)
	access, err := rules.New([]rules.Rule{{Who: rules.Who{Authenticated: true}, Repositories: []string{"**"},
		Actions: []auth.Action{auth.All}}})
	require.NoError(t, err)
	s := newSite(t, is.open(t, is.anyJob()), access)
	id := is.token(t, object{"long": strings.Repeat("x", 2000)})
	form := url.Values{"grant_type": {"password"}, "username": {"job"}, "password": {id}, "service": {"registry"},
		"client_id": {"docker"}, "access_type": {"offline"}, "scope": {"repository:app:pull,push"}}
	r := httptest.NewRequest(http.MethodPost, "https://registry.example/v2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	posted := httptest.NewRecorder()
	s.handler.ServeHTTP(posted, r)
	for _, w := range []*httptest.ResponseRecorder{posted, s.do(http.MethodGet,
		"/v2/token?service=registry&offline_token=true&client_id=docker&scope=repository:app:pull,push", password("x", id))} {
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		var body map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		require.NotContains(t, body, "refresh_token")
		require.Equal(t, http.StatusAccepted, s.push("app", "Bearer "+body["access_token"].(string)))
	}

	is.set(true)
	is.clock.Add(48 * time.Hour) // its keys are too old
	form.Set("password", is.token(t, nil))
	r = httptest.NewRequest(http.MethodPost, "https://registry.example/v2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	posted = httptest.NewRecorder()
	s.handler.ServeHTTP(posted, r)
	require.Equal(t, http.StatusServiceUnavailable, posted.Code, posted.Body)
}
