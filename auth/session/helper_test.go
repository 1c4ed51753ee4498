package session_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/storage/driver"
)

const password = "sunny cello marmot"

// site is a replica with accounts and sessions. Its clock is that of the test.
type site struct {
	people   *accounts.Accounts
	sessions *session.Sessions
	who      auth.Authenticator
	now      *clock
}

// clock is the clock of all replicas of a test.
type clock struct{ past atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.past.Load())) }

func (c *clock) advance(d time.Duration) { c.past.Add(int64(d)) }

// newSite returns a replica over d. The accounts are read from the storage each time.
func newSite(t testing.TB, d driver.Driver, c *clock, opts *session.Options) *site {
	t.Helper()
	people, err := accounts.New(d, &accounts.Options{Refresh: 1})
	require.NoError(t, err)
	sessions, err := session.New(d, people, opts)
	require.NoError(t, err)
	if c == nil {
		c = &clock{}
	}
	sessions.SetClock(c.now)
	return &site{people, sessions, sessions.Authenticator(nil), c}
}

func (s *site) user(t testing.TB, name string) accounts.ID {
	t.Helper()
	acc, err := s.people.CreateUser(t.Context(), accounts.Actor{}, name, "", nil)
	require.NoError(t, err)
	return acc.ID
}

// start begins a session in a browser, and returns the request that the browser then sends.
func (s *site) start(t testing.TB, l session.Login, brought ...*http.Request) *http.Request {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/signin/password", nil)
	for _, old := range brought {
		r.Header = old.Header.Clone()
	}
	_, err := s.sessions.Start(w, r, l)
	require.NoError(t, err)
	next := httptest.NewRequest(http.MethodGet, "/v1/user", nil)
	next.AddCookie(w.Result().Cookies()[0])
	return next
}

// issue begins a session on a command line, and returns the request that it then sends.
func (s *site) issue(t testing.TB, l session.Login) *http.Request {
	t.Helper()
	_, value, err := s.sessions.Issue(httptest.NewRequest(http.MethodPost, "/", nil), l)
	require.NoError(t, err)
	next := httptest.NewRequest(http.MethodGet, "/v1/user", nil)
	next.Header.Set("Authorization", "Bearer "+value.Value())
	return next
}

// name returns who has sent a request, or "" for nobody.
func (s *site) name(t testing.TB, r *http.Request) string {
	t.Helper()
	identity, err := s.who.Authenticate(r)
	if err != nil {
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	return identity.Name
}

// keys returns the keys of sessions.
func keys(t testing.TB, d driver.Driver) (all []string) {
	t.Helper()
	for info, err := range d.List(t.Context(), "g/", nil) {
		require.NoError(t, err)
		all = append(all, info.Key)
	}
	return all
}
