package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func TestSession(t *testing.T) {
	d := memory.New(nil)
	s := newSite(t, d, nil, nil)
	ann := s.user(t, "ann")
	browser, cli := s.start(t, session.Login{Account: ann}), s.issue(t, session.Login{Account: ann})
	for _, r := range []*http.Request{browser, cli} {
		identity, err := s.who.Authenticate(r)
		require.NoError(t, err)
		require.Equal(t, "ann", identity.Name)
		require.Equal(t, string(ann), identity.Claims[accounts.AccountClaim])
		require.Len(t, identity.Claims[session.Claim], 26)
		_, err = auth.Renew(t.Context(), s.who, identity)
		require.ErrorIs(t, err, auth.ErrCredentials, "no token outlives a session")
	}
	require.Empty(t, s.name(t, httptest.NewRequest(http.MethodGet, "/", nil)))

	// The groups are those of the account now.
	_, err := s.people.CreateOrganisation(t.Context(), accounts.Actor{}, "acme", ann, nil)
	require.NoError(t, err)
	identity, err := s.who.Authenticate(browser)
	require.NoError(t, err)
	require.Equal(t, []string{"acme", "acme/owners"}, identity.Groups)
}

// TestOnlyHashesAreStored: a reader of the storage cannot use a session.
func TestOnlyHashesAreStored(t *testing.T) {
	d := memory.New(nil)
	s := newSite(t, d, nil, nil)
	r := s.issue(t, session.Login{Account: s.user(t, "ann")})
	value := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	require.Len(t, value, 79)
	for info, err := range d.List(t.Context(), "g/", nil) {
		require.NoError(t, err)
		body, _, err := d.Open(t.Context(), info.Key, nil)
		require.NoError(t, err)
		content := new(strings.Builder)
		_, err = fmt.Fprint(content, info.Key)
		require.NoError(t, err)
		buffer := make([]byte, 1<<16)
		n, _ := body.Read(buffer)
		require.NoError(t, body.Close())
		content.Write(buffer[:n])
		for i := 20; i+8 <= len(value); i += 8 { // after the ID of the account
			require.NotContains(t, content.String(), value[i:i+8])
		}
	}
}

// TestSessionIsNeverValidBelowV2, even if a host uses the Authenticator for pushes and pulls by
// mistake.
func TestSessionIsNeverValidBelowV2(t *testing.T) {
	s := newSite(t, memory.New(nil), nil, nil)
	ann := s.user(t, "ann")
	for _, r := range []*http.Request{s.start(t, session.Login{Account: ann}), s.issue(t, session.Login{Account: ann})} {
		for _, path := range []string{"/v2/", "/v2", "/v2/app/manifests/v1", "/v2/_catalog", "/v2/token"} {
			r.URL.Path = path
			_, err := s.who.Authenticate(r)
			require.ErrorIs(t, err, auth.ErrCredentials, path)
		}
	}
}

func TestForeignValues(t *testing.T) {
	s := newSite(t, memory.New(nil), nil, nil)
	ann := s.user(t, "ann")
	cli, browser := s.issue(t, session.Login{Account: ann}), s.start(t, session.Login{Account: ann})
	value := strings.TrimPrefix(cli.Header.Get("Authorization"), "Bearer ")
	cookie := browser.Cookies()[0].Value
	bearer := func(v string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+v)
		return r
	}
	with := func(values ...string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for _, v := range values {
			r.AddCookie(&http.Cookie{Name: session.Cookie, Value: v})
		}
		return r
	}
	for _, v := range []string{value[:78], value + "a", "rks_", session.NewValue(ann), strings.ToUpper(value), cookie,
		session.NewValue("zzzzzzzzzzzzzzzz")} {
		require.Empty(t, s.name(t, bearer(v)))
		_, err := s.who.Authenticate(bearer(v))
		if strings.HasPrefix(v, "rks_") {
			require.ErrorIs(t, err, auth.ErrCredentials)
		}
	}
	for _, v := range []string{"", "x", value, session.NewValue(ann), cookie[:78]} {
		require.Empty(t, s.name(t, with(v)), "a cookie that is not valid is ignored")
		_, err := s.who.Authenticate(with(v))
		require.NoError(t, err)
	}
	require.Empty(t, s.name(t, with(cookie, cookie)), "two cookies")
	require.Equal(t, "ann", s.name(t, with(cookie)))
}

// TestOtherCredentials: a request with other credentials in the header is decided by them alone.
func TestOtherCredentials(t *testing.T) {
	s := newSite(t, memory.New(nil), nil, nil)
	ann, bob := s.user(t, "ann"), s.user(t, "bob")
	require.NoError(t, s.people.SetPassword(t.Context(), accounts.Actor{}, bob, password))
	logins, err := accounts.NewAuthenticator(s.people, nil)
	require.NoError(t, err)
	s.who = s.sessions.Authenticator(logins)
	r := s.start(t, session.Login{Account: ann})
	require.Equal(t, "ann", s.name(t, r))
	r.SetBasicAuth("bob", password)
	require.Equal(t, "bob", s.name(t, r))
	r.SetBasicAuth("ann", "wrong")
	require.Empty(t, s.name(t, r))
	require.Equal(t, `Basic realm="registry"`, s.who.Challenge(r, nil))
	identity, err := s.who.Authenticate(func() *http.Request { r.SetBasicAuth("bob", password); return r }())
	require.NoError(t, err)
	_, err = auth.Renew(t.Context(), s.who, identity)
	require.NoError(t, err)
}

// TestNewSessionAtEachLogin: the session that a browser brings ends (session fixation).
func TestNewSessionAtEachLogin(t *testing.T) {
	d := memory.New(nil)
	s := newSite(t, d, nil, nil)
	ann, bob := s.user(t, "ann"), s.user(t, "bob")
	first := s.start(t, session.Login{Account: bob})
	second := s.start(t, session.Login{Account: ann}, first)
	require.NotEqual(t, first.Cookies()[0].Value, second.Cookies()[0].Value)
	require.Empty(t, s.name(t, first))
	require.Equal(t, "ann", s.name(t, second))
	require.Len(t, keys(t, d), 1)
}

func TestCrossOrigin(t *testing.T) {
	s := newSite(t, memory.New(nil), nil, &session.Options{TrustedOrigins: []string{"https://pages.example.com"}})
	r := s.start(t, session.Login{Account: s.user(t, "ann")})
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		r.Method = method
		for _, header := range []string{"cross-site", "same-site"} {
			r.Header.Set("Sec-Fetch-Site", header)
			_, err := s.who.Authenticate(r)
			require.ErrorIs(t, err, registry.ErrDenied)
			require.ErrorIs(t, err, session.ErrCrossOrigin)
		}
		r.Header.Set("Origin", "https://pages.example.com")
		require.Equal(t, "ann", s.name(t, r))
		r.Header.Del("Origin")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		require.Equal(t, "ann", s.name(t, r))
	}
	r.Method = "GET"
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	require.Equal(t, "ann", s.name(t, r))
}

// TestStorageDown: nobody is signed out, and no cookie is set.
func TestStorageDown(t *testing.T) {
	var down atomic.Bool
	f := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
		Before: func(context.Context, drivertest.Call) error {
			if down.Load() {
				return driver.ErrUnavailable
			}
			return nil
		}})
	s := newSite(t, f, nil, nil)
	ann := s.user(t, "ann")
	r := s.start(t, session.Login{Account: ann})
	down.Store(true)
	s.now.advance(time.Minute)
	time.Sleep(time.Millisecond)
	var unavailable *auth.UnavailableError
	_, err := s.who.Authenticate(r)
	require.ErrorAs(t, err, &unavailable)
	w := httptest.NewRecorder()
	_, err = s.sessions.End(w, r)
	require.ErrorAs(t, err, &unavailable)
	_, err = s.sessions.Start(w, r, session.Login{Account: ann})
	require.ErrorAs(t, err, &unavailable)
	require.Empty(t, w.Result().Cookies())
	_, err = s.sessions.RevokeAll(t.Context(), ann, "")
	require.ErrorAs(t, err, &unavailable)
	down.Store(false)
	require.Equal(t, "ann", s.name(t, r))
}

// TestKilledStart: after a crash at any point, there is no session, or one whose value nobody has.
func TestKilledStart(t *testing.T) {
	login := func(ann accounts.ID) session.Login {
		return session.Login{Account: ann, Provider: &session.Provider{Name: "company", Issuer: "i", Subject: "s", SID: "1"}}
	}
	for n := 0; ; n++ {
		d := memory.New(nil)
		s := newSite(t, d, nil, nil)
		ann := s.user(t, "ann")
		old := s.start(t, login(ann))
		f := drivertest.NewFaulty(d, nil)
		killed := newSite(t, f, nil, nil)
		f.CutAfter(n)
		w := httptest.NewRecorder()
		_, err := killed.sessions.Start(w, old, login(ann))
		if !f.Cut() {
			require.NoError(t, err)
			require.Greater(t, n, 2)
			return
		}
		require.Error(t, err)
		require.Empty(t, w.Result().Cookies())
		require.NoError(t, s.sessions.Sweep(t.Context()))
		after := newSite(t, d, nil, nil)
		ended, err := after.sessions.RevokeSID(t.Context(), "i", "1", func(*session.Session) bool { return true })
		require.NoError(t, err)
		require.LessOrEqual(t, ended, 2)
		require.Empty(t, after.name(t, old))
		for _, key := range keys(t, d) {
			require.False(t, strings.HasPrefix(key, "g/s/"), "%s after %d writes", key, n)
		}
		after.now.advance(2 * time.Hour)
		require.NoError(t, after.sessions.Sweep(t.Context()))
		require.Empty(t, keys(t, d))
	}
}

func TestNewRefuses(t *testing.T) {
	d := memory.New(nil)
	people, err := accounts.New(d, nil)
	require.NoError(t, err)
	_, err = session.New(nil, people, nil)
	require.Error(t, err)
	_, err = session.New(d, nil, nil)
	require.Error(t, err)
	for _, opts := range []session.Options{{Idle: -1}, {Idle: time.Second}, {Absolute: -1}, {Refresh: -1},
		{Refresh: time.Hour}, {TrustedOrigins: []string{"pages.example"}}} {
		_, err = session.New(d, people, &opts)
		require.Error(t, err)
	}
}

// FuzzValue: no value of a client makes the Authenticator fail in another way than by
// ErrCredentials.
func FuzzValue(f *testing.F) {
	s := newSite(f, memory.New(nil), nil, nil)
	ann := s.user(f, "ann")
	real := strings.TrimPrefix(s.issue(f, session.Login{Account: ann}).Header.Get("Authorization"), "Bearer ")
	for _, seed := range []string{real, session.NewValue(ann), "rks_", "", real[:40]} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, value string, header bool) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if header {
			r.Header.Set("Authorization", "Bearer "+value)
		} else {
			r.Header.Set("Cookie", session.Cookie+"="+value)
		}
		identity, err := s.who.Authenticate(r)
		if err != nil && !errors.Is(err, auth.ErrCredentials) {
			t.Fatal(err)
		}
		if identity.Name != "" && (!header || strings.TrimSpace(value) != real) {
			t.Fatalf("%q was accepted", value)
		}
	})
}
