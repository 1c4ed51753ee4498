package token_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
)

// post sends a form to the endpoint of a site.
func (s *site) post(form url.Values, header http.Header) *response {
	s.t.Helper()
	if header == nil {
		header = http.Header{}
	}
	if header.Get("Content-Type") == "" {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return s.send("POST", token.DefaultPath, form.Encode(), header)
}

// password returns the form of a password grant, as containerd sends it.
func password(name, secret string, scopes ...string) url.Values {
	return url.Values{"grant_type": {"password"}, "username": {name}, "password": {secret}, "service": {"registry"},
		"client_id": {"containerd-client"}, "scope": scopes}
}

// TestPasswordGrant: a form gives the same tokens as Basic, and the same refusals.
func TestPasswordGrant(t *testing.T) {
	var told []auth.Decision
	two := users{"ann": "secret", "bö b": "pä:ss+&= %"}
	s := newSite(t, two, allow("ann repository:a:pull", "ann repository:b:push", "ann registry:catalog:*"),
		&token.Options{Audit: func(_ context.Context, d auth.Decision) { told = append(told, d) }})
	for _, scopes := range [][]string{
		nil, {"repository:a:pull"}, {"repository:a:pull,push repository:b:push", "registry:catalog:*"}, {"repository:c:pull"},
		{"repository:a:pull", "", "  "},
	} {
		told = nil
		want := granted(t, s.token(basic("ann", "secret"), scopes...))
		byGet := told
		told = nil
		res := s.post(password("ann", "secret", scopes...), nil)
		require.Equal(t, 200, res.StatusCode, res.body)
		require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
		require.Equal(t, "application/json", res.Header.Get("Content-Type"))
		var a answer
		require.NoError(t, json.Unmarshal([]byte(res.body), &a))
		require.Equal(t, want, granted(t, a.AccessToken))
		require.Equal(t, strings.Join(want, " "), *a.Scope)
		require.Equal(t, a.Token, a.AccessToken)
		require.Equal(t, "Bearer", a.TokenType)
		require.Equal(t, 300, a.ExpiresIn)
		require.Empty(t, a.RefreshToken)
		require.Equal(t, 200, s.do("GET", "/v2/", "Bearer "+a.AccessToken).StatusCode)
		require.Len(t, told, len(byGet), "the audit is the same")
		for i := range told {
			require.Equal(t, "POST", told[i].Method)
			told[i].Method, told[i].RemoteAddr = "GET", byGet[i].RemoteAddr
			require.Equal(t, byGet[i], told[i])
		}
	}
	require.Equal(t, 200, s.post(password("bö b", "pä:ss+&= %"), nil).StatusCode)

	// Wrong credentials, known name or not: one answer, for clients of each kind.
	var bodies []string
	for _, c := range [][2]string{{"ann", "wrong"}, {"nobody", "secret"}, {"ann", ""}, {"", "secret"}, {"", ""},
		{"ann:", "secret"}, {"an", "n:secret"}, {"a\x00", "b"}, {"\xff", "\xff"}} {
		told = nil
		res := s.post(password(c[0], c[1], "repository:a:pull"), nil)
		require.Equal(t, 401, res.StatusCode, c)
		require.Equal(t, `Basic realm="test"`, res.Header.Get("WWW-Authenticate"))
		require.Len(t, told, 1)
		require.ErrorIs(t, told[0].Err, auth.ErrCredentials)
		bodies = append(bodies, res.body)
	}
	for _, body := range bodies {
		require.JSONEq(t, `{"error": "invalid_grant", "error_description": "invalid credentials",
			"errors": [{"code": "UNAUTHORIZED", "message": "invalid credentials"}]}`, body)
	}
	// A name with a colon is not another name and password.
	s = newSite(t, users{"ann": "x:y"}, all, nil)
	require.Equal(t, 200, s.post(password("ann", "x:y"), nil).StatusCode)
	require.Equal(t, 401, s.post(password("ann:x", "y"), nil).StatusCode)
}

// TestPasswordGrantRequest: the Authenticator gets a request without a body that differs from a GET
// with Basic in its method only.
func TestPasswordGrantRequest(t *testing.T) {
	var got *http.Request
	see := auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
		got = r
		return auth.Identity{}, &auth.LimitError{RetryAfter: 1500 * time.Millisecond}
	}).WithChallenge(`Basic realm="x"`)
	s, err := token.New(registrytest.NewStore(t), see, all, nil)
	require.NoError(t, err)
	r := httptest.NewRequest("POST", "/v2/token?x=y", strings.NewReader(password("ann", "secret").Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.RemoteAddr = "192.0.2.9:1"
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	name, secret, ok := got.BasicAuth()
	require.Equal(t, []any{"ann", "secret", true}, []any{name, secret, ok})
	require.Equal(t, "192.0.2.9:1", got.RemoteAddr)
	require.Equal(t, http.NoBody, got.Body)
	require.Empty(t, r.Header["Authorization"], "the request itself is not changed")
	require.Equal(t, 429, w.Code)
	require.Equal(t, "2", w.Header().Get("Retry-After"))
	require.Empty(t, w.Header()["Www-Authenticate"])
	require.Contains(t, w.Body.String(), "TOOMANYREQUESTS")
}

// TestFormRefused: a form that no client sends is refused before anybody is asked, with a body for
// clients of each kind.
func TestFormRefused(t *testing.T) {
	good := password("ann", "secret", "repository:a:pull")
	with := func(name string, values ...string) url.Values {
		form := url.Values{}
		for key, list := range good {
			form[key] = list
		}
		if form[name] = values; values == nil {
			delete(form, name)
		}
		return form
	}
	json, plain := http.Header{"Content-Type": {"application/json"}}, http.Header{"Content-Type": {"text/plain"}}
	s := newSite(t, ann, all, nil)
	require.Equal(t, 200, s.post(good, nil).StatusCode)
	for name, c := range map[string]struct {
		form   url.Values
		header http.Header
		status int
		code   string
	}{
		"empty":                {url.Values{}, nil, 400, "invalid_request"},
		"no grant":             {with("grant_type"), nil, 400, "invalid_request"},
		"two grants":           {with("grant_type", "password", "password"), nil, 400, "invalid_request"},
		"another grant":        {with("grant_type", "client_credentials"), nil, 400, "unsupported_grant_type"},
		"a code":               {with("grant_type", "authorization_code"), nil, 400, "unsupported_grant_type"},
		"grant in other case":  {with("grant_type", "Password"), nil, 400, "unsupported_grant_type"},
		"no name":              {with("username"), nil, 400, "invalid_request"},
		"two names":            {with("username", "ann", "bob"), nil, 400, "invalid_request"},
		"no password":          {with("password"), nil, 400, "invalid_request"},
		"two passwords":        {with("password", "x", "secret"), nil, 400, "invalid_request"},
		"two clients":          {with("client_id", "x", "y"), nil, 400, "invalid_request"},
		"two services":         {with("service", "registry", "registry"), nil, 400, "invalid_request"},
		"another service":      {with("service", "other"), nil, 400, "invalid_request"},
		"malformed scope":      {with("scope", "repository:a"), nil, 400, "invalid_scope"},
		"too long":             {with("x", strings.Repeat("x", 1<<20)), nil, 400, "invalid_request"},
		"refresh, without":     {with("grant_type", "refresh_token"), nil, 404, "unsupported_grant_type"},
		"JSON":                 {good, json, 400, "invalid_request"},
		"text":                 {good, plain, 400, "invalid_request"},
		"credentials in both":  {good, http.Header{"Authorization": {basic("ann", "secret")}}, 400, "invalid_request"},
		"client authenticates": {good, http.Header{"Authorization": {basic("docker", "")}}, 400, "invalid_request"},
	} {
		res := s.post(c.form, c.header)
		require.Equal(t, c.status, res.StatusCode, name)
		require.Contains(t, res.body, `"error":"`+c.code+`"`, name)
		require.Contains(t, res.body, `"errors":[{"code":"UNSUPPORTED","message":"`, name)
		require.Equal(t, "no-store", res.Header.Get("Cache-Control"), name)
		require.NotContains(t, res.body, "secret", name)
	}
	for _, body := range []string{"%zz", "grant_type=%", "a;b"} {
		res := s.send("POST", "/v2/token", body, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
		require.Equal(t, 400, res.StatusCode, body)
	}
	// What is in the URL of a POST does not count, and unknown parameters do no harm.
	res := s.send("POST", "/v2/token?"+good.Encode(), "",
		http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	require.Equal(t, 400, res.StatusCode)
	require.Equal(t, 200, s.post(with("extra", "a", "b"), nil).StatusCode)
	require.Equal(t, 200, s.post(with("client_id"), nil).StatusCode)
	require.Equal(t, 200, s.post(with("service"), nil).StatusCode)
	require.Equal(t, 200, s.post(with("client_id", strings.Repeat("\xff", 5000)), nil).StatusCode)
}

// TestFormMany: a form with hundreds of scopes gives a token for each.
func TestFormMany(t *testing.T) {
	s := newSite(t, ann, all, nil)
	for _, c := range []struct{ n, length int }{{100, 250}, {512, 1}} {
		scopes := manyScopes(c.n, c.length)
		for _, list := range [][]string{scopes, {strings.Join(scopes, " ")}} {
			res := s.post(password("ann", "secret", list...), nil)
			require.Equal(t, 200, res.StatusCode)
			var a answer
			require.NoError(t, json.Unmarshal([]byte(res.body), &a))
			require.NotContains(t, statuses(s, a.AccessToken, scopes), 401)
		}
	}
	res := s.post(password("ann", "secret", manyScopes(5000, 60)...), nil)
	require.Equal(t, 200, res.StatusCode)
}

// TestFormStalled: a client that sends a form slowly or not to its end does not keep the endpoint.
func TestFormStalled(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newSite(t, ann, all, nil).tokens)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = fmt.Fprint(conn, "POST /v2/token HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type=")
	require.NoError(t, err)
	in := bufio.NewReader(conn)
	res, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, 400, res.StatusCode)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	_, err = in.ReadByte()
	require.ErrorIs(t, err, io.EOF, "the connection is closed")
}

// TestForeign: a caller whose credentials count as anonymous gets an anonymous token for a pull, with
// the name that the registry has for the repository, and cannot log in.
func TestForeign(t *testing.T) {
	nobody := auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) { return auth.Identity{}, nil })
	hub := auth.AuthorizerFunc(func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
		for _, a := range accesses {
			if !strings.HasPrefix(a.Name, "hub/") || a.Action != auth.Pull {
				return auth.ErrDenied
			}
		}
		return nil
	})
	s := newSite(t, nobody, hub, &token.Options{Foreign: true, Resolve: func(repo string) string { return "hub/" + repo }})
	tok := s.token(basic("somebody", "hub"), "repository:a:pull")
	require.Equal(t, 404, s.do("GET", "/v2/hub/a/manifests/v1", "Bearer "+tok).StatusCode)
	require.Equal(t, 401, s.do("GET", "/v2/a/manifests/v1", "Bearer "+tok).StatusCode)
	require.Equal(t, 401, s.do("GET", "/v2/token", basic("somebody", "hub")).StatusCode)
}

// TestForeignForm: credentials that count as anonymous give an anonymous token by a form as by Basic.
func TestForeignForm(t *testing.T) {
	nobody := auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) { return auth.Identity{}, nil })
	for foreign, want := range map[bool]int{true: 200, false: 401} {
		s := newSite(t, nobody, all, &token.Options{Foreign: foreign})
		require.Equal(t, want, s.post(password("ann", "x", "repository:a:pull"), nil).StatusCode)
		require.Equal(t, 401, s.post(password("ann", "x"), nil).StatusCode)
	}
}

// TestOtherBearer: a Bearer token that is no JWT belongs to the Authenticator that New was given.
func TestOtherBearer(t *testing.T) {
	secrets := auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
		if r.Header.Get("Authorization") == "Bearer rkp_abc" {
			return auth.Identity{Name: "ann"}, nil
		}
		return auth.Identity{}, nil // as an Authenticator that knows no Bearer
	})
	s := newSite(t, secrets, allow("ann repository:a:pull"), nil)
	require.Equal(t, 404, s.do("GET", "/v2/a/manifests/v1", "Bearer rkp_abc").StatusCode)
	require.Equal(t, 200, s.do("GET", "/v2/token", "Bearer rkp_abc").StatusCode)
	for _, other := range []string{"Bearer rkp_abd", "Bearer a.b.c", "Bearer rkp.abc", "Bearer"} {
		require.Equal(t, 401, s.do("GET", "/v2/", other).StatusCode, other)
	}
	require.Equal(t, 401, s.send("GET", "/v2/", "", http.Header{"Authorization": {"Bearer rkp_abc", "x"}}).StatusCode)
}

// TestOwnClaims: whatever Options.Claims returns, a token contains the claims that narrow a secret, and no others of
// this module.
func TestOwnClaims(t *testing.T) {
	var seen auth.Identity
	see := auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, _ []auth.Access) error {
		seen = who
		return nil
	})
	own := auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) {
		return auth.Identity{Name: "ann", Claims: map[string]any{"registrykit.io/secret": "s", "other": "x"}}, nil
	})
	s := newSite(t, own, see, &token.Options{Claims: func(auth.Identity) map[string]any {
		return map[string]any{"mine": "y", "registrykit.io/secret": "forged", "registrykit.io/account": "forged"}
	}})
	s.do("GET", "/v2/a/manifests/v1", "Bearer "+s.token(basic("ann", "secret"), "repository:a:pull"))
	delete(seen.Claims, auth.ScopesClaim)
	require.Equal(t, map[string]any{"mine": "y", "registrykit.io/secret": "s"}, seen.Claims)
}
