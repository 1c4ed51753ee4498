package api_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/chain"
	"github.com/registrykit/registry/auth/oidc"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/internal/apicheck"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
)

// matrixSite is a site with all parts, whose storage is copied for each request of the matrix. The logins are checked
// by the accounts of the base, so that a password is hashed once.
type matrixSite struct {
	*site
	logins   auth.Authenticator
	service  *token.Service
	upstream *upstreamtest.Server
	rules    *rules.Rules
	headers  map[string]string // Authorization of each caller
	replace  []string
	ids      *strings.Replacer
}

const matrixRules = `rules:
  - {name: builds, who: {user: 'ci:acme/app'}, repositories: acme/app, actions: [pull, push, overwrite]}
`

// newMatrixSite makes the accounts and the content of the matrix.
func newMatrixSite(t *testing.T) *matrixSite {
	b := &matrixSite{headers: map[string]string{}, upstream: upstreamtest.New(t)}
	b.upstream.Image("library/app", "v1", []byte("one"))
	var err error
	b.rules, err = rules.Parse([]byte(matrixRules))
	require.NoError(t, err)
	d := memory.New(nil)
	people, err := accounts.New(d, nil)
	require.NoError(t, err)
	job, ci := newMatrixJob(t)
	b.headers["ci"] = authorization("oidc", job)
	users, err := accounts.NewAuthenticator(people, &accounts.AuthenticatorOptions{Failures: 1e6, AddressFailures: 1e6})
	require.NoError(t, err)
	both, err := chain.New(ci, users)
	require.NoError(t, err)
	sessions, err := session.New(d, people, nil)
	require.NoError(t, err)
	store, err := storage.New(t.Context(), d, matrixStore)
	require.NoError(t, err)
	b.service, err = token.New(store, both, accounts.NewAuthorizer(people).Refine(b.rules), nil)
	require.NoError(t, err)
	b.logins = sessions.Authenticator(b.service)
	b.makeContent(t, d, store)
	b.site = b.siteOn(t, d)
	b.makeAccounts(t, people, sessions)
	b.makeParts(t, d, store)
	b.makeLink(t, people)
	b.end(t, people)
	b.ids = strings.NewReplacer(b.replace...)
	return b
}

// matrixStore are the options of the storage of a site: a delete needs content older than half the grace period.
var matrixStore = &storage.Options{Grace: 1, History: storage.DefaultGrace}

// siteOn returns a site with all parts over a storage. It has no server.
func (b *matrixSite) siteOn(t *testing.T, d driver.Driver) *site {
	t.Helper()
	ctx := t.Context()
	s := &site{driver: d, audited: make(chan auth.Decision, 1000)}
	var err error
	opts := &api.Options{Authenticator: b.logins}
	check := func(e error) { require.NoError(t, e) }
	s.store, err = storage.New(ctx, d, matrixStore)
	check(err)
	s.people, err = accounts.New(d, nil)
	check(err)
	s.registry, err = registry.New(s.store, &registry.Options{Authenticator: b.service,
		Authorizer: accounts.NewAuthorizer(s.people).Refine(b.rules)})
	check(err)
	opts.Accounts, opts.Rules, opts.Scrub, opts.Tags = s.people, b.rules, d, s.store.Inventory()
	opts.Bin = s.store.Inventory()
	opts.SignUp, err = accounts.NewSignUps(s.people, nil)
	check(err)
	opts.Sessions, err = session.New(d, s.people, nil)
	check(err)
	opts.Search, err = search.New(s.store, &search.Options{Accounts: s.people, Content: s.store})
	check(err)
	opts.Usage, err = usage.New(s.store, d, nil)
	check(err)
	limits, err := quota.NewLimits([]quota.Limit{{Prefix: "*", Max: quota.Amounts{Bytes: 1 << 30}}})
	check(err)
	opts.Quotas, err = quota.New(s.store, s.store, d, limits, nil)
	check(err)
	keep, err := retention.Parse("retention.yaml", []byte("rules: []"))
	check(err)
	opts.Retention, err = retention.New(s.store, d, keep, &retention.Options{MinAge: -1})
	check(err)
	opts.Webhooks, err = endpoints.New(d, toLoopback)
	check(err)
	opts.Jobs, err = jobs.New(d, &jobs.Options{Holder: "one", Jobs: []jobs.Job{{Name: "collect",
		Run: func(context.Context, *jobs.Progress) (any, error) { return nil, nil }}}})
	check(err)
	opts.Mirror, err = mirror.New(ctx, s.store, d, []mirror.Upstream{{Name: "hub.example",
		URLs: []string{b.upstream.URL}, Credentials: login.Static(login.Credentials{})}}, nil)
	check(err)
	opts.Audit, err = audit.New(d, nil)
	check(err)
	s.api, err = api.New(s.registry, opts)
	check(err)
	return s
}

// makeContent makes the repositories, one of which has lost a blob.
func (b *matrixSite) makeContent(t *testing.T, d driver.Driver, store *storage.Store) {
	lost := registrytest.RandomImage(9, 1, 100_000)
	require.NoError(t, lost.Push(t.Context(), store, "acme/lost", "v1"))
	var damaged []string
	for info, err := range d.List(t.Context(), "data/", nil) {
		require.NoError(t, err)
		damaged = append(damaged, info.Key)
	}
	for _, key := range damaged {
		_, err := d.Put(t.Context(), key, bytes.NewReader(make([]byte, 100_000)), nil)
		require.NoError(t, err)
	}
	report, err := scrub.Run(t.Context(), store, d, &scrub.Options{Repair: true, Settle: -1})
	require.NoError(t, err)
	require.Equal(t, int64(1), report.Lost)
	image := registrytest.RandomImage(1, 1, 10)
	for _, repo := range []string{"acme/app", "acme/base", "acme/web", "other/app"} {
		require.NoError(t, image.Push(t.Context(), store, repo, "v1"))
	}
	b.replace = append(b.replace, "IMAGE", image.Descriptor.Digest.String())
	require.NoError(t, registrytest.RandomImage(2, 1, 10).Push(t.Context(), store, "acme/app", "gone"))
	require.NoError(t, store.DeleteManifest(t.Context(), "acme/app", reference.Ref{Tag: "gone"}, nil))
}

// makeAccounts makes the users, organisations, teams, robots, tokens and sessions.
func (b *matrixSite) makeAccounts(t *testing.T, people *accounts.Accounts, sessions *session.Sessions) {
	ctx, by := t.Context(), accounts.Actor{Force: true}
	ids := map[string]accounts.ID{}
	for _, caller := range []string{"reader", "write", "maint", "owner", "other", "admin", "off", "second"} {
		name := map[string]string{"other": "stranger"}[caller]
		if name == "" {
			name = caller
		}
		u, err := people.CreateUser(ctx, by, name, password, nil)
		require.NoError(t, err)
		ids[caller], b.headers[caller] = u.ID, authorization(name, password)
	}
	_, err := people.Rename(ctx, by, ids["reader"], "read")
	require.NoError(t, err)
	ids["read"], b.headers["read"] = ids["reader"], authorization("read", password)
	for _, admin := range []string{"admin", "second"} {
		require.NoError(t, people.AddAdmin(ctx, by, ids[admin]))
	}
	acme, err := people.CreateOrganisation(ctx, by, "acne", ids["owner"], nil)
	require.NoError(t, err)
	_, err = people.Rename(ctx, by, acme.ID, "acme")
	require.NoError(t, err)
	require.NoError(t, people.AddOwner(ctx, by, acme.ID, ids["second"]))
	_, err = people.CreateOrganisation(ctx, by, "other", ids["other"], nil)
	require.NoError(t, err)
	for team, role := range map[string]accounts.Role{"read": accounts.Read, "write": accounts.Write,
		"maint": accounts.Maintain} {
		_, err := people.CreateTeam(ctx, by, acme.ID, team,
			&accounts.TeamOptions{Grants: []accounts.Grant{{Repositories: "**", Role: role}}})
		require.NoError(t, err)
		require.NoError(t, people.JoinTeam(ctx, by, acme.ID, team, ids[team]))
	}
	require.NoError(t, people.JoinTeam(ctx, by, acme.ID, "maint", ids["off"]))
	_, err = people.UpdateRepository(ctx, by, "acme/web", func(r *accounts.Repository) error {
		r.Visibility = accounts.Public
		return nil
	})
	require.NoError(t, err)
	robot, err := people.CreateRobot(ctx, by, acme.ID, "deploy",
		[]accounts.Grant{{Repositories: "app/**", Role: accounts.Write}})
	require.NoError(t, err)
	_, err = people.CreateRobot(ctx, by, ids["read"], "bot", nil)
	require.NoError(t, err)
	secret := func(caller, name string, owner accounts.ID, opts *accounts.SecretOptions) string {
		made, err := people.CreateSecret(ctx, by, owner, caller, opts)
		require.NoError(t, err)
		if caller != "" {
			b.headers[caller] = authorization(name, made.Value.Value())
		}
		return made.ID
	}
	b.replace = append(b.replace, "ROBOTTOKEN", secret("robot", robot.Name, robot.ID, nil),
		"READTOKEN", secret("readtoken", "read", ids["read"], nil))
	secret("narrow", "owner", ids["owner"],
		&accounts.SecretOptions{Scopes: []accounts.Grant{{Repositories: "acme/app/**", Role: accounts.Admin}}})
	secret("revoked", "maint", ids["maint"], nil)
	started, value, err := sessions.Issue(httptest.NewRequest("POST", "/", nil), session.Login{Account: ids["owner"]})
	require.NoError(t, err)
	b.headers["ses"] = "Bearer " + value.Value()
	b.replace = append(b.replace, "SESSION", started.ID)
}

// makeLink links the user read to a person at a provider.
func (b *matrixSite) makeLink(t *testing.T, people *accounts.Accounts) {
	read, err := people.Lookup(t.Context(), "read")
	require.NoError(t, err)
	require.NoError(t, people.Link(t.Context(), accounts.Actor{}, linkedPerson("1"), read.ID))
	var links types.LinkList
	require.NoError(t, json.Unmarshal(b.serve(t, "GET", "/v1/users/read/links").Body.Bytes(), &links))
	b.replace = append(b.replace, "LINK", links.Items[0].ID)
}

// makeParts makes the objects of the other parts.
func (b *matrixSite) makeParts(t *testing.T, d driver.Driver, store *storage.Store) {
	ctx := t.Context()
	meter, err := usage.New(store, d, nil)
	require.NoError(t, err)
	_, err = meter.Count(ctx, nil)
	require.NoError(t, err)
	hooks, err := endpoints.New(d, toLoopback)
	require.NoError(t, err)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	for id, scope := range map[string]endpoints.Scope{"ALL": {}, "ACME": {Namespace: "acme"},
		"APP": {Repository: "acme/app"}} {
		gone, _, err := hooks.Create(ctx, "", scope, endpoints.Settings{Name: "gone", URL: auth.Secret(receiver.URL)})
		require.NoError(t, err)
		require.NoError(t, hooks.Remove(ctx, gone.ID, nil))
		b.replace = append(b.replace, "GONE"+id, string(gone.ID))
		made, _, err := hooks.Create(ctx, "", scope, endpoints.Settings{Name: "hook", URL: auth.Secret(receiver.URL)})
		require.NoError(t, err)
		b.replace = append(b.replace, "HOOK"+id, string(made.ID))
		if id == "APP" {
			delivery, err := hooks.Test(ctx, "", made.ID)
			require.NoError(t, err)
			b.replace = append(b.replace, "DELIVERY", delivery.ID)
		}
	}
	var losses types.LossList
	require.NoError(t, json.Unmarshal(b.serve(t, "GET", "/v1/scrub/losses").Body.Bytes(), &losses))
	b.replace = append(b.replace, "LOST", losses.Items[0].Digest,
		"PLAN", b.serve(t, "POST", "/v1/retention/plans").Body.String())
	b.replace = append(b.replace, "DAY", "until=2026-01-02T00:00:00Z")
	b.check, err = apicheck.New(b.serve(t, "GET", "/v1/openapi.json").Body.Bytes())
	require.NoError(t, err)
}

// toLoopback lets webhooks reach a receiver of a test.
var toLoopback = &endpoints.Options{Webhook: webhook.Options{AllowPrivate: true}}

// serve makes a request to the base as an admin.
func (b *matrixSite) serve(t *testing.T, method, path string) *httptest.ResponseRecorder {
	r, w := httptest.NewRequest(method, path, nil), httptest.NewRecorder()
	r.Header.Set("Authorization", b.headers["admin"])
	b.api.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	return w
}

// end disables the user off and revokes the token revoked.
func (b *matrixSite) end(t *testing.T, people *accounts.Accounts) {
	ctx, by := t.Context(), accounts.Actor{}
	off, err := people.Lookup(ctx, "off")
	require.NoError(t, err)
	_, err = people.Disable(ctx, by, off.ID)
	require.NoError(t, err)
	r := http.Request{Header: http.Header{"Authorization": {b.headers["revoked"]}}}
	_, value, ok := r.BasicAuth()
	require.True(t, ok)
	owner, id, ok := accounts.ParseSecret(value)
	require.True(t, ok)
	require.NoError(t, people.RevokeSecret(ctx, by, owner, id))
	synctest.Test(t, func(t *testing.T) { // its clock begins in the year 2000
		made, err := people.CreateSecret(t.Context(), by, owner, "old",
			&accounts.SecretOptions{Expires: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		b.headers["expired"] = authorization("maint", made.Value.Value())
	})
}

// routes returns the routes of the API.
func (b *matrixSite) routes() []string { return b.api.Routes() }

// dockerToken returns a token of the token service for an admin.
func (b *matrixSite) dockerToken(t *testing.T) string {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, token.DefaultPath+"?"+url.Values{"service": {token.DefaultService},
		"scope": {"registry:catalog:* repository:acme/app:pull,push,delete account:acme:manage registry:jobs:read"}}.Encode(),
		nil)
	req.Header.Set("Authorization", b.headers["admin"])
	w := httptest.NewRecorder()
	b.service.Handler(http.NotFoundHandler()).ServeHTTP(w, req)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var answer struct{ Token string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	return answer.Token
}

// with returns a server for copies of the site.
func (b *matrixSite) with(t *testing.T) *matrixCaller {
	c := &matrixCaller{base: b}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(c.server.Close)
	return c
}

// renew replaces the current copy of the site with a fresh one.
func (c *matrixCaller) renew(t *testing.T) {
	t.Helper()
	c.serve(t, c.base.copyOf(t))
}

// serve makes a site over a storage the current one.
func (c *matrixCaller) serve(t *testing.T, d driver.Driver) {
	t.Helper()
	c.current = c.base.siteOn(t, d)
	c.current.url, c.current.check = c.server.URL, c.base.check
	c.handler = http.StripPrefix("/api", c.current.api)
}

// copyOf returns a copy of the storage of the base.
func (b *matrixSite) copyOf(t *testing.T) driver.Driver {
	t.Helper()
	d := memory.New(nil)
	for info, err := range b.driver.List(t.Context(), "", nil) {
		require.NoError(t, err)
		r, _, err := b.driver.Open(t.Context(), info.Key, nil)
		require.NoError(t, err)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		_, err = d.Put(t.Context(), info.Key, bytes.NewReader(content), nil)
		require.NoError(t, err)
	}
	return d
}

// authorization returns the value of the header with a name and a password.
func authorization(name, password string) string {
	return strings.TrimPrefix(basic(name, password), "Authorization: ")
}

// newMatrixJob returns the ID token of a CI job, and the Authenticator that knows its issuer. The token names an
// account and a group, which give nothing.
func newMatrixJob(t *testing.T) (string, *oidc.Authenticator) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "issuer.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	ci, err := oidc.New([]oidc.Provider{{Name: "ci", Issuer: "https://ci.example", Audience: "registry.example",
		KeyFiles: []string{file}, Rules: []oidc.Rule{{Claims: map[string][]string{"repository": {"acme/app"}},
			Identity: "{repository}", Groups: []string{"acme/owners"}}}}}, nil)
	require.NoError(t, err)
	job, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "https://ci.example",
		"aud": "registry.example", "sub": "repo:acme/app:ref:refs/heads/main", "repository": "acme/app",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		accounts.AccountClaim: "aaaaaaaaaaaaaaaa"}).SignedString(key)
	require.NoError(t, err)
	return job, ci
}
