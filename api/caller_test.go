package api_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

// TestCaller: each caller sees itself.
func TestCaller(t *testing.T) {
	s := newPeople(t)
	s.do(t, "", "GET", "/v1/user", nil).fails(401, "UNAUTHORIZED")
	var who types.Caller
	s.do(t, "ann", "GET", "/v1/user", nil).want(200).into(&who)
	ann, err := s.people.Lookup(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, types.Caller{Name: "ann", Account: string(ann.ID), Kind: "user",
		Groups: []string{"acme", "acme/owners"}, CreatesOrganisations: true}, who)
	s.do(t, "boss", "GET", "/v1/user", nil).want(200).into(&who)
	require.True(t, who.Admin)
	s.do(t, "ann", "GET", "/v1/user?x=1", nil).fails(400, "INVALID")
}

// TestCallerWithoutAccount: a caller whom another Authenticator knows has a name and groups.
func TestCallerWithoutAccount(t *testing.T) {
	s := newSite(t, func(_ *site, opts *api.Options) {
		opts.Authenticator = auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) {
			return auth.Identity{Name: "ci", Groups: []string{"z", "a"}}, nil
		})
	})
	var who types.Caller
	s.do(t, "", "GET", "/v1/user", nil).want(200).into(&who)
	require.Equal(t, types.Caller{Name: "ci", Groups: []string{"a", "z"}}, who)
	require.NotContains(t, s.api.Routes(), "PUT /v1/user/password") // there are no accounts
	require.NotContains(t, s.api.Routes(), "POST /v1/setup")
}

// TestOwnPassword: a user changes the own password with the old one.
func TestOwnPassword(t *testing.T) {
	s := newPeople(t)
	const next = "purple otter gadget"
	login := func(password string) *answer {
		r, err := http.NewRequest("GET", "http://x", nil)
		require.NoError(t, err)
		r.SetBasicAuth("ann", password)
		return s.do(t, "", "GET", "/v1/user", nil, "Authorization: "+r.Header.Get("Authorization"))
	}
	made, _ := s.token(t, "ann", "ann", types.NewToken{Name: "x"})
	change := func(old, next string) *answer {
		return s.do(t, "ann", "PUT", "/v1/user/password", types.PasswordChange{Old: old, New: next})
	}
	change("wrong", next).fails(403, "WRONG_PASSWORD")
	change(made.Value, next).fails(403, "WRONG_PASSWORD") // a token is no password
	change(password, "short").fails(400, "INVALID")
	change(password, "").fails(400, "INVALID")
	login(password).want(200)
	change(password, next).want(204)
	login(password).fails(401, "UNAUTHORIZED")
	login(next).want(200)
	s.do(t, "", "PUT", "/v1/user/password", types.PasswordChange{Old: next, New: password}).fails(401, "UNAUTHORIZED")
}

// TestOldPasswordCannotBeGuessed: the old password has the limit of logins, so that a stolen session cannot guess it.
func TestOldPasswordCannotBeGuessed(t *testing.T) {
	var id accounts.ID
	s := newSite(t, func(s *site, opts *api.Options) {
		opts.Accounts = s.people
		users, err := accounts.NewAuthenticator(s.people, &accounts.AuthenticatorOptions{Failures: 3})
		require.NoError(t, err)
		opts.Authenticator = auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
			if r.Header.Get("Cookie") != "" { // a session
				return auth.Identity{Name: "ann", Claims: map[string]any{accounts.AccountClaim: string(id)}}, nil
			}
			return users.Authenticate(r)
		})
	})
	ann, err := s.people.Lookup(t.Context(), "ann")
	require.NoError(t, err)
	id = ann.ID
	change := func(old string) *answer {
		body := types.PasswordChange{Old: old, New: "purple otter gadget"}
		return s.do(t, "", "PUT", "/v1/user/password", body, "Cookie: s=1")
	}
	for range 3 {
		change("wrong").fails(403, "WRONG_PASSWORD")
	}
	limited := change("wrong")
	limited.fails(429, "TOOMANYREQUESTS")
	require.NotEmpty(t, limited.header.Get("Retry-After"))
	change(password).fails(429, "TOOMANYREQUESTS") // the right one is not checked either
}

// TestAdminSetsPassword: an admin sets and removes the password of a user, on the condition of the user's version.
func TestAdminSetsPassword(t *testing.T) {
	s := newPeople(t)
	_, a := s.user(t, "bob")
	body := types.Password{Password: "purple otter gadget"}
	s.do(t, "boss", "PUT", "/v1/users/bob/password", body).fails(428, "PRECONDITION_REQUIRED")
	s.do(t, "boss", "PUT", "/v1/users/bob/password", body, `If-Match: "other"`).fails(412, "PRECONDITION_FAILED")
	s.do(t, "bob", "GET", "/v1/user", nil).want(200)
	s.do(t, "boss", "PUT", "/v1/users/bob/password?reason=lost", body, a.ifMatch()).want(204)
	s.do(t, "bob", "GET", "/v1/user", nil).fails(401, "UNAUTHORIZED")
	s.do(t, "boss", "PUT", "/v1/users/bob/password", types.Password{Password: password}, a.ifMatch()).want(204)
	s.do(t, "bob", "GET", "/v1/user", nil).want(200)
	s.do(t, "boss", "DELETE", "/v1/users/bob/password", nil, a.ifMatch()).want(204)
	s.do(t, "bob", "GET", "/v1/user", nil).fails(401, "UNAUTHORIZED")
	s.do(t, "boss", "PUT", "/v1/users/bob/password", types.Password{}, a.ifMatch()).fails(400, "INVALID")
	s.do(t, "boss", "PUT", "/v1/users/acme/password", body, "If-Match: *").fails(404, "NOT_FOUND")
}

// TestSignUp: people create accounts if the host has opened sign-up, at a limited rate.
func TestSignUp(t *testing.T) {
	closed := newPeople(t)
	closed.do(t, "", "POST", "/v1/signup", types.SignUp{Name: "cat", Password: password}).fails(404, "NOT_FOUND")

	s := newSite(t, func(s *site, opts *api.Options) {
		opts.Accounts = s.people
		var err error
		opts.SignUp, err = accounts.NewSignUps(s.people, &accounts.SignUpOptions{Attempts: 6})
		require.NoError(t, err)
	})
	var parts types.PartList
	s.do(t, "", "GET", "/v1/parts", nil).want(200).into(&parts)
	require.Contains(t, parts.Items, "signup")
	var made types.User
	s.do(t, "", "POST", "/v1/signup", types.SignUp{Name: "cat", Password: password, FullName: "Cat"}).want(201).into(&made)
	require.Equal(t, "Cat", made.FullName)
	require.Equal(t, "private", made.Visibility)
	s.do(t, "cat", "GET", "/v1/users/cat", nil).want(200)
	s.do(t, "cat", "GET", "/v1/users", nil).fails(403, "DENIED")
	s.do(t, "", "POST", "/v1/signup", types.SignUp{Name: "c-at", Password: password}).fails(409, "TAKEN")
	s.do(t, "", "POST", "/v1/signup", types.SignUp{Name: "admin", Password: password}).fails(409, "TAKEN")
	s.do(t, "", "POST", "/v1/signup?force=true", types.SignUp{Name: "admin", Password: password}).fails(400, "INVALID")
	s.do(t, "", "POST", "/v1/signup", `{"name":"dan","password":"purple otter gadget","visibility":"public"}`).
		fails(400, "INVALID")
	s.do(t, "", "POST", "/v1/signup", types.SignUp{Name: "dan"}).fails(400, "INVALID")
	s.do(t, "", "POST", "/v1/signup", types.SignUp{Name: "dan", Password: "short"}).fails(400, "INVALID")
	s.do(t, "", "POST", "/v1/signup", types.SignUp{Name: "dan", Password: password}).want(201)
	s.do(t, "", "POST", "/v1/signup", types.SignUp{Name: "eve", Password: password}).fails(429, "TOOMANYREQUESTS")
}

// TestSetup: the one-time token creates the first admin, once.
func TestSetup(t *testing.T) {
	d := memory.New(nil)
	empty := newEmptySite(t, d)
	token, err := empty.people.SetupToken(t.Context())
	require.NoError(t, err)
	body := types.Setup{Token: "wrong", Name: "root-user", Password: password}
	empty.do(t, "", "POST", "/v1/setup", body).fails(403, "WRONG_SETUP_TOKEN")
	body.Token, body.Password = token.Value(), "short"
	empty.do(t, "", "POST", "/v1/setup", body).fails(400, "INVALID")
	body.Password = password
	var made types.User
	a := empty.do(t, "", "POST", "/v1/setup", body).want(201).into(&made)
	require.NotContains(t, string(a.body), token.Value())
	require.Equal(t, "root-user", made.Name)
	body.Name = "another"
	empty.do(t, "", "POST", "/v1/setup", body).fails(403, "WRONG_SETUP_TOKEN")
	var who types.Caller
	empty.do(t, "root-user", "GET", "/v1/user", nil).want(200).into(&who)
	require.True(t, who.Admin)
	var admins types.AdminList
	empty.do(t, "root-user", "GET", "/v1/admins", nil).want(200).into(&admins)
	require.Equal(t, []types.Admin{{ID: made.ID, Name: "root-user"}}, admins.Items)
}

// TestAdmins: admins make and unmake admins, and the last one stays.
func TestAdmins(t *testing.T) {
	s := newPeople(t)
	s.do(t, "ann", "GET", "/v1/admins", nil).fails(403, "DENIED")
	s.do(t, "ann", "PUT", "/v1/admins/ann", nil).fails(403, "DENIED")
	s.do(t, "ann", "DELETE", "/v1/admins/boss", nil).fails(403, "DENIED")
	s.do(t, "", "PUT", "/v1/admins/ann", nil).fails(401, "UNAUTHORIZED")
	s.do(t, "boss", "DELETE", "/v1/admins/boss", nil).fails(409, "LAST")
	s.do(t, "boss", "POST", "/v1/users/boss/disable", nil).fails(409, "IN_USE")
	s.do(t, "boss", "DELETE", "/v1/users/boss", nil, "If-Match: *").fails(409, "IN_USE")
	for range 2 {
		s.do(t, "boss", "PUT", "/v1/admins/ann?reason=deputy", nil).want(204)
	}
	var list types.AdminList
	s.do(t, "ann", "GET", "/v1/admins", nil).want(200).into(&list)
	require.Len(t, list.Items, 2)
	require.Equal(t, "ann", list.Items[0].Name)
	s.do(t, "ann", "DELETE", "/v1/admins/boss", nil).want(204)
	s.do(t, "boss", "GET", "/v1/admins", nil).fails(403, "DENIED")
	s.do(t, "ann", "DELETE", "/v1/admins/boss", nil).fails(404, "NOT_FOUND")
	s.do(t, "ann", "PUT", "/v1/admins/acme", nil).fails(404, "NOT_FOUND")
	s.do(t, "ann", "PUT", "/v1/admins/nobody", nil).fails(404, "NOT_FOUND")
	s.do(t, "ann", "POST", "/v1/users/bob/disable", nil).want(200)
	s.do(t, "ann", "PUT", "/v1/admins/bob", nil).fails(404, "NOT_FOUND")
}
