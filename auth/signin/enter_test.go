package signin_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/signin"
)

// TestNoAccountByNameOrEmail: a person at a provider never gets an existing account because of an
// equal name or e-mail address.
func TestNoAccountByNameOrEmail(t *testing.T) {
	for create, want := range map[signin.Creation]string{signin.NoCreation: "NOT_LINKED", signin.ByName: "NAME_TAKEN",
		signin.Numbered: ""} {
		p := newIDP(t)
		s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) { p.Create = create })
		ann, err := s.people.CreateUser(t.Context(), accounts.Actor{}, "ann", password,
			&accounts.UserOptions{Profile: accounts.Profile{Email: "ann@example.com"}})
		require.NoError(t, err)
		b := s.browser(t)
		r := b.signIn()
		if want != "" {
			require.Contains(t, r.body, want)
			require.Empty(t, b.whoami().Name)
			continue
		}
		r.want(200)
		require.Equal(t, "ann-2", b.whoami().Name)
		require.NotEqual(t, string(ann.ID), b.whoami().Claims[accounts.AccountClaim])
	}
}

func TestNamesOfNewAccounts(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) { p.Create = signin.Numbered })
	for i, c := range []struct{ claim, want string }{
		{"Ann.Lee", "ann-lee"}, {"ann_lee", "ann-lee-2"}, {"bob@example.com", "bob"}, {"Carol Q", "carol-q"},
	} {
		p.set(func() { p.person = map[string]any{"sub": fmt.Sprint(i), "preferred_username": c.claim} })
		b := s.browser(t)
		b.signIn().want(200)
		require.Equal(t, c.want, b.whoami().Name)
	}
	for i, claim := range []any{"", nil, 7, "x", "ann+robot", "../etc", "日本", "--"} {
		p.set(func() { p.person = map[string]any{"sub": fmt.Sprint("other", i), "preferred_username": claim} })
		s.browser(t).signIn().fails(409, "NAME_TAKEN")
	}
	p.set(func() { p.person = map[string]any{"sub": "admin", "preferred_username": "admin"} })
	b := s.browser(t)
	b.signIn().want(200)
	require.NotEqual(t, "admin", b.whoami().Name, "a reserved name")
}

// TestLink: a signed-in user links the own account by an explicit step.
func TestLink(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) { p.Create = signin.NoCreation })
	ann := s.user(t, "ann")
	s.user(t, "bob")
	b := s.browser(t)
	b.do("POST", "/signin/oidc/company/link", nil, "Accept: application/json").fails(403, "UNAUTHORIZED")
	login := func(b *browser, name string) {
		b.do("POST", "/signin/password", url.Values{"name": {name}, "password": {password}})
		require.Equal(t, name, b.whoami().Name)
	}
	login(b, "ann")
	s.handler.SetClock(func() time.Time { return time.Now().Add(16 * time.Minute) }) // a link needs a new session
	b.do("POST", "/signin/oidc/company/link", nil, "Accept: application/json").fails(403, "UNAUTHORIZED")
	s.handler.SetClock(time.Now)
	r := b.do("POST", "/signin/oidc/company/link", url.Values{"return": {"/me"}}).want(200)
	r = b.do("GET", r.location, nil).want(200) // the page leads there, also where the policy of a page forbids a redirect
	require.Equal(t, "page /me", r.body)
	id, err := s.people.Linked(t.Context(), accounts.Person{Issuer: p.URL, Subject: "ann-1"})
	require.NoError(t, err)
	require.Equal(t, ann, id)
	other := s.browser(t)
	other.signIn().want(200)
	require.Equal(t, "ann", other.whoami().Name)

	// The person belongs to ann now.
	bob := s.browser(t)
	login(bob, "bob")
	to := bob.do("POST", "/signin/oidc/company/link", nil).want(200).location
	bob.do("GET", to, nil, "Accept: application/json").fails(409, "LINKED")
}

// TestLinkBelongsToItsUser: an attempt to link does not link another user who signs in meanwhile,
// nor nobody.
func TestLinkBelongsToItsUser(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) { p.Create = signin.NoCreation })
	s.user(t, "ann")
	s.user(t, "bob")
	b := s.browser(t).steps()
	for _, next := range []func(){
		func() {
			b.do("POST", "/signin/password", url.Values{"name": {"bob"}, "password": {password}}).want(303)
		},
		func() { b.do("POST", "/signin/logout", nil).want(303) },
	} {
		b.do("POST", "/signin/password", url.Values{"name": {"ann"}, "password": {password}}).want(303)
		back := b.do("GET", b.do("POST", "/signin/oidc/company/link", nil).want(200).location, nil).location
		next()
		b.do("GET", back, nil, "Accept: application/json").fails(403, "UNAUTHORIZED")
		_, err := s.people.Linked(t.Context(), accounts.Person{Issuer: p.URL, Subject: "ann-1"})
		require.ErrorIs(t, err, accounts.ErrUnknown)
	}
}

// TestDisabledUser: a disabled or removed user cannot sign in at a provider, and gets no new
// account.
func TestDisabledUser(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) { p.Create = signin.Numbered })
	b := s.browser(t)
	b.signIn().want(200)
	id := accounts.ID(b.whoami().Claims[accounts.AccountClaim].(string))
	_, err := s.people.Disable(t.Context(), accounts.Actor{}, id)
	require.NoError(t, err)
	require.Empty(t, b.whoami().Name)
	s.browser(t).signIn().fails(403, "ACCOUNT_DISABLED")
	_, err = s.people.Enable(t.Context(), accounts.Actor{}, id)
	require.NoError(t, err)
	require.Empty(t, b.whoami().Name, "the session stays ended")
	b.signIn().want(200)
	require.NoError(t, s.people.Remove(t.Context(), accounts.Actor{}, id))
	require.Empty(t, b.whoami().Name)
	s.browser(t).signIn().fails(403, "ACCOUNT_DISABLED")
}
