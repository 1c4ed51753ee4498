package identity

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/chain"
	"github.com/registrykit/registry/auth/oidc"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// federated is a registry that accepts the tokens of providers: only the job on the branch main pushes to app/**.
// Ann pushes with a password.
type federated struct{ url string }

func newFederated(t *testing.T, providers ...*provider) *federated {
	dir, paths := t.TempDir(), []string{}
	for i, p := range providers {
		prefix := string(rune('a' + i))
		path := filepath.Join(dir, prefix+".yaml")
		require.NoError(t, os.WriteFile(path, []byte(`name: `+prefix+`
issuer: `+p.URL+`
audience: registry.example
rules:
  - {name: main, claims: {branch: main}, groups: [releasers]}
  - {name: others, claims: {branch: "*"}}
`), 0o600))
		paths = append(paths, path)
	}
	jobs, err := oidc.Open(paths, nil)
	require.NoError(t, err, "the providers need not be up")
	people, err := static.New(map[string]static.User{"ann": {Secret: "secret", Groups: []string{"releasers"}}}, nil)
	require.NoError(t, err)
	users, err := chain.New(people, jobs)
	require.NoError(t, err)
	access, err := rules.Parse([]byte(`rules:
  - {who: {group: releasers}, repositories: "app/**", actions: [pull, push, overwrite]}
`))
	require.NoError(t, err)
	store, err := storage.New(t.Context(), memory.New(nil), nil)
	require.NoError(t, err)
	audit := func(_ context.Context, d auth.Decision) {
		if d.Err != nil && testing.Verbose() {
			t.Log(d.Err)
		}
	}
	tokens, err := token.New(store, users, access, &token.Options{Always: true, Audit: audit})
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
	require.NoError(t, err)
	server := httptest.NewServer(tokens.Handler(reg))
	t.Cleanup(server.Close)
	return &federated{server.URL}
}

// statuses returns what a login gets with each request, and at the token endpoint.
func (f *federated) statuses(t *testing.T, user, password string) (direct, endpoint *http.Response) {
	get := func(path string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+path, nil)
		require.NoError(t, err)
		r.SetBasicAuth(user, password)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp
	}
	return get("/v2/"), get("/v2/token?service=registry")
}

// require fails the test unless a login gets a status.
func (f *federated) require(t *testing.T, status int, user, password, what string) {
	t.Helper()
	direct, endpoint := f.statuses(t, user, password)
	require.Equal(t, status, direct.StatusCode, what)
	require.Equal(t, status, endpoint.StatusCode, what)
	if status == http.StatusServiceUnavailable {
		require.NotEmpty(t, direct.Header.Get("Retry-After"))
		require.NotEmpty(t, endpoint.Header.Get("Retry-After"))
	}
}

// push pushes an image with a library of many tools.
func (f *federated) push(t *testing.T, repo, password string) error {
	tag, err := name.NewTag(strings.TrimPrefix(f.url, "http://") + "/" + repo + ":v1")
	require.NoError(t, err)
	image, err := random.Image(1000, 2)
	require.NoError(t, err)
	return remote.Write(tag, image, remote.WithAuth(&authn.Basic{Username: "job", Password: password}),
		remote.WithContext(t.Context()))
}

// requireStatus fails the test unless the registry has refused a push with a status.
func requireStatus(t *testing.T, status int, err error, what string) {
	t.Helper()
	var refused *transport.Error
	require.ErrorAs(t, err, &refused, what)
	require.Equal(t, status, refused.StatusCode, what)
}

// TestProviderPush: jobs log in with the tokens that a real provider issues, after discovery, and push what
// the rules permit.
func TestProviderPush(t *testing.T) {
	p := newProvider(t)
	p.start(t)
	f := newFederated(t, p)
	for what, get := range map[string]func(job string) string{
		"ID token":     func(job string) string { return p.idToken(t, job, 0, time.Minute) },
		"access token": func(job string) string { return p.accessToken(t, job) },
	} {
		require.NoError(t, f.push(t, "app/web", get("job-on-main")), what)
		requireStatus(t, http.StatusForbidden, f.push(t, "other", get("job-on-main")), what)
		requireStatus(t, http.StatusForbidden, f.push(t, "app/web", get("job-on-fix")), what)
		f.require(t, http.StatusOK, "job", get("job-on-fix"), what)
	}
	requireStatus(t, http.StatusUnauthorized, f.push(t, "app/web", "secret"), "a password of somebody else")
}

// TestProviderRefused: tokens that are expired, early, for others, unsigned or by the key of another issuer.
func TestProviderRefused(t *testing.T) {
	p, other, stranger := newProvider(t), newProvider(t), newProvider(t)
	p.start(t)
	other.start(t)
	stranger.start(t)
	f := newFederated(t, p, other)
	const job = "job-on-main"
	good := p.idToken(t, job, 0, time.Minute)
	f.require(t, http.StatusOK, "x", good, "a good one")
	f.require(t, http.StatusOK, "x", other.idToken(t, job, 0, time.Minute), "one of the other provider")
	f.require(t, http.StatusOK, "x", p.idToken(t, job, 50*time.Second, time.Minute), "a clock that is ahead")
	f.require(t, http.StatusOK, "x", p.idToken(t, job, 0, -50*time.Second), "expired within the leeway")

	part, theirs := strings.Split(good, "."), other.idToken(t, job, 0, time.Minute)
	encode := func(v any) string {
		content, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(content)
	}
	wrong := newProvider(t)
	wrong.URL, wrong.audience = p.URL, "another.example"
	wrong.storage.key = p.storage.key
	forged := newProvider(t) // its key has the same kid
	forged.URL = p.URL
	require.Equal(t, p.storage.key.id, forged.storage.key.id)
	for what, password := range map[string]string{
		"a clock that is far ahead":      p.idToken(t, job, 70*time.Second, time.Minute),
		"expired":                        p.idToken(t, job, 0, -70*time.Second),
		"another audience":               wrong.idToken(t, job, 0, time.Minute),
		"a key of another issuer":        forged.idToken(t, job, 0, time.Minute),
		"an issuer that is not accepted": stranger.idToken(t, job, 0, time.Minute),
		"alg none":                       encode(map[string]string{"alg": "none"}) + "." + part[1] + ".",
		"alg none, with the signature":   encode(map[string]string{"alg": "none"}) + "." + part[1] + "." + part[2],
		"alg HS256":                      encode(map[string]string{"alg": "HS256"}) + "." + part[1] + "." + part[2],
		"the claims of the other issuer": part[0] + "." + strings.Split(theirs, ".")[1] + "." + part[2],
		"no signature":                   part[0] + "." + part[1] + ".",
		"a password":                     "secret of the job",
		"a part of a token":              part[2],
	} {
		f.require(t, http.StatusUnauthorized, "x", password, what)
	}
}

// TestProviderRotates: a token by a new key is accepted, also of another algorithm. After invented tokens, that takes
// at most ten seconds, which is the minimum time between two requests to the provider.
func TestProviderRotates(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.start(t)
	f := newFederated(t, p)
	old := p.idToken(t, "job-on-main", 0, time.Minute)
	f.require(t, http.StatusOK, "x", old, "the first key")
	p.rotate(t, jose.ES256)
	next := p.idToken(t, "job-on-main", 0, time.Minute)
	require.Eventually(t, func() bool {
		direct, _ := f.statuses(t, "x", next)
		require.Contains(t, []int{http.StatusOK, http.StatusUnauthorized}, direct.StatusCode)
		return direct.StatusCode == http.StatusOK
	}, 15*time.Second, 200*time.Millisecond)
	f.require(t, http.StatusUnauthorized, "x", old, "the key that was removed, also for a remembered token")
	require.NoError(t, f.push(t, "app/web", next))
}

// TestProviderDown: the registry starts without the provider. Logins of its jobs get 503 and others work. When the
// provider comes up, its jobs work, and they go on while it is down again.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	f := newFederated(t, p)
	job := func() string { return p.idToken(t, "job-on-main", 0, time.Minute) }
	f.require(t, http.StatusServiceUnavailable, "x", job(), "down")
	f.require(t, http.StatusOK, "ann", "secret", "others")
	f.require(t, http.StatusUnauthorized, "ann", "wrong", "others")
	p.start(t)
	require.Eventually(t, func() bool {
		direct, _ := f.statuses(t, "x", job())
		require.Contains(t, []int{http.StatusOK, http.StatusServiceUnavailable}, direct.StatusCode)
		return direct.StatusCode == http.StatusOK
	}, 15*time.Second, 200*time.Millisecond)
	require.NoError(t, f.push(t, "app/web", job()))
	p.stop()
	f.require(t, http.StatusOK, "x", job(), "down again, with keys that are known")
	p.rotate(t, jose.RS256)
	require.Eventually(t, func() bool { // it cannot be known whether the new key is one of the provider
		direct, _ := f.statuses(t, "x", job())
		return direct.StatusCode == http.StatusServiceUnavailable
	}, 15*time.Second, 200*time.Millisecond)
}
