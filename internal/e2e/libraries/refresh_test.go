package libraries

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
	"github.com/stretchr/testify/require"
	orasremote "oras.land/oras-go/v2/registry/remote"
	orasauth "oras.land/oras-go/v2/registry/remote/auth"
)

// renewing is an Authenticator that renews its callers until they are disabled.
type renewing struct {
	auth.Authenticator
	disabled atomic.Bool
}

func (r *renewing) Renew(_ context.Context, identity auth.Identity) (auth.Identity, error) {
	if r.disabled.Load() {
		return auth.Identity{}, auth.ErrCredentials
	}
	return identity, nil
}

// loginSite is a registry with private repositories, and a list of the requests for tokens.
type loginSite struct {
	host  string
	users *renewing

	mu    sync.Mutex
	asked []string
}

func newLoginSite(t *testing.T, withRefresh bool) *loginSite {
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), store, "app", "v1"))
	users, err := static.New(map[string]static.User{"ann": {Secret: "secret"}}, nil)
	require.NoError(t, err)
	s := &loginSite{users: &renewing{Authenticator: users}}
	opts := &token.Options{Always: true}
	if withRefresh {
		opts.Refresh, err = token.NewRefreshTokens(d, nil)
		require.NoError(t, err)
	}
	rules := auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, _ []auth.Access) error {
		if who.Anonymous() {
			return auth.ErrDenied
		}
		return nil
	})
	logins, err := token.New(store, s.users, rules, opts)
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{Authenticator: logins, Authorizer: logins})
	require.NoError(t, err)
	h := logins.Handler(reg)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == token.DefaultPath {
			s.mu.Lock()
			s.asked = append(s.asked, r.Method)
			s.mu.Unlock()
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

// requests returns the methods of the requests for tokens since the last call.
func (s *loginSite) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.asked = nil }()
	return strings.Join(s.asked, " ")
}

// refreshToken logs in as docker does.
func (s *loginSite) refreshToken(t *testing.T) string {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"http://"+s.host+token.DefaultPath+"?offline_token=true&client_id=docker&account=ann&service=registry", nil)
	require.NoError(t, err)
	r.SetBasicAuth("ann", "secret")
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	var a struct {
		RefreshToken string `json:"refresh_token"`
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&a))
	s.requests()
	return a.RefreshToken
}

// TestContainerregistryRefreshToken: go-containerregistry uses a refresh token by POST, as for an
// identity token in the configuration of docker. If the registry has none, it tries GET.
func TestContainerregistryRefreshToken(t *testing.T) {
	s := newLoginSite(t, true)
	value := s.refreshToken(t)
	pull := func(s *loginSite, identity string) error {
		ref, err := name.ParseReference(s.host+"/app:v1", name.Insecure)
		require.NoError(t, err)
		_, err = remote.Head(ref, remote.WithAuth(authn.FromConfig(authn.AuthConfig{IdentityToken: identity})))
		return err
	}
	require.NoError(t, pull(s, value))
	require.Equal(t, "POST", s.requests())
	s.users.disabled.Store(true)
	require.ErrorContains(t, pull(s, value), "invalid credentials")
	require.Equal(t, "POST", s.requests())
	without := newLoginSite(t, false)
	require.Error(t, pull(without, value))
	require.Equal(t, "POST GET", without.requests()[:8], "then again, since GET gives an anonymous token")
}

// TestOrasRefreshToken: oras-go uses a refresh token by POST, and with ForceAttemptOAuth2 also a
// password, as helm does at a login.
func TestOrasRefreshToken(t *testing.T) {
	for _, withRefresh := range []bool{true, false} {
		s := newLoginSite(t, withRefresh)
		pull := func(cred orasauth.Credential, force bool) error {
			repo, err := orasremote.NewRepository(s.host + "/app")
			require.NoError(t, err)
			repo.PlainHTTP = true
			repo.Client = &orasauth.Client{Client: http.DefaultClient, ForceAttemptOAuth2: force,
				Credential: orasauth.StaticCredential(s.host, cred)}
			_, err = repo.Resolve(t.Context(), "v1")
			return err
		}
		ann := orasauth.Credential{Username: "ann", Password: "secret"}
		require.NoError(t, pull(ann, true))
		require.Equal(t, "POST", s.requests())
		require.NoError(t, pull(ann, false))
		require.Equal(t, "GET", s.requests())
		require.ErrorContains(t, pull(orasauth.Credential{Username: "ann", Password: "wrong"}, true), "invalid credentials")
		value := s.refreshToken(t)
		require.Equal(t, withRefresh, value != "")
		if !withRefresh {
			continue
		}
		require.NoError(t, pull(orasauth.Credential{RefreshToken: value}, false))
		require.Equal(t, "POST", s.requests())
		s.users.disabled.Store(true)
		require.ErrorContains(t, pull(orasauth.Credential{RefreshToken: value}, false), "401")
	}
}
