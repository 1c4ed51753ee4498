package signin_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/signin"
)

// TestGroupsAreReplaced: at each sign-in, the mapped teams are exactly those of the groups that the
// provider states then. They are never merged with earlier ones.
func TestGroupsAreReplaced(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) {
		p.Teams = []signin.Mapping{{Group: "developers", Team: "acme/dev"}, {Group: "ops", Team: "acme/ops"},
			{Group: "leads", Team: "acme/dev"}, {Group: "root", Admin: true}, {Group: "owners", Team: "acme/owners"},
			{Group: "staff", Team: "club"}}
	})
	boss := s.user(t, "boss")
	require.NoError(t, s.people.AddAdmin(t.Context(), accounts.Actor{}, boss))
	acme := s.organisation(t, "acme", boss, "dev", "ops", "other")
	s.organisation(t, "club", boss)
	b := s.browser(t)
	for _, c := range []struct {
		groups any
		want   []string
		admin  bool
	}{
		{[]string{"developers", "unknown"}, []string{"acme", "acme/dev"}, false},
		{[]string{"ops", "root", "staff"}, []string{"acme", "acme/ops", "club"}, true},
		{"leads", []string{"acme", "acme/dev"}, false},
		{[]string{"owners", "developers", "leads"}, []string{"acme", "acme/dev", "acme/owners"}, false},
		{[]string{}, []string{"acme"}, false},
		{nil, []string{"acme"}, false},
		{[]string{"Developers", "acme/dev"}, []string{"acme"}, false},
	} {
		p.set(func() { p.person["groups"] = c.groups })
		b.signIn().want(200)
		who := b.whoami()
		require.Equal(t, c.want, who.Groups, "%v", c.groups)
		id, err := s.people.Linked(t.Context(), accounts.Person{Issuer: p.URL, Subject: "ann-1"})
		require.NoError(t, err)
		admin, err := s.people.IsAdmin(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, c.admin, admin, "%v", c.groups)
		if c.groups == "leads" { // a team that is not mapped stays
			require.NoError(t, s.people.JoinTeam(t.Context(), accounts.Actor{}, acme, "other", id))
			require.Contains(t, b.whoami().Groups, "acme/other")
			require.NoError(t, s.people.LeaveTeam(t.Context(), accounts.Actor{}, acme, "other", id))
		}
	}
	require.Empty(t, s.errors())

	// The groups of a session are those of the account now.
	id, err := s.people.Linked(t.Context(), accounts.Person{Issuer: p.URL, Subject: "ann-1"})
	require.NoError(t, err)
	require.NoError(t, s.people.JoinTeam(t.Context(), accounts.Actor{}, acme, "ops", id))
	require.Contains(t, b.whoami().Groups, "acme/ops")
}

// TestLastOneStays: the last owner and the last admin keep their roles, and the operator is told.
func TestLastOneStays(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) {
		p.Teams = []signin.Mapping{{Group: "root", Admin: true}, {Group: "owners", Team: "acme/owners"},
			{Group: "x", Team: "nowhere/dev"}, {Group: "x", Team: "acme/missing"}}
	})
	ann := s.user(t, "ann")
	require.NoError(t, s.people.Link(t.Context(), accounts.Actor{}, accounts.Person{Issuer: p.URL, Subject: "ann-1"}, ann))
	require.NoError(t, s.people.AddAdmin(t.Context(), accounts.Actor{}, ann))
	s.organisation(t, "acme", ann)
	b := s.browser(t)
	b.signIn().want(200)
	require.Equal(t, []string{"acme", "acme/owners"}, b.whoami().Groups)
	admin, err := s.people.IsAdmin(t.Context(), ann)
	require.NoError(t, err)
	require.True(t, admin)
	require.Contains(t, s.errors(), "last one")
	require.Contains(t, s.errors(), `"nowhere/dev"`)

	p.set(func() { p.person["groups"] = []string{"x"} })
	b.signIn().want(200)
	require.Contains(t, s.errors(), `"acme/missing"`)
}

// TestGroupsThatAreNotSent: a list that is missing because it is too long takes no team away.
func TestGroupsThatAreNotSent(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) {
		p.Teams = []signin.Mapping{{Group: "developers", Team: "acme/dev"}}
	})
	s.organisation(t, "acme", s.user(t, "boss"), "dev")
	p.set(func() { p.person["groups"] = []string{"developers"} })
	b := s.browser(t)
	b.signIn().want(200)
	p.set(func() {
		p.person["groups"] = nil
		p.person["_claim_names"] = map[string]any{"groups": "src1"}
		p.person["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": "https://graph.example/"}}
	})
	s.browser(t).signIn().fails(403, "TOO_MANY_GROUPS")
	p.set(func() { p.person = map[string]any{"sub": "ann-1", "groups": 7} })
	s.browser(t).signIn().fails(403, "WRONG_TOKEN")
	require.Contains(t, b.whoami().Groups, "acme/dev")
}

func TestUserInfo(t *testing.T) {
	p := newIDP(t)
	p.userInfo = map[string]any{"sub": "ann-1", "groups": []string{"developers"}, "preferred_username": "root"}
	s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) {
		p.UserInfo = true
		p.Teams = []signin.Mapping{{Group: "developers", Team: "acme/dev"}}
	})
	s.organisation(t, "acme", s.user(t, "boss"), "dev")
	b := s.browser(t)
	b.signIn().want(200)
	require.Equal(t, "ann", b.whoami().Name, "the signed claim comes first")
	require.Equal(t, []string{"acme", "acme/dev"}, b.whoami().Groups)
	p.set(func() { p.userInfo["sub"] = "bob-1" })
	s.browser(t).signIn().fails(403, "WRONG_TOKEN")
}

func TestRequire(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) {
		p.Require = map[string][]string{"hd": {"example.com"}, "groups": {"staff", "guests"}}
	})
	for _, c := range []struct {
		hd, groups any
		ok         bool
	}{
		{"example.com", []string{"x", "guests"}, true}, {"example.com", "staff", true}, {"example.com", []string{"x"}, false},
		{"other.com", "staff", false}, {nil, "staff", false}, {"example.com", nil, false}, {true, "staff", false},
	} {
		p.set(func() { p.person["hd"], p.person["groups"] = c.hd, c.groups })
		r := s.browser(t).signIn()
		if c.ok {
			r.want(200)
		} else {
			r.fails(403, "NOT_PERMITTED")
		}
	}
}
