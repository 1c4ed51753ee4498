package api_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

// newPeople starts a site with accounts.
func newPeople(t *testing.T) *site {
	t.Helper()
	return newSite(t, func(s *site, opts *api.Options) { opts.Accounts = s.people })
}

// user returns a user as the admin sees it, and the answer.
func (s *site) user(t *testing.T, name string) (types.User, *answer) {
	t.Helper()
	var u types.User
	a := s.do(t, "boss", "GET", "/v1/users/"+name, nil).want(200).into(&u)
	return u, a
}

// TestUserLife: an admin creates, changes, disables, renames and removes a user.
func TestUserLife(t *testing.T) {
	s := newPeople(t)
	var made types.User
	a := s.do(t, "boss", "POST", "/v1/users?reason=hired", types.NewUser{Name: "cat", Password: password, FullName: "Cat",
		Email: "cat@example.com", Visibility: "public"}).want(201).into(&made)
	require.Equal(t, "/api/v1/users/cat", a.header.Get("Location"))
	got, read := s.user(t, "cat")
	require.Equal(t, made, got)
	require.Equal(t, a.header.Get("ETag"), read.header.Get("ETag"))
	require.Equal(t, []string{"Cat", "cat@example.com", "public"}, []string{got.FullName, got.Email, got.Visibility})
	require.WithinDuration(t, time.Now(), got.Created, time.Minute)

	var changed types.User
	name := "Catherine"
	change := types.ProfileChange{FullName: &name}
	s.do(t, "boss", "PATCH", "/v1/users/cat", change).fails(428, "PRECONDITION_REQUIRED")
	s.do(t, "boss", "PATCH", "/v1/users/cat", change, `If-Match: "other"`).fails(412, "PRECONDITION_FAILED")
	a = s.do(t, "boss", "PATCH", "/v1/users/cat", change, read.ifMatch()).want(200).into(&changed)
	require.Equal(t, "Catherine", changed.FullName)
	require.Equal(t, got.Email, changed.Email)
	s.do(t, "boss", "PATCH", "/v1/users/cat", change, read.ifMatch()).fails(412, "PRECONDITION_FAILED")

	s.do(t, "cat", "GET", "/v1/user", nil).want(200)
	s.do(t, "boss", "POST", "/v1/users/cat/disable?reason=left", nil, read.ifMatch()).fails(412, "PRECONDITION_FAILED")
	s.do(t, "boss", "POST", "/v1/users/cat/disable?reason=left", nil, a.ifMatch()).want(200).into(&changed)
	require.Equal(t, "boss", changed.Disabled.By)
	require.Equal(t, "left", changed.Disabled.Reason)
	s.do(t, "cat", "GET", "/v1/user", nil).fails(401, "UNAUTHORIZED")
	changed = types.User{}
	s.do(t, "boss", "POST", "/v1/users/cat/enable", nil).want(200).into(&changed)
	require.Nil(t, changed.Disabled)
	s.do(t, "cat", "GET", "/v1/user", nil).want(200)

	a = s.do(t, "boss", "POST", "/v1/users/cat/rename", types.Name{Name: "kate"}).want(200).into(&changed)
	require.Equal(t, []string{"kate", "cat"}, append([]string{changed.Name}, changed.FormerNames...))
	s.do(t, "boss", "GET", "/v1/users/cat", nil).fails(404, "NOT_FOUND")
	s.do(t, "boss", "POST", "/v1/users/kate/release", types.Name{Name: "nobody"}).fails(404, "NOT_FOUND")
	s.do(t, "boss", "POST", "/v1/users/kate/release", types.Name{Name: "cat"}, a.ifMatch()).want(200)
	s.do(t, "boss", "POST", "/v1/users", types.NewUser{Name: "cat"}).fails(409, "TAKEN") // quarantine
	s.do(t, "boss", "POST", "/v1/users?force=true", types.NewUser{Name: "cat"}).want(201)

	_, read = s.user(t, "kate")
	s.do(t, "boss", "DELETE", "/v1/users/kate", nil).fails(428, "PRECONDITION_REQUIRED")
	s.do(t, "boss", "DELETE", "/v1/users/kate", nil, a.ifMatch()).fails(412, "PRECONDITION_FAILED")
	s.do(t, "boss", "DELETE", "/v1/users/kate?reason=left", nil, read.ifMatch()).want(204)
	s.do(t, "boss", "DELETE", "/v1/users/kate", nil, "If-Match: *").fails(404, "NOT_FOUND")
	s.do(t, "boss", "GET", "/v1/users/kate", nil).fails(404, "NOT_FOUND")
}

// TestTakenNames: a new account, or a new name, gives no rights to what belongs to others.
func TestTakenNames(t *testing.T) {
	s := newPeople(t)
	for _, name := range []string{"ann", "a-nn", "acme", "acrne", "b0b", "admin", "adm1n", "library"} {
		s.do(t, "boss", "POST", "/v1/users", types.NewUser{Name: name}).fails(409, "TAKEN")
		s.do(t, "boss", "POST", "/v1/users/boss/rename", types.Name{Name: name}).fails(409, "TAKEN")
	}
	for _, name := range []string{"", "A", "ann+robot", "ann/app", "x", "ünï"} {
		s.do(t, "boss", "POST", "/v1/users", types.NewUser{Name: name}).fails(400, "INVALID")
	}
	s.do(t, "boss", "POST", "/v1/users?force=true", types.NewUser{Name: "library"}).want(201) // reserved
	s.do(t, "boss", "POST", "/v1/users?force=true", types.NewUser{Name: "a-nn"}).fails(409, "TAKEN")
	s.do(t, "boss", "POST", "/v1/users", types.NewUser{Name: "dan", Password: "short"}).fails(400, "INVALID")
	s.do(t, "boss", "POST", "/v1/users", types.NewUser{Name: "dan", Visibility: "none"}).fails(400, "INVALID")
	s.do(t, "boss", "POST", "/v1/users?force=yes", types.NewUser{Name: "dan"}).fails(400, "INVALID")
	s.do(t, "boss", "POST", "/v1/users?reasn=x", types.NewUser{Name: "dan"}).fails(400, "INVALID")
	s.do(t, "boss", "POST", "/v1/users?reason=%0a", types.NewUser{Name: "dan"}).fails(400, "INVALID")
	s.do(t, "boss", "POST", "/v1/users", `{"name":"dan","admin":true}`).fails(400, "INVALID")
	s.do(t, "boss", "GET", "/v1/users/dan", nil).fails(404, "NOT_FOUND")
}

// TestUsersForOthers: a user reads and changes the own profile, and nothing else of users. The refusals do not depend
// on whether the user exists.
func TestUsersForOthers(t *testing.T) {
	s := newPeople(t)
	a := s.do(t, "ann", "GET", "/v1/users/ann", nil).want(200)
	text := "Ann"
	s.do(t, "ann", "PATCH", "/v1/users/ann", types.ProfileChange{FullName: &text, Email: &text}, a.ifMatch()).want(200)
	s.do(t, "ann", "GET", "/v1/users/acme", nil).fails(404, "NOT_FOUND") // the own organisation is no user
	for _, who := range []string{"ann", ""} {
		status, code := 403, "DENIED"
		if who == "" {
			status, code = 401, "UNAUTHORIZED"
		}
		s.do(t, who, "GET", "/v1/users", nil).fails(status, code)
		s.do(t, who, "POST", "/v1/users", types.NewUser{Name: "dan"}).fails(status, code)
		for _, name := range []string{"bob", "nobody", "boss", "%2e%2e"} {
			u := "/v1/users/" + name
			s.do(t, who, "GET", u, nil).fails(status, code)
			s.do(t, who, "GET", u+"/memberships", nil).fails(status, code)
			s.do(t, who, "PATCH", u, types.ProfileChange{FullName: &text}, "If-Match: *").fails(status, code)
			for _, verb := range []string{"rename", "release", "disable", "enable"} {
				s.do(t, who, "POST", u+"/"+verb, types.Name{Name: "xx"}).fails(status, code)
			}
			s.do(t, who, "PUT", u+"/password", types.Password{Password: password}, "If-Match: *").fails(status, code)
			s.do(t, who, "DELETE", u+"/password", nil, "If-Match: *").fails(status, code)
			s.do(t, who, "DELETE", u, nil, "If-Match: *").fails(status, code)
		}
	}
	for _, verb := range []string{"rename", "release"} { // of oneself
		s.do(t, "ann", "POST", "/v1/users/ann/"+verb, types.Name{Name: "xx"}).fails(403, "DENIED")
	}
	s.do(t, "ann", "DELETE", "/v1/users/ann", nil, "If-Match: *").fails(403, "DENIED")
	s.do(t, "ann", "PUT", "/v1/users/ann/password", types.Password{Password: password}, "If-Match: *").fails(403, "DENIED")
}

// TestUserPages: the pages together are the whole list, with and without filters.
func TestUserPages(t *testing.T) {
	s := newPeople(t)
	want := []string{"ann", "bob", "boss"}
	var disabled []string
	for i := range 30 {
		name := fmt.Sprintf("user-%02d", i)
		u, err := s.people.CreateUser(t.Context(), accounts.Actor{}, name, "", nil)
		require.NoError(t, err)
		want = append(want, name)
		if i%7 == 3 {
			_, err = s.people.Disable(t.Context(), accounts.Actor{}, u.ID)
			require.NoError(t, err)
			disabled = append(disabled, name)
		}
	}
	slices.Sort(want)
	for query, want := range map[string][]string{
		"": want, "disabled=true": disabled, "q=user-0": want[3:13], "q=user0&limit=3": want[3:13], "q=BO": {},
		"q=bo": {"bob", "boss"}, "q=user-0&disabled=true": disabled[:1], "q=bob&disabled=false": {"bob"}, "q=acme": {},
		"q=nobody": {}, "limit=1000": want,
	} {
		var got []string
		path := "/v1/users?limit=4&" + query
		if q, err := url.ParseQuery(query); err == nil && q.Has("limit") {
			path = "/v1/users?" + query
		}
		for path != "" {
			var list types.UserList
			a := s.do(t, "boss", "GET", path, nil).want(200).into(&list)
			for _, u := range list.Items {
				got = append(got, u.Name)
			}
			path = a.next()
		}
		require.ElementsMatch(t, want, got, query)
	}
	for _, query := range []string{"limit=0", "limit=", "limit=x", "after=%00", "after=Li4", "disabled=maybe", "kind=user",
		"q=a&q=b", "q=" + strings.Repeat("a", 40)} {
		s.do(t, "boss", "GET", "/v1/users?"+query, nil).fails(400, "INVALID")
	}
}

// TestMemberships: a user and an admin see the organisations and teams.
func TestMemberships(t *testing.T) {
	s := newPeople(t)
	ctx := t.Context()
	ann, err := s.people.Lookup(ctx, "ann")
	require.NoError(t, err)
	for i := range 5 {
		org, err := s.people.CreateOrganisation(ctx, accounts.Actor{}, fmt.Sprintf("corp-%d", i+2), ann.ID, nil)
		require.NoError(t, err)
		_, err = s.people.CreateTeam(ctx, accounts.Actor{}, org.ID, "dev", nil)
		require.NoError(t, err)
		require.NoError(t, s.people.JoinTeam(ctx, accounts.Actor{}, org.ID, "dev", ann.ID))
	}
	got := map[string]types.Membership{}
	for path := "/v1/users/ann/memberships?limit=2"; path != ""; {
		var list types.MembershipList
		path = s.do(t, "ann", "GET", path, nil).want(200).into(&list).next()
		for _, m := range list.Items {
			got[m.Organisation] = m
		}
	}
	require.Len(t, got, 6)
	require.True(t, got["acme"].Owner)
	require.Equal(t, []string{"dev"}, got["corp-3"].Teams)
	var list types.MembershipList
	s.do(t, "boss", "GET", "/v1/users/bob/memberships", nil).want(200).into(&list)
	require.Empty(t, list.Items)
	s.do(t, "boss", "GET", "/v1/users/acme/memberships", nil).fails(404, "NOT_FOUND")
}

// TestIfMatchOnUsers: of concurrent changes with one ETag, one is made.
func TestIfMatchOnUsers(t *testing.T) {
	s := newPeople(t)
	_, a := s.user(t, "ann")
	statuses := make([]int, 8)
	var group sync.WaitGroup
	for i := range statuses {
		group.Go(func() {
			name := fmt.Sprintf("Ann %d", i)
			statuses[i] = s.do(t, "boss", "PATCH", "/v1/users/ann", types.ProfileChange{FullName: &name}, a.ifMatch()).status
		})
	}
	group.Wait()
	slices.Sort(statuses)
	require.Equal(t, []int{200, 412, 412, 412, 412, 412, 412, 412}, statuses)
}

// TestTwoReplicas: another replica sees a change at once, so that its entity tags are not outdated.
func TestTwoReplicas(t *testing.T) {
	shared := memory.New(nil)
	start := func() *site {
		return newSiteOver(t, shared, func(s *site, opts *api.Options) { opts.Accounts = s.people })
	}
	one, two := start(), start()
	_, a := two.user(t, "ann")
	name := "Ann"
	one.do(t, "boss", "PATCH", "/v1/users/ann", types.ProfileChange{FullName: &name}, a.ifMatch()).want(200)
	u, a := two.user(t, "ann")
	require.Equal(t, "Ann", u.FullName)
	two.do(t, "boss", "POST", "/v1/users/ann/disable", nil, a.ifMatch()).want(200)
	u, _ = one.user(t, "ann")
	require.NotNil(t, u.Disabled)
}

// TestAuditOfUsers: the audit has the decisions and the changes with actor and reason.
func TestAuditOfUsers(t *testing.T) {
	var mu sync.Mutex
	var changes []accounts.Change
	s := newSite(t, func(s *site, opts *api.Options) {
		var err error
		s.people, err = accounts.New(s.driver, &accounts.Options{Audit: func(_ context.Context, c accounts.Change) {
			mu.Lock()
			defer mu.Unlock()
			changes = append(changes, c)
		}})
		require.NoError(t, err)
		opts.Accounts = s.people
	})
	s.do(t, "boss", "POST", "/v1/users?reason=hired", types.NewUser{Name: "cat"}).want(201)
	mu.Lock()
	last := changes[len(changes)-1]
	mu.Unlock()
	require.Equal(t, []string{"user.create", "boss", "hired", "cat"},
		[]string{last.Action, last.By, last.Reason, last.Account})
	s.do(t, "ann", "GET", "/v1/users/bob", nil).fails(403, "DENIED")
	var decision auth.Decision
	for len(s.audited) > 0 {
		decision = <-s.audited
	}
	require.Equal(t, "ann", decision.Identity.Name)
	require.Equal(t, []auth.Access{{Type: auth.TypeAccount, Name: "bob", Action: auth.Read}}, decision.Accesses)
}
