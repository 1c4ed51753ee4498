package token_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/driver"
)

// person is a user who can log in.
type person struct {
	password string
	disabled bool
	groups   []string
}

// people authenticates by Basic, and renews a caller who is not disabled and has the same password.
type people struct {
	mu      sync.Mutex
	persons map[string]person
	err     error  // of Renew
	during  func() // is called by Renew
}

func newPeople() *people {
	return &people{persons: map[string]person{
		"ann": {password: "secret", groups: []string{"one"}}, "bob": {password: "pw"},
	}}
}

func (p *people) set(name string, who person) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.persons[name] = who
}

func (p *people) Authenticate(r *http.Request) (auth.Identity, error) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return auth.Identity{}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	who, known := p.persons[name]
	if !known || who.disabled || password != who.password {
		return auth.Identity{}, auth.ErrCredentials
	}
	return auth.Identity{Name: name, Groups: who.groups, Claims: map[string]any{"version": len(password), "host": p}}, nil
}

func (*people) Challenge(*http.Request, []auth.Access) string { return `Basic realm="test"` }

func (p *people) Renew(_ context.Context, identity auth.Identity) (auth.Identity, error) {
	if p.during != nil {
		p.during()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	who, known := p.persons[identity.Name]
	switch {
	case p.err != nil:
		return auth.Identity{}, p.err
	case !known || who.disabled || identity.Claims["version"] != float64(len(who.password)):
		return auth.Identity{}, auth.ErrCredentials
	}
	identity.Groups = who.groups
	return identity, nil
}

// answer is the body of a response of the endpoint.
type answer struct {
	Token        string
	AccessToken  string  `json:"access_token"`
	RefreshToken string  `json:"refresh_token"`
	TokenType    string  `json:"token_type"`
	Scope        *string `json:"scope"`
	ExpiresIn    int     `json:"expires_in"`
	Error        string
	Description  string `json:"error_description"`
	Errors       []struct{ Code, Message string }
}

// ask sends a request to an endpoint without a server in between.
func ask(t testing.TB, h http.Handler, method, path string, values url.Values, authorization string) (int, answer) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	if method == http.MethodGet {
		r.URL.RawQuery = values.Encode()
	} else {
		r.Body = io.NopCloser(strings.NewReader(values.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var a answer
	if w.Body.Len() > 0 {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a), w.Body)
	}
	return w.Code, a
}

// login logs ann in and returns a refresh token.
func login(t testing.TB, s *token.Service) string {
	t.Helper()
	status, a := ask(t, s, "GET", "/v2/token", url.Values{"offline_token": {"true"}, "client_id": {"docker"}},
		basic("ann", "secret"))
	require.Equal(t, 200, status)
	return a.RefreshToken
}

// refresh uses a refresh token.
func refresh(t testing.TB, s *token.Service, value string, scopes ...string) (int, answer) {
	t.Helper()
	return ask(t, s, "POST", "/v2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {value},
		"scope": scopes, "service": {"registry"}, "client_id": {"docker"}}, "")
}

// newRefreshing returns an endpoint with refresh tokens in a driver.
func newRefreshing(t testing.TB, d driver.Driver, users auth.Authenticator, opts *token.RefreshOptions) (*token.Service,
	*token.RefreshTokens) {
	t.Helper()
	tokens, err := token.NewRefreshTokens(d, opts)
	require.NoError(t, err)
	s, err := token.New(registrytest.NewStore(t), users, all, &token.Options{Refresh: tokens})
	require.NoError(t, err)
	return s, tokens
}

// listed returns the tokens of a subject.
func listed(t testing.TB, tokens *token.RefreshTokens, subject string) (list []token.RefreshToken) {
	t.Helper()
	for one, err := range tokens.List(t.Context(), subject) {
		require.NoError(t, err)
		list = append(list, one)
	}
	return list
}

// keys returns the keys of all objects.
func keys(t testing.TB, d driver.Driver) (list []string) {
	t.Helper()
	for info, err := range d.List(t.Context(), "", nil) {
		require.NoError(t, err)
		list = append(list, info.Key)
	}
	return list
}
