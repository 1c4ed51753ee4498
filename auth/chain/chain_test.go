package chain_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/chain"
	"github.com/registrykit/registry/auth/foreign"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// apiKey authenticates by a header of its own.
var apiKey = auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
	switch key := r.Header.Get("X-Api-Key"); {
	case key == "":
		return auth.Identity{}, nil
	case !auth.Secret("k-1").Equal(key):
		return auth.Identity{}, auth.ErrCredentials
	}
	return auth.Identity{Name: "program"}, nil
})

func users(t testing.TB, names ...string) *static.Users {
	list := map[string]static.User{}
	for _, name := range names {
		list[name] = static.User{Secret: auth.Secret("secret of " + name)}
	}
	u, err := static.New(list, nil)
	require.NoError(t, err)
	return u
}

func newChain(t testing.TB, links ...auth.Authenticator) *chain.Chain {
	c, err := chain.New(links...)
	require.NoError(t, err)
	return c
}

func request(name, password string) *http.Request {
	r := httptest.NewRequest("GET", "https://registry.example/v2/", nil)
	if name != "" {
		r.SetBasicAuth(name, password)
	}
	return r
}

// Programs authenticate with a key in a header, and people with a password.
func ExampleNew() {
	people, err := static.New(map[string]static.User{"ann": {Secret: "secret"}}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	both, err := chain.New(apiKey, people)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.Header.Set("X-Api-Key", "k-1")
	for _, r := range []*http.Request{r, request("ann", "secret"), request("ann", "wrong")} {
		who, err := both.Authenticate(r)
		fmt.Println(who.Name, err)
	}
	fmt.Println(both.Challenge(r, nil))
	// Output:
	// program <nil>
	// ann <nil>
	//  auth: invalid credentials
	// Basic realm="registry"
}

func failing(err error) auth.Authenticator {
	return auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) { return auth.Identity{}, err })
}

func is(who auth.Identity) auth.Authenticator {
	return auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) { return who, nil })
}

func TestOrder(t *testing.T) {
	unavailable := errors.New("no answer")
	limit := &auth.LimitError{RetryAfter: time.Second}
	wrong, nobody, ann, bob := failing(auth.ErrCredentials), is(auth.Identity{}), is(auth.Identity{Name: "ann"}),
		is(auth.Identity{Name: "bob"})
	guest := auth.Identity{Claims: map[string]any{"token": true}}
	for name, c := range map[string]struct {
		links []auth.Authenticator
		who   auth.Identity
		err   error
	}{
		"the first that knows":           {[]auth.Authenticator{nobody, ann, bob}, auth.Identity{Name: "ann"}, nil},
		"nobody knows":                   {[]auth.Authenticator{nobody, nobody}, auth.Identity{}, nil},
		"refused by one, known to later": {[]auth.Authenticator{wrong, ann}, auth.Identity{Name: "ann"}, nil},
		"refused by one":                 {[]auth.Authenticator{nobody, wrong, nobody}, auth.Identity{}, auth.ErrCredentials},
		"refused by the last":            {[]auth.Authenticator{nobody, wrong}, auth.Identity{}, auth.ErrCredentials},
		"one fails": {[]auth.Authenticator{wrong, failing(unavailable), ann}, auth.Identity{},
			unavailable},
		"one fails that is not asked":   {[]auth.Authenticator{ann, failing(unavailable)}, auth.Identity{Name: "ann"}, nil},
		"one is limited, a later knows": {[]auth.Authenticator{failing(limit), ann}, auth.Identity{Name: "ann"}, nil},
		"one is limited": {[]auth.Authenticator{wrong, failing(limit), wrong, nobody}, auth.Identity{},
			limit},
		"an anonymous token": {[]auth.Authenticator{wrong, is(guest), ann}, guest, nil},
	} {
		who, err := newChain(t, c.links...).Authenticate(request("", ""))
		require.Equal(t, c.who, who, name)
		require.ErrorIs(t, err, c.err, name)
		if c.err == nil {
			require.NoError(t, err, name)
		}
	}
	// No Authenticator recognises these credentials.
	_, err := newChain(t, nobody, apiKey).Authenticate(request("ann", "secret"))
	require.ErrorIs(t, err, auth.ErrCredentials)
	for _, links := range [][]auth.Authenticator{nil, {nil}, {ann, nil}} {
		_, err := chain.New(links...)
		require.Error(t, err)
	}
}

// TestRegistry: wrong credentials get 401 over HTTP, even where anonymous callers may do
// everything.
func TestRegistry(t *testing.T) {
	all := auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil })
	s := registrytest.NewServer(t, &registry.Options{Authenticator: newChain(t, apiKey, users(t, "ann"),
		users(t, "bob")), Authorizer: all})
	for _, c := range []struct {
		name, password, key string
		status              int
	}{
		{"", "", "", 404},
		{"ann", "secret of ann", "", 404},
		{"bob", "secret of bob", "", 404},
		{"", "", "k-1", 404},
		{"bob", "secret of ann", "", 401},
		{"", "", "k-2", 401},
		{"eve", "secret of ann", "", 401},
		{"ann", "secret of ann", "k-2", 404}, // one valid credential is enough
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v2/a/tags/list", nil)
		require.NoError(t, err)
		if c.name != "" {
			req.SetBasicAuth(c.name, c.password)
		}
		if c.key != "" {
			req.Header.Set("X-Api-Key", c.key)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, c.status, res.StatusCode, "%+v", c)
		require.LessOrEqual(t, len(res.Header["Www-Authenticate"]), 1)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestChallenge: a response has one challenge, chosen by the scheme of the request or by what
// clients know.
func TestChallenge(t *testing.T) {
	asks := func(challenge string) auth.Authenticator {
		return auth.AuthenticatorFunc(apiKey).WithChallenge(challenge)
	}
	silent, negotiate, basic, bearer := asks(""), asks("Negotiate"), asks(`Basic realm="a"`),
		asks(`Bearer realm="https://b",scope="x",error="insufficient_scope"`)
	for _, c := range []struct {
		links []auth.Authenticator
		came  string
		want  string
	}{
		{[]auth.Authenticator{silent}, "", ""},
		{[]auth.Authenticator{silent, negotiate}, "", "Negotiate"},
		{[]auth.Authenticator{silent, negotiate, basic, bearer}, "", `Basic realm="a"`},
		{[]auth.Authenticator{bearer, basic}, "", `Bearer realm="https://b",scope="x",error="insufficient_scope"`},
		{[]auth.Authenticator{bearer, basic}, "Basic eDp5", `Basic realm="a"`},
		{[]auth.Authenticator{basic, bearer}, "BEARER x", `Bearer realm="https://b",scope="x",error="insufficient_scope"`},
		{[]auth.Authenticator{basic, negotiate}, "negotiate", "Negotiate"},
		{[]auth.Authenticator{negotiate, basic}, "Digest x", `Basic realm="a"`},
		{[]auth.Authenticator{basic, silent}, "", `Basic realm="a"`},
	} {
		r := request("", "")
		if c.came != "" {
			r.Header.Set("Authorization", c.came)
		}
		require.Equal(t, c.want, newChain(t, c.links...).Challenge(r, nil))
	}
}

// TestToken: with tokens beside passwords, a request whose token is too narrow learns the scope it
// needs.
func TestToken(t *testing.T) {
	all := auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil })
	tokens, err := token.New(registrytest.NewStore(t), users(t, "ann"), all, nil)
	require.NoError(t, err)
	c := newChain(t, apiKey, users(t, "bob"), tokens)
	require.Equal(t, `Basic realm="registry"`, c.Challenge(request("", ""), nil))
	r := request("", "")
	r.Header.Set("Authorization", "Bearer x")
	push := []auth.Access{{Type: auth.TypeRepository, Name: "a", Action: auth.Push}}
	require.Equal(t, `Bearer realm="https://registry.example/v2/token",service="registry",`+
		`scope="repository:a:pull,push",error="invalid_token"`, c.Challenge(r, push))
	_, err = c.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrCredentials)
	who, err := c.Authenticate(request("ann", "secret of ann"))
	require.NoError(t, err)
	require.Equal(t, "ann", who.Name)
}

// TestRenewByTheLinkThatKnows: the link that knows the identity renews it, also within package foreign. An error
// that is not one of credentials ends the chain.
func TestRenewByTheLinkThatKnows(t *testing.T) {
	people := newChain(t, apiKey, users(t, "bob"), foreign.Anonymous(users(t, "ann")))
	who, err := people.Authenticate(request("ann", "secret of ann"))
	require.NoError(t, err)
	now, err := auth.Renew(t.Context(), people, who)
	require.NoError(t, err)
	require.Equal(t, who, now)
	for _, other := range []auth.Identity{{}, {Name: "ann"}, {Name: "program"}} {
		_, err = people.Renew(t.Context(), other)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	down := errors.New("down")
	_, err = newChain(t, renewer{failing(down), down}, people).Renew(t.Context(), who)
	require.ErrorIs(t, err, down)
	_, err = newChain(t, renewer{apiKey, auth.ErrCredentials}, people).Renew(t.Context(), who)
	require.NoError(t, err)
}

type renewer struct {
	auth.Authenticator
	err error
}

func (r renewer) Renew(context.Context, auth.Identity) (auth.Identity, error) {
	return auth.Identity{}, r.err
}
