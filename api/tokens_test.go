package api_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
)

// token makes a token of an account and returns it with the header that sends it.
func (s *site) token(t *testing.T, user, account string, token types.NewToken) (types.CreatedToken, string) {
	t.Helper()
	var made types.CreatedToken
	s.do(t, user, "POST", "/v1/accounts/"+account+"/tokens", token).want(201).into(&made)
	return made, "Authorization: Bearer " + made.Value
}

// TestTokenLife: a user creates, lists, uses, rotates and revokes an own token, whose value is shown once.
func TestTokenLife(t *testing.T) {
	s := newPeople(t)
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	const tokens = "/v1/accounts/ann/tokens"
	var made types.CreatedToken
	a := s.do(t, "ann", "POST", tokens, types.NewToken{Name: "laptop", Expires: end,
		Scopes: []types.Grant{{Repositories: "ann/**", Role: "read"}}}).want(201).into(&made)
	path := tokens + "/" + made.Token.ID
	require.Equal(t, "/api"+path, a.header.Get("Location"))
	require.Regexp(t, "^rkp_", made.Value)
	var got types.Token
	read := s.do(t, "ann", "GET", path, nil).want(200).into(&got)
	require.NotContains(t, string(read.body), made.Value)
	require.NotContains(t, string(read.body), "hash")
	require.Equal(t, made.Token, got)
	require.Equal(t, a.header.Get("ETag"), read.header.Get("ETag"))
	require.True(t, end.Equal(got.Expires))

	s.do(t, "", "GET", "/v1/user", nil, "Authorization: Bearer "+made.Value).want(200)
	var list types.TokenList
	a = s.do(t, "ann", "GET", tokens, nil).want(200).into(&list)
	require.NotContains(t, string(a.body), made.Value)
	require.Len(t, list.Items, 1)
	require.False(t, list.Items[0].LastUsed.IsZero())
	require.Equal(t, read.header.Get("ETag"), s.do(t, "ann", "GET", path, nil).header.Get("ETag")) // despite the use

	var next types.CreatedToken
	s.do(t, "ann", "POST", path+"/rotate", types.Rotation{}, `If-Match: "other"`).fails(412, "PRECONDITION_FAILED")
	s.do(t, "ann", "POST", path+"/rotate", types.Rotation{Grace: 60}, read.ifMatch()).want(201).into(&next)
	require.Equal(t, []any{"laptop", got.Scopes}, []any{next.Token.Name, next.Token.Scopes})
	for _, value := range []string{made.Value, next.Value} { // both are valid during the grace period
		s.do(t, "", "GET", "/v1/user", nil, "Authorization: Bearer "+value).want(200)
	}
	var old types.Token
	s.do(t, "ann", "GET", path, nil).want(200).into(&old)
	require.Equal(t, next.Token.ID, old.ReplacedBy)
	require.WithinDuration(t, time.Now().Add(time.Minute), old.Expires, 30*time.Second)
	s.do(t, "ann", "POST", path+"/rotate", types.Rotation{}).fails(409, "IN_USE")

	s.do(t, "ann", "DELETE", path, nil).fails(428, "PRECONDITION_REQUIRED")
	s.do(t, "ann", "DELETE", path, nil, read.ifMatch()).fails(412, "PRECONDITION_FAILED")
	s.do(t, "ann", "DELETE", path, nil, "If-Match: *").want(204)
	s.do(t, "ann", "DELETE", path, nil, "If-Match: *").fails(404, "NOT_FOUND")
	s.do(t, "", "GET", "/v1/user", nil, "Authorization: Bearer "+made.Value).fails(401, "UNAUTHORIZED")
	s.do(t, "", "GET", "/v1/user", nil, "Authorization: Bearer "+next.Value).want(200)
}

// TestTokensInvalid: a token that breaks a rule is refused.
func TestTokensInvalid(t *testing.T) {
	s := newPeople(t)
	const tokens = "/v1/accounts/ann/tokens"
	for _, body := range []string{
		`{"name":""}`, `{"name":"x","scopes":[]}`, `{"name":"x","scopes":[{"repositories":"!","role":"read"}]}`,
		`{"name":"x","scopes":[{"repositories":"**","role":"god"}]}`, `{"name":"x","expires":"2020-01-01T00:00:00Z"}`,
		`{"name":"x","expires":"soon"}`, `{"name":"x","owner":"boss"}`, `[]`,
	} {
		s.do(t, "ann", "POST", tokens, body).fails(400, "INVALID")
	}
	made, _ := s.token(t, "ann", "ann", types.NewToken{Name: "x"})
	for _, grace := range []int{-1, 31536001, 1 << 60} {
		s.do(t, "ann", "POST", tokens+"/"+made.Token.ID+"/rotate", types.Rotation{Grace: grace}).fails(400, "INVALID")
	}
	for _, id := range []string{"none", "%2e%2e", "..%2F..%2Fadmins", "%00"} {
		s.do(t, "ann", "GET", tokens+"/"+id, nil).fails(404, "NOT_FOUND")
		s.do(t, "ann", "POST", tokens+"/"+id+"/rotate", types.Rotation{}).fails(404, "NOT_FOUND")
		s.do(t, "ann", "DELETE", tokens+"/"+id, nil, "If-Match: *").fails(404, "NOT_FOUND")
	}
	s.do(t, "ann", "GET", "/v1/accounts/acme/tokens", nil).fails(404, "NOT_FOUND") // organisations have none
}

// TestTokensOfOthers: nobody but admins manages tokens of other users, and the token of one account is not found under
// another one.
func TestTokensOfOthers(t *testing.T) {
	s := newPeople(t)
	made, _ := s.token(t, "ann", "ann", types.NewToken{Name: "x"})
	for _, account := range []string{"ann", "nobody", "acme+robot", "boss"} {
		tokens := "/v1/accounts/" + account + "/tokens"
		s.do(t, "bob", "GET", tokens, nil).fails(403, "DENIED")
		s.do(t, "bob", "POST", tokens, types.NewToken{Name: "x"}).fails(403, "DENIED")
		s.do(t, "bob", "GET", tokens+"/"+made.Token.ID, nil).fails(403, "DENIED")
		s.do(t, "bob", "DELETE", tokens+"/"+made.Token.ID, nil, "If-Match: *").fails(403, "DENIED")
		s.do(t, "bob", "POST", tokens+"/"+made.Token.ID+"/rotate", types.Rotation{}).fails(403, "DENIED")
		s.do(t, "", "GET", tokens, nil).fails(401, "UNAUTHORIZED")
	}
	s.do(t, "bob", "GET", "/v1/accounts/bob/tokens/"+made.Token.ID, nil).fails(404, "NOT_FOUND")
	s.do(t, "bob", "POST", "/v1/accounts/bob/tokens/"+made.Token.ID+"/rotate", types.Rotation{}).fails(404, "NOT_FOUND")
	s.do(t, "boss", "DELETE", "/v1/accounts/ann/tokens/"+made.Token.ID, nil, "If-Match: *").want(204)
}

// TestTokensOfRobots: an owner manages the tokens of robots.
func TestTokensOfRobots(t *testing.T) {
	s := newPeople(t)
	acme, err := s.people.Lookup(t.Context(), "acme")
	require.NoError(t, err)
	_, err = s.people.CreateRobot(t.Context(), accounts.Actor{}, acme.ID, "deploy", nil)
	require.NoError(t, err)
	made, bearer := s.token(t, "ann", "acme+deploy", types.NewToken{Name: "ci"})
	require.Regexp(t, "^rkr_", made.Value)
	var who types.Caller
	s.do(t, "", "GET", "/v1/user", nil, bearer).want(200).into(&who)
	require.Equal(t, types.Caller{Name: "acme+deploy", Account: who.Account, Kind: "robot", Groups: []string{},
		Token: made.Token.ID}, who)
	for _, path := range []string{"/v1/accounts/acme+deploy/tokens", "/v1/accounts/acme/tokens", "/v1/users/ann"} {
		s.do(t, "", "GET", path, nil, bearer).fails(403, "DENIED")
	}
	s.do(t, "", "POST", "/v1/accounts/acme+deploy/tokens", types.NewToken{Name: "x"}, bearer).fails(403, "DENIED")
}

// TestTokenCannotExtendItself: a caller who has sent a token gets no token that can do more or that is valid for
// longer, and changes no password.
func TestTokenCannotExtendItself(t *testing.T) {
	s := newPeople(t)
	const tokens = "/v1/accounts/ann/tokens"
	end := time.Now().Add(time.Hour).UTC()
	_, short := s.token(t, "ann", "ann", types.NewToken{Name: "short", Expires: end})
	_, forever := s.token(t, "ann", "ann", types.NewToken{Name: "forever"})
	_, scoped := s.token(t, "ann", "ann", types.NewToken{Name: "scoped",
		Scopes: []types.Grant{{Repositories: "**", Role: "admin"}}})
	var list types.TokenList
	s.do(t, "", "GET", tokens, nil, short).want(200).into(&list)
	ids := map[string]string{}
	for _, token := range list.Items {
		ids[token.Name] = token.ID
	}

	s.do(t, "", "POST", tokens, types.NewToken{Name: "x"}, short).fails(403, "DENIED")
	s.do(t, "", "POST", tokens, types.NewToken{Name: "x", Expires: end.Add(time.Second)}, short).fails(403, "DENIED")
	s.do(t, "", "POST", tokens, types.NewToken{Name: "x", Expires: end}, short).want(201)
	for _, name := range []string{"short", "forever", "scoped"} {
		s.do(t, "", "POST", tokens+"/"+ids[name]+"/rotate", types.Rotation{Grace: 60}, short).fails(403, "DENIED")
	}
	s.do(t, "", "POST", tokens+"/"+ids["short"]+"/rotate", types.Rotation{Grace: 60}, forever).want(201)
	s.do(t, "", "POST", tokens, types.NewToken{Name: "x"}, forever).want(201)

	for _, request := range []struct {
		method, path string
		body         any
	}{
		{"GET", tokens, nil}, {"GET", "/v1/users/ann", nil}, {"POST", tokens, types.NewToken{Name: "x"}},
		{"POST", tokens + "/" + ids["scoped"] + "/rotate", types.Rotation{}},
		{"PATCH", "/v1/users/ann", types.ProfileChange{}},
		{"DELETE", tokens + "/" + ids["scoped"], nil}, {"GET", "/v1/users/ann/memberships", nil},
	} {
		refused := s.do(t, "", request.method, request.path, request.body, scoped, "If-Match: *")
		require.Equal(t, 403, refused.status, request.path)
	}
	change := types.PasswordChange{Old: password, New: password + " 2"}
	for _, bearer := range []string{short, forever, scoped} {
		s.do(t, "", "PUT", "/v1/user/password", change, bearer).fails(403, "DENIED")
	}
	_, admin := s.token(t, "boss", "boss", types.NewToken{Name: "admin"})
	for _, name := range []string{"boss", "ann"} {
		s.do(t, "", "PUT", "/v1/users/"+name+"/password", types.Password{Password: password + " 2"}, admin, "If-Match: *").
			fails(403, "DENIED")
		s.do(t, "", "DELETE", "/v1/users/"+name+"/password", nil, admin, "If-Match: *").fails(403, "DENIED")
	}
	s.do(t, "", "POST", "/v1/users", types.NewUser{Name: "dan"}, admin).want(201)
	_, scoped = s.token(t, "boss", "boss", types.NewToken{Name: "scoped",
		Scopes: []types.Grant{{Repositories: "**", Role: "admin"}}})
	s.do(t, "", "POST", "/v1/users", types.NewUser{Name: "eve"}, scoped).fails(403, "DENIED")
	var who types.Caller
	s.do(t, "", "GET", "/v1/user", nil, scoped).want(200).into(&who)
	require.False(t, who.Admin)
	s.do(t, "", "GET", "/v1/user", nil, admin).want(200).into(&who)
	require.True(t, who.Admin)
}

// TestDisabledAtOnce: a disabled user, and a removed one, can do nothing with a password or a token.
func TestDisabledAtOnce(t *testing.T) {
	s := newPeople(t)
	_, bearer := s.token(t, "bob", "bob", types.NewToken{Name: "x"})
	s.do(t, "", "GET", "/v1/users/bob", nil, bearer).want(200)
	s.do(t, "boss", "POST", "/v1/users/bob/disable", nil).want(200)
	s.do(t, "", "GET", "/v1/users/bob", nil, bearer).fails(401, "UNAUTHORIZED")
	s.do(t, "bob", "GET", "/v1/users/bob", nil).fails(401, "UNAUTHORIZED")
	s.do(t, "boss", "POST", "/v1/users/bob/enable", nil).want(200)
	s.do(t, "", "GET", "/v1/users/bob", nil, bearer).want(200)
	s.do(t, "boss", "DELETE", "/v1/users/bob", nil, "If-Match: *").want(204)
	s.do(t, "", "GET", "/v1/users/bob", nil, bearer).fails(401, "UNAUTHORIZED")
}

// TestTokenLimit: an account has a maximum number of tokens.
func TestTokenLimit(t *testing.T) {
	s := newPeople(t)
	var last *answer
	for range 101 {
		last = s.do(t, "ann", "POST", "/v1/accounts/ann/tokens", types.NewToken{Name: "x"})
	}
	last.fails(409, "LIMIT")
	var list types.TokenList
	s.do(t, "ann", "GET", "/v1/accounts/ann/tokens", nil).want(200).into(&list)
	require.Len(t, list.Items, 100)
	require.True(t, slices.IsSortedFunc(list.Items, func(x, y types.Token) int { return x.Created.Compare(y.Created) }))
}
