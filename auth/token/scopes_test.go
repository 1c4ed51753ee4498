package token_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
)

// manyScopes are scopes of n repositories, whose names are padded to a length with what does not
// compress.
func manyScopes(n, length int) []string {
	scopes := make([]string, n)
	for i := range scopes {
		name := fmt.Sprintf("team/app-%dx", i)
		for len(name) < length {
			name += string("abcdefghijklmnopqrstuvwxyz0123456789"[(i*7+len(name)*11)%36])
		}
		scopes[i] = "repository:" + name + ":pull,push"
	}
	return scopes
}

// statuses are how a token fares with a pull from each of the repositories of scopes.
func statuses(s *site, tok string, scopes []string) []int {
	list := make([]int, len(scopes))
	for i, scope := range scopes {
		r := httptest.NewRequest("GET", "/v2/", nil)
		r.Header.Set("Authorization", "Bearer "+tok)
		who, err := s.tokens.Authenticate(r)
		if err == nil {
			err = s.tokens.Authorize(r.Context(), who,
				[]auth.Access{{Type: "repository", Name: strings.Split(scope, ":")[1], Action: auth.Pull}})
		}
		if list[i] = 200; err != nil {
			list[i] = 401
		}
	}
	return list
}

// TestScopesMany: a client that asks for hundreds of repositories gets a token that covers each of
// them and still fits into a header.
func TestScopesMany(t *testing.T) {
	s := newSite(t, ann, all, nil)
	for _, c := range []struct{ n, length int }{{33, 1}, {100, 20}, {100, 250}, {512, 1}} {
		scopes := manyScopes(c.n, c.length)
		tok := s.token(basic("ann", "secret"), scopes...)
		require.LessOrEqual(t, len(tok), token.MaxToken)
		require.Equal(t, slices.Repeat([]int{200}, c.n), statuses(s, tok, scopes), c)
		joined := s.token(basic("ann", "secret"), strings.Join(scopes, " "))
		require.Equal(t, slices.Repeat([]int{200}, c.n), statuses(s, joined, scopes), c)
	}
}

// TestScopesManyNarrow: a token for many repositories covers no other repository and no other
// action, like a token for few.
func TestScopesManyNarrow(t *testing.T) {
	s := newSite(t, ann, all, nil)
	scopes := append(manyScopes(120, 60), "repository:only/pull:pull", "repository:only/push:push",
		"repository:only/delete:delete", "registry:catalog:*")
	tok := s.token(basic("ann", "secret"), scopes...)
	require.Empty(t, granted(t, tok), "they would not fit as names")
	for action, path := range map[string]string{
		"pull": "/v2/only/%s/tags/list", "push": "/v2/only/%s/blobs/uploads/", "delete": "/v2/only/%s/manifests/v1",
		"": "/v2/other/%s/tags/list",
	} {
		for _, repo := range []string{"pull", "push", "delete"} {
			method := map[string]string{"push": "POST", "delete": "DELETE"}[action]
			status := s.do(method, fmt.Sprintf(path, repo), "Bearer "+tok).StatusCode
			require.Equal(t, action != repo, status == 401, "%s of only/%s: %d", action, repo, status)
		}
	}
	require.Equal(t, 200, s.do("GET", "/v2/_catalog", "Bearer "+tok).StatusCode)
	without := s.token(basic("ann", "secret"), scopes[:len(scopes)-1]...)
	require.Equal(t, 401, s.do("GET", "/v2/_catalog", "Bearer "+without).StatusCode)

	// What the rules forbid is not in it either.
	s = newSite(t, ann, allow("ann repository:only/pull:pull"), nil)
	tok = s.token(basic("ann", "secret"), scopes...)
	require.Equal(t, []string{"repository:only/pull:pull"}, granted(t, tok))
}

// TestScopesTooMany: if there are more scopes than a token can contain, the last ones count.
func TestScopesTooMany(t *testing.T) {
	wide := make([]string, 150)
	for i := range wide {
		wide[i] = fmt.Sprintf("a-group-of-ann-%d", i)
	}
	for name, users := range map[string]auth.Authenticator{"many scopes": ann, "many groups": grouped{ann, wide}} {
		s := newSite(t, users, all, nil)
		scopes := manyScopes(700, 1)
		tok := s.token(basic("ann", "secret"), scopes...)
		require.LessOrEqual(t, len(tok), token.MaxToken, name)
		got := statuses(s, tok, scopes)
		first := slices.Index(got, 200)
		require.Positive(t, first, name)
		require.Less(t, first, 600, name)
		require.NotContains(t, got[first:], 401, name)

		// A repeated scope takes its newest place.
		again := append(slices.Clone(scopes), strings.Replace(scopes[0], "pull,push", "delete", 1))
		require.Equal(t, 200, statuses(s, s.token(basic("ann", "secret"), again...), scopes[:1])[0], name)
	}
}

// grouped is an Authenticator of users with these groups.
type grouped struct {
	users
	groups []string
}

func (g grouped) Authenticate(r *http.Request) (auth.Identity, error) {
	identity, err := g.users.Authenticate(r)
	identity.Groups = g.groups
	return identity, err
}

// TestIdentityTooLong: an identity that does not fit into a token is refused, for any scopes.
func TestIdentityTooLong(t *testing.T) {
	s := newSite(t, grouped{ann, slices.Repeat([]string{"a-group-with-a-name"}, 400)}, all, nil)
	for _, scopes := range [][]string{nil, {"repository:a:pull"}, manyScopes(100, 20)} {
		res := s.do("GET", "/v2/token?"+url.Values{"scope": scopes}.Encode(), basic("ann", "secret"))
		require.Equal(t, 400, res.StatusCode)
		require.Contains(t, res.body, "too long")
	}
}

// TestScopesAsked: one request causes a bounded number of questions to the Authorizer, each of them
// once.
func TestScopesAsked(t *testing.T) {
	asked := 0
	count := auth.AuthorizerFunc(func(context.Context, auth.Identity,
		[]auth.Access) error {
		asked++
		return auth.ErrDenied
	})
	tokens, err := token.New(registrytest.NewStore(t), ann, count, nil)
	require.NoError(t, err)
	name := ""
	ask := func(scopes ...string) int {
		asked = 0
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/v2/token?"+url.Values{"scope": scopes}.Encode(), nil)
		if name != "" {
			r.SetBasicAuth(name, "secret")
		}
		tokens.ServeHTTP(w, r)
		require.Equal(t, 200, w.Code)
		return asked
	}
	require.Equal(t, 2*token.MaxAnonymousScopes, ask(manyScopes(5000, 1)...), "strangers cannot multiply requests")
	name = "ann"
	require.Equal(t, 2, ask("repository:a:pull,x", "repository:a:push,y repository:a:pull,push"))
	require.Equal(t, 2*token.MaxScopes, ask(manyScopes(5000, 1)...))
	require.Equal(t, 1, ask("repository:a:pull",
		"repository:a:"+strings.Join([]string{"1", "2", "3", "4", "5", "6", "7", "8"}, ","), "repository:a:9"))
}
