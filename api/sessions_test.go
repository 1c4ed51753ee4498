package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// signedIn is a site with sessions.
type signedIn struct {
	*site
	sessions *session.Sessions
	down     atomic.Bool // the storage of the sessions
}

// newSignedIn starts a site whose API accepts sessions.
func newSignedIn(t *testing.T) *signedIn {
	t.Helper()
	s := &signedIn{}
	s.site = newSite(t, func(of *site, opts *api.Options) {
		disk := drivertest.NewFaulty(of.driver, &drivertest.FaultyOptions{
			Before: func(context.Context, drivertest.Call) error {
				if s.down.Load() {
					return driver.ErrUnavailable
				}
				return nil
			}})
		var err error
		s.sessions, err = session.New(disk, of.people, nil)
		require.NoError(t, err)
		users, err := accounts.NewAuthenticator(of.people, nil)
		require.NoError(t, err)
		opts.Accounts, opts.Sessions = of.people, s.sessions
		opts.Authenticator = s.sessions.Authenticator(users)
	})
	return s
}

// id returns the ID of a user.
func (s *signedIn) id(t *testing.T, user string) accounts.ID {
	t.Helper()
	acc, err := s.people.Lookup(t.Context(), user)
	require.NoError(t, err)
	return acc.ID
}

// browser begins a session of a user in a browser, and returns the header with its cookie.
func (s *signedIn) browser(t *testing.T, user string) string {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("User-Agent", "a browser")
	_, err := s.sessions.Start(w, r, session.Login{Account: s.id(t, user)})
	require.NoError(t, err)
	return "Cookie: " + w.Result().Cookies()[0].Name + "=" + w.Result().Cookies()[0].Value
}

// commandLine begins a session of a user on a command line, and returns the header with its value.
func (s *signedIn) commandLine(t *testing.T, user string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	_, value, err := s.sessions.Issue(r, session.Login{Account: s.id(t, user)})
	require.NoError(t, err)
	return "Authorization: Bearer " + value.Value()
}

func TestSessions(t *testing.T) {
	s := newSignedIn(t)
	browser, other, cli, bob := s.browser(t, "ann"), s.browser(t, "ann"), s.commandLine(t, "ann"), s.browser(t, "bob")
	const path = "/v1/user/sessions"

	var list types.SessionList
	s.do(t, "", "GET", path, nil, browser).want(200).into(&list)
	require.Len(t, list.Items, 3)
	kinds, current := map[string]int{}, ""
	for _, one := range list.Items {
		kinds[one.Kind]++
		if one.Current {
			require.Empty(t, current)
			current = one.ID
			require.Equal(t, "browser", one.Kind)
			require.Equal(t, "a browser", one.UserAgent)
			require.Equal(t, "192.0.2.1", one.Address)
		}
	}
	require.Equal(t, map[string]int{"browser": 2, "command-line": 1}, kinds)
	require.NotEmpty(t, current)

	// Pages.
	var page types.SessionList
	first := s.do(t, "", "GET", path+"?limit=2", nil, cli).want(200).into(&page)
	require.Equal(t, list.Items[0].ID, page.Items[0].ID)
	require.Len(t, page.Items, 2)
	last := s.do(t, "", "GET", first.next(), nil, cli).want(200).into(&page)
	require.Len(t, page.Items, 1)
	require.Equal(t, list.Items[2].ID, page.Items[0].ID)
	require.Empty(t, last.next())

	// One session, and its end. Nobody reaches those of others.
	one := s.do(t, "", "GET", path+"/"+current, nil, cli).want(200)
	s.do(t, "", "GET", path+"/"+current, nil, bob).fails(404, "NOT_FOUND")
	s.do(t, "", "DELETE", path+"/"+current, nil, bob, "If-Match: *").fails(404, "NOT_FOUND")
	s.do(t, "", "DELETE", path+"/"+current, nil, cli).fails(428, "PRECONDITION_REQUIRED")
	s.do(t, "", "DELETE", path+"/"+current, nil, cli, `If-Match: "wrong"`).fails(412, "PRECONDITION_FAILED")
	s.do(t, "", "DELETE", path+"/"+current, nil, cli, one.ifMatch()).want(204)
	s.do(t, "", "DELETE", path+"/"+current, nil, cli, one.ifMatch()).fails(404, "NOT_FOUND")
	s.do(t, "", "GET", path, nil, browser).fails(401, "UNAUTHORIZED")

	// All others.
	s.do(t, "", "DELETE", path, nil, cli).want(204)
	s.do(t, "", "GET", path, nil, other).fails(401, "UNAUTHORIZED")
	s.do(t, "", "GET", path, nil, cli).want(200).into(&list)
	require.Len(t, list.Items, 1)
	s.do(t, "", "GET", path, nil, bob).want(200)
	s.do(t, "ann", "DELETE", path, nil).want(204) // by password: all
	s.do(t, "", "GET", path, nil, cli).fails(401, "UNAUTHORIZED")
}

// TestSessionsNeedTheOwnAccount: callers without the account itself reach no sessions.
func TestSessionsNeedTheOwnAccount(t *testing.T) {
	s := newSignedIn(t)
	const path = "/v1/user/sessions"
	secret, err := s.people.CreateSecret(t.Context(), accounts.Actor{}, s.id(t, "ann"), "ci",
		&accounts.SecretOptions{Scopes: []accounts.Grant{{Repositories: "ann/**", Role: accounts.Read}}})
	require.NoError(t, err)
	scoped := "Authorization: Bearer " + secret.Value.Value()
	for _, method := range []string{"GET", "DELETE"} {
		s.do(t, "", method, path, nil).fails(401, "UNAUTHORIZED")
		require.Contains(t, []int{401, 403}, s.do(t, "", method, path, nil, scoped).status)
	}
}

// TestSessionIsRefusedForPushesAndPulls: neither the cookie nor the value of a session counts on
// /v2/.
func TestSessionIsRefusedForPushesAndPulls(t *testing.T) {
	s := newSignedIn(t)
	browser, cli := s.browser(t, "ann"), s.commandLine(t, "ann")
	_, value, _ := strings.Cut(cli, "Bearer ")
	get := func(path string, header ...string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
		require.NoError(t, err)
		for _, h := range header {
			name, v, _ := strings.Cut(h, ": ")
			r.Header.Set(name, v)
		}
		if len(header) == 0 {
			r.SetBasicAuth("ann", value)
		}
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	for _, path := range []string{"/v2/", "/v2/ann/app/tags/list"} {
		require.Equal(t, 401, get(path, browser), path)
		require.Equal(t, 401, get(path, cli), path)
		require.Equal(t, 401, get(path), path)
	}
	require.Equal(t, 200, get("/api/v1/user/sessions", browser))
}

// TestCrossOriginChange: a page of another origin cannot make a browser change anything (CSRF).
func TestCrossOriginChange(t *testing.T) {
	s := newSignedIn(t)
	browser, cli := s.browser(t, "ann"), s.commandLine(t, "ann")
	const path = "/v1/user/sessions"
	for _, header := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: null",
		"Origin: https://evil.example"} {
		s.do(t, "", "DELETE", path, nil, browser, header).fails(403, "DENIED")
		s.do(t, "", "GET", path, nil, browser, header).want(200)
	}
	s.do(t, "", "DELETE", path, nil, browser, "Sec-Fetch-Site: same-origin").want(204)
	s.do(t, "", "GET", path, nil, cli).fails(401, "UNAUTHORIZED")
}

// TestSessionsWhileTheStorageIsDown: users are not signed out.
func TestSessionsWhileTheStorageIsDown(t *testing.T) {
	s := newSignedIn(t)
	cli := s.commandLine(t, "ann")
	s.down.Store(true)
	s.do(t, "", "GET", "/v1/user/sessions", nil, cli).fails(503, "UNAVAILABLE")
	s.down.Store(false)
	s.do(t, "", "GET", "/v1/user/sessions", nil, cli).want(200)
}
