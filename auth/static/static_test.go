package static_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Two machines, of which one is in the group of pushers.
func ExampleNew() {
	users, err := static.New(map[string]static.User{
		"ci":     {Secret: "3CWVNJ7UZPCT4XJHHLKQ2TDZ2M", Groups: []string{"pushers"}},
		"deploy": {Secret: "VUNWXYA7AQJUUTJ5TPWGMZQEJC"},
	}, &static.Options{Realm: "our registry"})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.SetBasicAuth("ci", "3CWVNJ7UZPCT4XJHHLKQ2TDZ2M")
	who, err := users.Authenticate(r)
	fmt.Println(who.Name, who.Groups, err)
	r.SetBasicAuth("deploy", "3CWVNJ7UZPCT4XJHHLKQ2TDZ2M")
	_, err = users.Authenticate(r)
	fmt.Println(err)
	fmt.Println(users.Challenge(r, nil))
	// Output:
	// ci [pushers] <nil>
	// auth: invalid credentials
	// Basic realm="our registry"
}

// pushers lets authenticated callers pull and the group pushers push.
var pushers = auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		if who.Anonymous() || a.Action != auth.Pull && !slices.Contains(who.Groups, "pushers") {
			return auth.ErrDenied
		}
	}
	return nil
})

// TestRegistry goes all the way, by HTTP.
func TestRegistry(t *testing.T) {
	users, err := static.New(map[string]static.User{"ci": {Secret: "word", Groups: []string{"pushers"}},
		"deploy": {Secret: "other"}}, nil)
	require.NoError(t, err)
	s := registrytest.NewServer(t, &registry.Options{Authenticator: users, Authorizer: pushers})
	for _, c := range []struct {
		method, path, name, password string
		status                       int
	}{
		{"GET", "/v2/", "", "", 401},
		{"GET", "/v2/", "ci", "word", 200},
		{"GET", "/v2/", "ci", "other", 401},
		{"GET", "/v2/", "deploy", "other", 200},
		{"GET", "/v2/", "deploy", "word", 401},
		{"GET", "/v2/", "nobody", "word", 401},
		{"GET", "/v2/", "ci", "", 401},
		{"GET", "/v2/", "CI", "word", 401},
		{"POST", "/v2/a/blobs/uploads/", "", "", 401},
		{"POST", "/v2/a/blobs/uploads/", "ci", "word", 202},
		{"POST", "/v2/a/blobs/uploads/", "deploy", "other", 403},
		{"POST", "/v2/a/blobs/uploads/", "deploy", "wrong", 401},
		{"GET", "/v2/a/tags/list", "deploy", "other", 404},
		{"GET", "/v2/a/tags/list", "", "", 401},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, s.URL+c.path, nil)
		require.NoError(t, err)
		if c.name != "" {
			req.SetBasicAuth(c.name, c.password)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, c.status, res.StatusCode, "%+v", c)
		if c.status == 401 {
			require.Equal(t, `Basic realm="registry"`, res.Header.Get("WWW-Authenticate"))
		}
		require.Empty(t, res.Header["Set-Cookie"])
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestNew(t *testing.T) {
	for _, c := range []struct {
		users map[string]static.User
		opts  *static.Options
		want  string
	}{
		{map[string]static.User{"": {Secret: "x"}}, nil, "invalid user name"},
		{map[string]static.User{"a:b": {Secret: "x"}}, nil, "invalid user name"},
		{map[string]static.User{"a\n": {Secret: "x"}}, nil, "invalid user name"},
		{map[string]static.User{"a": {}}, nil, "no secret"},
		{nil, &static.Options{Realm: "a\nb"}, "Realm"},
	} {
		_, err := static.New(c.users, c.opts)
		require.ErrorContains(t, err, c.want)
	}
	none, err := static.New(nil, nil)
	require.NoError(t, err)
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.SetBasicAuth("a", "b")
	_, err = none.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrCredentials)
}

// TestSecretsNotKept: the caller can change the map after New, and printing Users reveals no secret.
func TestSecretsNotKept(t *testing.T) {
	groups := []string{"pushers"}
	given := map[string]static.User{"ci": {Secret: "hunter2", Groups: groups}}
	users, err := static.New(given, nil)
	require.NoError(t, err)
	delete(given, "ci")
	groups[0] = "changed"
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.SetBasicAuth("ci", "hunter2")
	who, err := users.Authenticate(r)
	require.NoError(t, err)
	require.Equal(t, "ci", who.Name)
	require.Equal(t, []string{"pushers"}, who.Groups)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		require.NotContains(t, fmt.Sprintf(verb, users), "hunter2")
		require.NotContains(t, fmt.Sprintf(verb, given), "hunter2")
	}
	_ = append(who.Groups, "admin")
	again, err := users.Authenticate(r)
	require.NoError(t, err)
	require.Equal(t, who, again)
}

// TestHostile: a malformed or wrong login is refused and never treated as anonymous.
func TestHostile(t *testing.T) {
	users, err := static.New(map[string]static.User{"ci": {Secret: "word"}}, nil)
	require.NoError(t, err)
	good := "Basic Y2k6d29yZA=="
	for _, values := range [][]string{
		{"Bearer x"}, {good, good}, {"Basic x"}, {"Basic " + strings.Repeat("A", 9<<10)}, {""}, {"Basic Y2k="},
		{"Basic Y2k6AA=="}, {"Basic OndvcmQ="},
	} {
		r := &http.Request{Header: http.Header{"Authorization": values}}
		who, err := users.Authenticate(r)
		require.ErrorIs(t, err, auth.ErrCredentials, "%q", values)
		require.Zero(t, who)
	}
	who, err := users.Authenticate(&http.Request{Header: http.Header{"Authorization": {good}}})
	require.NoError(t, err)
	require.Equal(t, "ci", who.Name)
	who, err = users.Authenticate(&http.Request{Header: http.Header{"Cookie": {"a=" + good},
		"Proxy-Authorization": {good}}})
	require.NoError(t, err)
	require.True(t, who.Anonymous())
}

// TestRenewUntilSecretChanges: a caller is renewed by any process that has the same secret for the name.
func TestRenewUntilSecretChanges(t *testing.T) {
	list := func(secret auth.Secret, groups ...string) *static.Users {
		u, err := static.New(map[string]static.User{"ann": {Secret: secret, Groups: groups}, "bob": {Secret: "other"}}, nil)
		require.NoError(t, err)
		return u
	}
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.SetBasicAuth("ann", "long and random")
	who, err := list("long and random").Authenticate(r)
	require.NoError(t, err)
	now, err := auth.Renew(t.Context(), list("long and random", "pushers"), who)
	require.NoError(t, err)
	require.Equal(t, []string{"pushers"}, now.Groups)
	for _, other := range []auth.Identity{{}, {Name: "ann"}, {Name: "bob", Claims: who.Claims},
		{Name: "ann", Claims: map[string]any{"registrykit.io/password": 1}}} {
		_, err = list("long and random").Renew(t.Context(), other)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	_, err = list("changed").Renew(t.Context(), who)
	require.ErrorIs(t, err, auth.ErrCredentials)
	forged := static.User{Secret: "x", Claims: map[string]any{"registrykit.io/account": "x"}}
	_, err = static.New(map[string]static.User{"ann": forged}, nil)
	require.ErrorContains(t, err, "reserved")
}

func BenchmarkAuthenticate(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			given := map[string]static.User{}
			for i := range n {
				given[fmt.Sprint("user", i)] = static.User{Secret: "VUNWXYA7AQJUUTJ5TPWGMZQEJC"}
			}
			users, err := static.New(given, nil)
			require.NoError(b, err)
			r := httptest.NewRequest("GET", "/v2/", nil)
			r.SetBasicAuth("user0", "VUNWXYA7AQJUUTJ5TPWGMZQEJC")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := users.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
