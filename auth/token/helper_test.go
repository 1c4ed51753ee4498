package token_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// users authenticates by Basic, with names and passwords.
type users map[string]string

func (u users) Authenticate(r *http.Request) (auth.Identity, error) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return auth.Identity{}, nil
	}
	if want, known := u[name]; !known || password != want {
		return auth.Identity{}, auth.ErrCredentials
	}
	return auth.Identity{Name: name, Groups: []string{"group-of-" + name}, Claims: map[string]any{"level": 3}}, nil
}

func (users) Challenge(*http.Request, []auth.Access) string { return `Basic realm="test"` }

// rules is an Authorizer with a list of what callers may do, such as "ann repository:a:push". With
// ":TAG" at the end, an entry allows the access with that tag and without a tag.
type rules struct {
	mu      sync.Mutex
	allowed []string
	asked   int
}

func allow(list ...string) *rules { return &rules{allowed: list} }

func (r *rules) set(list ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.allowed = list
}

func (r *rules) Authorize(_ context.Context, who auth.Identity, accesses []auth.Access) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range accesses {
		r.asked++
		if !slices.ContainsFunc(r.allowed, func(rule string) bool {
			name, scope, _ := strings.Cut(rule, " ")
			rest, ok := strings.CutPrefix(scope, a.String())
			return name == who.Name && ok && (rest == "" || a.Tag == "" || rest == ":"+a.Tag)
		}) {
			return auth.ErrDenied
		}
	}
	return nil
}

// site is a registry with tokens.
type site struct {
	t      *testing.T
	url    string
	store  *storage.Store
	tokens *token.Service
	clock  time.Time
}

func newSite(t *testing.T, u auth.Authenticator, r auth.Authorizer, opts *token.Options) *site {
	t.Helper()
	return newReplica(t, registrytest.NewStore(t), u, r, opts)
}

func newReplica(t *testing.T, store *storage.Store, u auth.Authenticator, r auth.Authorizer,
	opts *token.Options) *site {
	t.Helper()
	tokens, err := token.New(store, u, r, opts)
	require.NoError(t, err)
	s := &site{t: t, store: store, tokens: tokens, clock: time.Now()}
	tokens.SetNow(func() time.Time { return s.clock })
	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
	require.NoError(t, err)
	server := httptest.NewServer(tokens.Handler(reg))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// response is a response with its body.
type response struct {
	*http.Response
	body string
}

// do sends a request with an Authorization header, unless that is "".
func (s *site) do(method, path, authorization string) *response {
	s.t.Helper()
	return s.send(method, path, "", http.Header{"Authorization": slices.DeleteFunc([]string{authorization},
		func(a string) bool { return a == "" })})
}

func (s *site) send(method, path, body string, header http.Header) *response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header = header
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(s.t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, res.Body.Close())
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	return &response{res, string(b)}
}

func basic(name, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

// token fetches a token for scopes, with the Authorization header authorization.
func (s *site) token(authorization string, scopes ...string) string {
	s.t.Helper()
	res := s.do("GET", token.DefaultPath+"?"+url.Values{"service": {token.DefaultService}, "scope": scopes}.Encode(),
		authorization)
	require.Equal(s.t, 200, res.StatusCode, res.body)
	var a struct {
		Token       string
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		IssuedAt    string `json:"issued_at"`
	}
	require.NoError(s.t, json.Unmarshal([]byte(res.body), &a))
	require.Equal(s.t, a.Token, a.AccessToken)
	require.Equal(s.t, 300, a.ExpiresIn)
	_, err := time.Parse(time.RFC3339, a.IssuedAt)
	require.NoError(s.t, err)
	require.Equal(s.t, "no-store", res.Header.Get("Cache-Control"))
	require.Empty(s.t, res.Header["Set-Cookie"])
	return a.Token
}

// granted returns the scopes of a token.
func granted(t *testing.T, tok string) []string {
	t.Helper()
	var c struct {
		Access []struct {
			Type, Name string
			Actions    []string
		}
	}
	part(t, tok, 1, &c)
	list := []string{}
	for _, a := range c.Access {
		list = append(list, fmt.Sprintf("%s:%s:%s", a.Type, a.Name, strings.Join(a.Actions, ",")))
	}
	return list
}
