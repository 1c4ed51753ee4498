package htpasswd_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/htpasswd"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
)

// A password file with one user.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "users") // htpasswd -cbBC 4 users ann secret
	content := "ann:$2a$04$XHvRh/EUWd3D/2aalTotcugKSsXn3SGyhH4NSLbGYnDA554foOGCG\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	users, err := htpasswd.New(path, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("GET", "/v2/", nil)
	for _, password := range []string{"secret", "wrong"} {
		r.SetBasicAuth("ann", password)
		who, err := users.Authenticate(r)
		fmt.Println(who.Name, err)
	}
	// Output:
	// ann <nil>
	//  auth: invalid credentials
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
	s := newSite(t, line(t, "ann", "secret", 4)+line(t, "bob", "other", 4), "pushers: ann eve\n", nil)
	r := registrytest.NewServer(t, &registry.Options{Authenticator: s.file, Authorizer: pushers})
	do := func(method, path, name, password string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), method, r.URL+path, nil)
		require.NoError(t, err)
		if name != "" {
			req.SetBasicAuth(name, password)
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Empty(t, res.Header["Set-Cookie"])
		return res
	}
	for _, c := range []struct {
		method, path, name, password string
		status                       int
	}{
		{"GET", "/v2/", "", "", 401},
		{"GET", "/v2/", "ann", "secret", 200},
		{"GET", "/v2/", "ann", "wrong", 401},
		{"GET", "/v2/", "nobody", "secret", 401},
		{"POST", "/v2/a/blobs/uploads/", "", "", 401},
		{"POST", "/v2/a/blobs/uploads/", "ann", "secret", 202},
		{"POST", "/v2/a/blobs/uploads/", "bob", "other", 403},
		{"POST", "/v2/a/blobs/uploads/", "eve", "secret", 401}, // in a group, but no user
		{"GET", "/v2/a/tags/list", "bob", "other", 404},
	} {
		res := do(c.method, c.path, c.name, c.password)
		require.Equal(t, c.status, res.StatusCode, "%+v", c)
		if c.status == 401 {
			require.Equal(t, `Basic realm="registry"`, res.Header.Get("WWW-Authenticate"))
		}
	}
	for range htpasswd.DefaultFailures {
		do("GET", "/v2/", "ann", "wrong")
	}
	res := do("GET", "/v2/", "ann", "wrong")
	require.Equal(t, 429, res.StatusCode)
	require.Equal(t, "60", res.Header.Get("Retry-After"))
	require.Equal(t, 200, do("GET", "/v2/", "ann", "secret").StatusCode)
	http.DefaultClient.CloseIdleConnections()
}

// TestToken: behind a token service, a wrong password gets 401 and too many get 429, so that docker
// login fails. Anonymous callers still pull.
func TestToken(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", 4), "", nil)
	all := auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil })
	tokens, err := token.New(registrytest.NewStore(t), s.file, all, nil)
	require.NoError(t, err)
	get := func(name, password string) int {
		r := httptest.NewRequest("GET", "/v2/token?service=registry", nil)
		if name != "" {
			r.SetBasicAuth(name, password)
		}
		w := httptest.NewRecorder()
		tokens.ServeHTTP(w, r)
		return w.Code
	}
	require.Equal(t, 200, get("", ""))
	require.Equal(t, 200, get("ann", "secret"))
	for range htpasswd.DefaultFailures {
		require.Equal(t, 401, get("ann", "wrong"))
	}
	require.Equal(t, 429, get("ann", "wrong"))
	require.Equal(t, 200, get("ann", "secret"))
}

// TestOneBcrypt: credentials cost one bcrypt for each address, however often and however
// concurrently they are sent.
func TestOneBcrypt(t *testing.T) {
	s := newSite(t, line(t, "ann", "secret", 7), "", nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { require.NoError(t, s.login("192.0.2.1", "ann", "secret")) })
	}
	wg.Wait()
	for range 100 {
		s.accepted("ann", "secret")
	}
	require.EqualValues(t, 1, s.checks.Load())
	for i := range 10 {
		require.NoError(t, s.login("192.0.2.2", "ann", "secret"))
		require.NoError(t, s.login(fmt.Sprintf("[2001:db8::%x]", i), "ann", "secret"))
	}
	require.EqualValues(t, 3, s.checks.Load(), "those of one network of IPv6 are one address")
	for range 3 {
		s.refused("ann", "wrong")
	}
	require.EqualValues(t, 6, s.checks.Load(), "what is wrong is not remembered")
	_, _, _, flights := s.file.Remembered()
	require.Zero(t, flights)
}

// TestUnknownNamesCostAsMuchAsKnown: neither the time nor the response reveals which names exist,
// whatever the cost of their lines.
func TestUnknownNamesCostAsMuchAsKnown(t *testing.T) {
	s := newSite(t, line(t, "low", "secret", 4)+line(t, "middle", "secret", 6)+line(t, "high", "secret", 8), "", nil)
	answers := map[string]bool{}
	for _, name := range []string{"low", "middle", "high", "nobody", "root", strings.Repeat("x", 255)} {
		before := s.work.Load()
		err := s.login("192.0.2.1", name, "wrong")
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.EqualValues(t, 1<<8, s.work.Load()-before, name)
		answers[err.Error()] = true
	}
	require.Len(t, answers, 1)
	for _, name := range []string{"low", "middle", "high"} {
		s.accepted(name, "secret")
	}
	empty := newSite(t, "# nobody yet\n", "", nil)
	empty.refused("ann", "secret")
	require.EqualValues(t, 1<<10, empty.work.Load())
}

// TestPasswords: passwords that bcrypt would truncate or misread are refused without a bcrypt, for
// every user.
func TestPasswords(t *testing.T) {
	long := strings.Repeat("x", htpasswd.MaxPassword)
	s := newSite(t, line(t, "ann", long, 4)+line(t, "empty", "", 4), "", nil)
	s.accepted("ann", long)
	require.EqualValues(t, 1, s.checks.Load())
	for _, name := range []string{"ann", "nobody", "empty"} {
		for _, password := range []string{long + "x", "", "a\x00b"} {
			s.refused(name, password)
		}
	}
	for _, values := range [][]string{{"Bearer x"}, {"Basic x"}, {""}, {"Basic Og=="},
		{"Basic " + strings.Repeat("A", 9<<10)}, {"Basic YTpi", "Basic YTpi"}} {
		who, err := s.file.Authenticate(&http.Request{Header: http.Header{"Authorization": values}})
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.Zero(t, who)
	}
	require.EqualValues(t, 1, s.checks.Load())
	_, logins, _, _ := s.file.Remembered()
	require.Zero(t, logins)
	who, err := s.file.Authenticate(&http.Request{Header: http.Header{"Cookie": {"a=b"}}})
	require.NoError(t, err)
	require.True(t, who.Anonymous())
}

func TestNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "users")
	_, err := htpasswd.New(path, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = htpasswd.New(dir, nil)
	require.ErrorContains(t, err, "not a regular file")
	require.NoError(t, os.WriteFile(path, []byte(line(t, "ann", "secret", 4)+"bob:x\n"), 0o600))
	_, err = htpasswd.New(path, nil)
	require.ErrorContains(t, err, path+": line 2: ")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	for _, o := range []*htpasswd.Options{{Failures: -1}, {AddressFailures: -1}, {Parallel: -1}, {Realm: "\n"},
		{Groups: path + "x"}} {
		_, err = htpasswd.New(path, o)
		require.Error(t, err)
	}
	f, err := htpasswd.New(path, &htpasswd.Options{Realm: `"quoted"`})
	require.NoError(t, err)
	require.Equal(t, `Basic realm="\"quoted\""`, f.Challenge(request("192.0.2.1", "a", "b"), nil))
}

func BenchmarkAuthenticate(b *testing.B) {
	s := newSite(b, line(b, "ann", "secret", 10), "pushers: ann\n", nil)
	s.file.SetNow(time.Now)
	r := request("192.0.2.1", "ann", "secret")
	_, err := s.file.Authenticate(r)
	require.NoError(b, err)
	b.ReportAllocs()
	b.Run("warm", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.file.Authenticate(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.file.Authenticate(r); err != nil {
					b.Fail()
				}
			}
		})
	})
	require.EqualValues(b, 1, s.checks.Load())
}

// TestRenewUntilLineChanges: the groups are the present ones, and another hash of the same password is a change.
func TestRenewUntilLineChanges(t *testing.T) {
	ann := line(t, "ann", "secret", 4)
	s := newSite(t, ann+line(t, "bob", "other", 4), "", nil)
	who, err := s.file.Authenticate(request("192.0.2.1", "ann", "secret"))
	require.NoError(t, err)
	elsewhere := newSite(t, ann, "pushers: ann\n", nil)
	now, err := auth.Renew(t.Context(), elsewhere.file, who)
	require.NoError(t, err)
	require.Equal(t, []string{"pushers"}, now.Groups)
	for _, other := range []auth.Identity{{}, {Name: "ann"}, {Name: "bob", Claims: who.Claims},
		{Name: "eve", Claims: map[string]any{"registrykit.io/password": ""}}} {
		_, err = s.file.Renew(t.Context(), other)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	for _, lines := range []string{line(t, "ann", "secret", 4), ""} {
		s.write(lines)
		s.pass(htpasswd.Interval)
		_, err = s.file.Renew(t.Context(), who)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
}
