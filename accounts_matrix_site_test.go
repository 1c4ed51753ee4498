package registry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
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
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/chain"
	"github.com/registrykit/registry/auth/oidc"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// matrixPassword is the password of all users.
const matrixPassword = "sunny cello marmot"

// matrixSite is a registry with accounts, logins of CI jobs, rules and the token service.
type matrixSite struct {
	t       *testing.T
	people  *accounts.Accounts
	service *token.Service
	images  map[string]*registrytest.Content
	basic   map[string][2]string // name and password of each caller
	tokens  map[string]string
	names   map[string]string // of the identities, for uploads
}

// newMatrixSite makes the accounts, the content and the tokens of the matrix.
func newMatrixSite(t *testing.T) *matrixSite {
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	people, err := accounts.New(d, nil)
	require.NoError(t, err)
	s := &matrixSite{t: t, people: people, images: make(map[string]*registrytest.Content),
		basic: make(map[string][2]string), tokens: make(map[string]string), names: make(map[string]string)}
	for _, repo := range []string{"acme/app", "acme/base", "acme/web", "other/app"} {
		s.images[repo] = registrytest.RandomImage(uint64(len(s.images)+1), 1, 10)
	}
	s.makeAccounts()
	job, jobs := newMatrixJob(t)
	s.basic["ci"], s.names["ci"] = [2]string{"oidc", job}, "ci:acme/app"

	logins, err := accounts.NewAuthenticator(people, &accounts.AuthenticatorOptions{Failures: 1e6, AddressFailures: 1e6})
	require.NoError(t, err)
	both, err := chain.New(jobs, logins)
	require.NoError(t, err)
	list, err := rules.Parse([]byte(
		"rules:\n  - {name: builds, who: {user: 'ci:acme/app'}, repositories: acme/app, actions: [pull, push, overwrite]}\n"))
	require.NoError(t, err)
	tokens, err := token.New(store, both, accounts.NewAuthorizer(people).Refine(list), nil)
	require.NoError(t, err)
	s.service = tokens
	handler := tokens.Handler(http.NotFoundHandler())
	for _, caller := range strings.Fields(matrixCallers) {
		if caller != "expired" {
			s.tokens[caller] = s.issue(handler, caller)
		}
	}
	synctest.Test(t, func(t *testing.T) { // its clock begins in the year 2000
		fresh, err := token.New(store, both, accounts.NewAuthorizer(people), nil)
		require.NoError(t, err)
		maint, err := people.Lookup(t.Context(), "maint")
		require.NoError(t, err)
		made, err := people.CreateSecret(t.Context(), accounts.Actor{}, maint.ID, "old",
			&accounts.SecretOptions{Expires: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		s.basic["expired"], s.names["expired"] = [2]string{"maint", made.Value.Value()}, "maint"
		s.tokens["expired"] = s.issue(fresh.Handler(http.NotFoundHandler()), "expired")
	})
	s.end()
	return s
}

// matrixCaller is a registry for the requests of one caller, so that those of others do not change its content.
type matrixCaller struct {
	*matrixSite
	t      *testing.T
	caller string
	url    string
	http   *http.Client
	store  *storage.Store
}

// with returns a registry for the requests of a caller.
func (s *matrixSite) with(t *testing.T, caller string) *matrixCaller {
	store, err := storage.New(t.Context(), memory.New(nil), &storage.Options{Grace: 1}) // a delete needs old content
	require.NoError(t, err)
	for repo, img := range s.images {
		require.NoError(t, img.Push(t.Context(), store, repo, "v1"))
	}
	reg, err := registry.New(store, &registry.Options{Authenticator: s.service, Authorizer: s.service})
	require.NoError(t, err)
	server := httptest.NewServer(s.service.Handler(reg))
	t.Cleanup(server.Close)
	return &matrixCaller{matrixSite: s, t: t, caller: caller, url: server.URL, http: server.Client(), store: store}
}

// issue fetches a token for everything that the caller may do.
func (s *matrixSite) issue(h http.Handler, caller string) string {
	scopes := []string{"registry:catalog:*"}
	for repo := range s.images {
		scopes = append(scopes, "repository:"+repo+":pull,push,delete")
	}
	req := httptest.NewRequest(http.MethodGet, token.DefaultPath+"?"+
		url.Values{"service": {token.DefaultService}, "scope": scopes}.Encode(), nil)
	s.authorize(req, caller, false)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	require.Equal(s.t, http.StatusOK, w.Code, "%s: %s", caller, w.Body)
	var answer struct{ Token string }
	require.NoError(s.t, json.Unmarshal(w.Body.Bytes(), &answer))
	return answer.Token
}

// makeAccounts makes the users, organisations, teams, robots and secrets.
func (s *matrixSite) makeAccounts() {
	ctx, by := s.t.Context(), accounts.Actor{Force: true}
	ids := make(map[string]accounts.ID)
	for _, caller := range []string{"read", "write", "maint", "owner", "other", "admin", "off"} {
		name := map[string]string{"other": "stranger"}[caller]
		if name == "" {
			name = caller
		}
		u, err := s.people.CreateUser(ctx, by, name, matrixPassword, nil)
		require.NoError(s.t, err)
		ids[caller], s.names[caller], s.basic[caller] = u.ID, name, [2]string{name, matrixPassword}
	}
	require.NoError(s.t, s.people.AddAdmin(ctx, by, ids["admin"]))
	acme, err := s.people.CreateOrganisation(ctx, by, "acme", ids["owner"], nil)
	require.NoError(s.t, err)
	_, err = s.people.CreateOrganisation(ctx, by, "other", ids["other"], nil)
	require.NoError(s.t, err)
	for team, role := range map[string]accounts.Role{"read": accounts.Read, "write": accounts.Write,
		"maint": accounts.Maintain} {
		_, err := s.people.CreateTeam(ctx, by, acme.ID, team, nil)
		require.NoError(s.t, err)
		_, err = s.people.UpdateTeam(ctx, by, acme.ID, team, func(t *accounts.Team) error {
			t.Grants = []accounts.Grant{{Repositories: "**", Role: role}}
			return nil
		})
		require.NoError(s.t, err)
		require.NoError(s.t, s.people.JoinTeam(ctx, by, acme.ID, team, ids[team]))
	}
	require.NoError(s.t, s.people.JoinTeam(ctx, by, acme.ID, "maint", ids["off"]))
	_, err = s.people.UpdateRepository(ctx, by, "acme/web", func(r *accounts.Repository) error {
		r.Visibility = accounts.Public
		return nil
	})
	require.NoError(s.t, err)
	robot, err := s.people.CreateRobot(ctx, by, acme.ID, "deploy",
		[]accounts.Grant{{Repositories: "app/**", Role: accounts.Write}})
	require.NoError(s.t, err)
	secret := func(caller, name string, owner accounts.ID, scopes []accounts.Grant) {
		made, err := s.people.CreateSecret(ctx, by, owner, caller, &accounts.SecretOptions{Scopes: scopes})
		require.NoError(s.t, err)
		s.basic[caller], s.names[caller] = [2]string{name, made.Value.Value()}, name
	}
	secret("robot", robot.Name, robot.ID, nil)
	secret("narrow", "owner", ids["owner"], []accounts.Grant{{Repositories: "acme/app/**", Role: accounts.Read}})
	secret("revoked", "maint", ids["maint"], nil)
}

// end disables the user off and revokes the secret revoked.
func (s *matrixSite) end() {
	ctx, by := s.t.Context(), accounts.Actor{}
	off, err := s.people.Lookup(ctx, "off")
	require.NoError(s.t, err)
	_, err = s.people.Disable(ctx, by, off.ID)
	require.NoError(s.t, err)
	owner, id, ok := accounts.ParseSecret(s.basic["revoked"][1])
	require.True(s.t, ok)
	require.NoError(s.t, s.people.RevokeSecret(ctx, by, owner, id))
}

// newMatrixJob returns the ID token of a CI job, and the Authenticator that knows its issuer.
func newMatrixJob(t *testing.T) (string, *oidc.Authenticator) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "issuer.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	jobs, err := oidc.New([]oidc.Provider{{Name: "ci", Issuer: "https://ci.example", Audience: "registry.example",
		KeyFiles: []string{file}, Rules: []oidc.Rule{{Claims: map[string][]string{"repository": {"acme/app"}},
			Identity: "{repository}", Groups: []string{"acme/owners"}}}}}, nil) // groups give nothing without an account
	require.NoError(t, err)
	job, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": "https://ci.example",
		"aud": "registry.example", "sub": "repo:acme/app:ref:refs/heads/main", "repository": "acme/app",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		accounts.AccountClaim: "aaaaaaaaaaaaaaaa"}).SignedString(key)
	require.NoError(t, err)
	return job, jobs
}
