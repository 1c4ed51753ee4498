package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/notification"
)

// linkedPerson is somebody at a provider.
func linkedPerson(subject string) accounts.Person {
	return accounts.Person{Issuer: "https://id.example/a b?c", Subject: subject}
}

// link links a person to a user, and returns the path of the link.
func (s *site) link(t *testing.T, user, subject string) string {
	t.Helper()
	acc, err := s.people.Lookup(t.Context(), user)
	require.NoError(t, err)
	require.NoError(t, s.people.Link(t.Context(), accounts.Actor{}, linkedPerson(subject), acc.ID))
	list := "/v1/users/" + user + "/links"
	var links types.LinkList
	s.do(t, "boss", "GET", list, nil).want(200).into(&links)
	for _, l := range links.Items {
		if l.Subject == subject {
			require.Equal(t, linkedPerson(subject).Issuer, l.Issuer)
			return list + "/" + l.ID
		}
	}
	require.Fail(t, "the list lacks the link", "%v", links)
	return ""
}

// provided begins a session of a user by a sign-in at the provider, and returns the header with its value.
func (s *signedIn) provided(t *testing.T, user string, person accounts.Person) string {
	t.Helper()
	_, value, err := s.sessions.Issue(httptest.NewRequest(http.MethodPost, "/", nil), session.Login{
		Account:  s.id(t, user),
		Provider: &session.Provider{Name: "company", Issuer: person.Issuer, Subject: person.Subject}})
	require.NoError(t, err)
	return "Authorization: Bearer " + value.Value()
}

func TestLinks(t *testing.T) {
	var reasons []string
	s := newSite(t, func(s *site, opts *api.Options) {
		opts.Accounts = s.people
		s.onEvents = func(events []notification.Event) {
			for _, e := range events {
				if e.Account != nil && e.Account.Change == "user.unlink" {
					reasons = append(reasons, e.Account.Reason)
				}
			}
		}
	})
	var list types.LinkList
	s.do(t, "ann", "GET", "/v1/users/ann/links", nil).want(200).into(&list)
	require.NotNil(t, list.Items)
	require.Empty(t, list.Items)
	one, two, of := s.link(t, "ann", "1"), s.link(t, "ann", "2"), s.link(t, "bob", "3")

	// Other users neither see nor remove links, whether they exist or not.
	for _, path := range []string{one, of, "/v1/users/nobody/links/none"} {
		s.do(t, "", "DELETE", path, nil).fails(401, "UNAUTHORIZED")
	}
	s.do(t, "bob", "GET", "/v1/users/ann/links", nil).fails(403, "DENIED")
	s.do(t, "bob", "GET", "/v1/users/nobody/links", nil).fails(403, "DENIED")
	s.do(t, "bob", "DELETE", one, nil).fails(403, "DENIED")
	s.do(t, "bob", "DELETE", "/v1/users/nobody/links/none", nil).fails(403, "DENIED")

	// Only users have links, and only those of the user in the path.
	for _, name := range []string{"nobody", "acme"} {
		s.do(t, "boss", "GET", "/v1/users/"+name+"/links", nil).fails(404, "NOT_FOUND")
		s.do(t, "boss", "DELETE", "/v1/users/"+name+"/links/none", nil).fails(404, "NOT_FOUND")
	}
	s.do(t, "boss", "DELETE", "/v1/users/ann/links/none", nil).fails(404, "NOT_FOUND")
	s.do(t, "ann", "DELETE", "/v1/users/ann"+of[len("/v1/users/bob"):], nil).fails(404, "NOT_FOUND")
	s.do(t, "boss", "GET", "/v1/users/ann/links?limit=1", nil).fails(400, "INVALID")
	s.do(t, "boss", "DELETE", one+"?force=true", nil).fails(400, "INVALID")

	// The user removes one, and an admin the other.
	s.do(t, "ann", "DELETE", one, nil).want(204)
	s.do(t, "ann", "DELETE", one, nil).fails(404, "NOT_FOUND")
	_, err := s.people.Linked(t.Context(), linkedPerson("1"))
	require.ErrorIs(t, err, accounts.ErrUnknown)
	s.do(t, "boss", "DELETE", two+"?reason=break-in", nil).want(204)
	s.do(t, "ann", "GET", "/v1/users/ann/links", nil).want(200).into(&list)
	require.Empty(t, list.Items)
	_, err = s.people.Linked(t.Context(), linkedPerson("3"))
	require.NoError(t, err)
	require.Equal(t, []string{"", "break-in"}, reasons)
}

// TestLinksAndTokens: a token shows the links and cannot remove one, not even that of an admin.
func TestLinksAndTokens(t *testing.T) {
	s := newSite(t, func(s *site, opts *api.Options) { opts.Accounts = s.people })
	path := s.link(t, "ann", "1")
	for _, user := range []string{"ann", "boss"} {
		var made types.CreatedToken
		s.do(t, user, "POST", "/v1/accounts/"+user+"/tokens", types.NewToken{Name: "t"}).want(201).into(&made)
		token := basic(user, made.Value)
		s.do(t, "", "GET", "/v1/users/ann/links", nil, token).want(200)
		s.do(t, "", "DELETE", path, nil, token).fails(403, "DENIED")
	}
	s.do(t, "ann", "DELETE", path, nil).want(204)
}

// TestUnlinkEndsSessions: the sessions that the person began end, and no others. A repetition ends the sessions that an
// error has left.
func TestUnlinkEndsSessions(t *testing.T) {
	s := newSignedIn(t)
	path := s.link(t, "ann", "1")
	mine, other := s.provided(t, "ann", linkedPerson("1")), s.provided(t, "ann", linkedPerson("2"))
	browser, bob := s.browser(t, "ann"), s.provided(t, "bob", linkedPerson("1"))
	s.do(t, "bob", "DELETE", path, nil).fails(403, "DENIED")
	s.do(t, "", "GET", "/v1/user", nil, mine).want(200)

	s.down.Store(true)
	s.do(t, "ann", "DELETE", path, nil).fails(503, "UNAVAILABLE")
	s.down.Store(false)
	s.do(t, "", "GET", "/v1/user", nil, mine).want(200)
	s.do(t, "ann", "DELETE", path, nil).fails(404, "NOT_FOUND")
	s.do(t, "", "GET", "/v1/user", nil, mine).fails(401, "UNAUTHORIZED")
	for _, login := range []string{other, browser, bob} {
		s.do(t, "", "GET", "/v1/user", nil, login).want(200)
	}

	// With the session that ends.
	path = s.link(t, "ann", "2")
	s.do(t, "", "DELETE", path, nil, other).want(204)
	s.do(t, "", "DELETE", path, nil, other).fails(401, "UNAUTHORIZED")
}

// unnotified is accounts whose changes of links are made but not recorded.
type unnotified struct{ *accounts.Accounts }

func (u unnotified) Unlink(ctx context.Context, by accounts.Actor, person accounts.Person, user accounts.ID) error {
	return errors.Join(u.Accounts.Unlink(ctx, by, person, user), accounts.ErrNotified)
}

// TestUnlinkNotRecorded: sessions also end if the change was made and not recorded.
func TestUnlinkNotRecorded(t *testing.T) {
	s := &signedIn{}
	s.site = newSite(t, func(of *site, opts *api.Options) {
		var err error
		s.sessions, err = session.New(of.driver, of.people, nil)
		require.NoError(t, err)
		users, err := accounts.NewAuthenticator(of.people, nil)
		require.NoError(t, err)
		opts.Accounts, opts.Sessions = unnotified{of.people}, s.sessions
		opts.Authenticator = s.sessions.Authenticator(users)
	})
	path, mine := s.link(t, "ann", "1"), s.provided(t, "ann", linkedPerson("1"))
	s.do(t, "ann", "DELETE", path, nil).fails(503, "NOT_RECORDED")
	s.do(t, "", "GET", "/v1/user", nil, mine).fails(401, "UNAUTHORIZED")
}

// TestNoLinks: the routes exist only if the accounts have links.
func TestNoLinks(t *testing.T) {
	s := newSite(t, func(s *site, opts *api.Options) { opts.Accounts = struct{ accounts.Manager }{s.people} })
	require.NotContains(t, s.api.Routes(), "GET /v1/users/{user}/links")
	require.NotContains(t, s.api.Routes(), "DELETE /v1/users/{user}/links/{link}")
}
