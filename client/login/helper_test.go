package login_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counts counts requests by kind.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) add(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[kind]++
}

// take returns the counts and starts again from zero.
func (c *counts) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = nil
	if n == nil {
		n = map[string]int{}
	}
	return n
}

// users authenticates by Basic, with names and passwords that may change.
type users struct {
	mu sync.Mutex
	m  map[string]string
}

func (u *users) set(name, password string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.m == nil {
		u.m = map[string]string{}
	}
	u.m[name] = password
}

func (u *users) Authenticate(r *http.Request) (auth.Identity, error) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return auth.Identity{}, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if want, known := u.m[name]; !known || password != want {
		return auth.Identity{}, auth.ErrCredentials
	}
	return auth.Identity{Name: name}, nil
}

func (*users) Challenge(*http.Request, []auth.Access) string { return `Basic realm="test"` }

// members lets users who have logged in do everything except with repositories named "denied".
var members = auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		if who.Anonymous() || a.Name == "denied" {
			return auth.ErrDenied
		}
	}
	return nil
})

// site is a registry of this module.
type site struct {
	url    string
	store  *storage.Store
	users  *users
	counts counts // "401", "token" and "other"
}

// newSite returns a registry with tokens, or else with Basic.
func newSite(t testing.TB, tokens bool) *site {
	t.Helper()
	s := &site{store: registrytest.NewStore(t), users: &users{}}
	s.users.set("ann", "secret")
	service, err := token.New(s.store, s.users, members, &token.Options{Always: true})
	require.NoError(t, err)
	opts := &registry.Options{Authenticator: s.users, Authorizer: members}
	if tokens {
		opts = &registry.Options{Authenticator: service, Authorizer: service}
	}
	reg, err := registry.New(s.store, opts)
	require.NoError(t, err)
	handler := http.Handler(reg)
	if tokens {
		handler = service.Handler(reg)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sw := &statusWriter{ResponseWriter: w}
		handler.ServeHTTP(sw, r)
		kind := "other"
		switch {
		case r.URL.Path == token.DefaultPath:
			kind = "token"
		case sw.status == http.StatusUnauthorized:
			kind = "401"
		}
		s.counts.add(kind)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// statusWriter notes the status of a response.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ann is a Source of valid credentials.
var ann = login.Static(login.Credentials{Username: "ann", Password: "secret"})

// connect returns a client with a Login.
func connect(t testing.TB, url string, opts login.Options) *client.Client {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(tr.CloseIdleConnections)
	opts.Transport = tr
	return connectBy(t, url, tr, opts)
}

func connectBy(t testing.TB, url string, tr http.RoundTripper, opts login.Options) *client.Client {
	t.Helper()
	l, err := login.New(url, &opts)
	require.NoError(t, err)
	c, err := client.New(url, &client.Options{
		HTTPClient: &http.Client{Transport: tr}, Authorize: l.Authorize, Challenge: l.Challenge,
	})
	require.NoError(t, err)
	return c
}

// hosts is a transport to servers in memory, by host. It can be used in a bubble of testing/synctest.
type hosts map[string]http.HandlerFunc

func (h hosts) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	serve, ok := h[req.URL.Host]
	if !ok {
		return nil, fmt.Errorf("no server at %s", req.URL.Host)
	}
	r := req.Clone(req.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.RequestURI = req.URL.RequestURI()
	w := httptest.NewRecorder()
	serve(w, r)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	res := w.Result()
	res.Request = req
	return res, nil
}

// requireNoSecrets checks that a text has none of the secrets that tests use.
func requireNoSecrets(t testing.TB, text string) {
	t.Helper()
	for _, s := range []string{"secret", "wrong", "T0KEN",
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte("ann:secret")), "="),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte("ann:wrong")), "=")} {
		require.NotContains(t, text, s)
	}
}

// source returns a Source that calls f.
func source(f func() login.Credentials) login.Source {
	return func(context.Context, string) (login.Credentials, error) { return f(), nil }
}
