package token_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
)

// part decodes one part of a JWT.
func part(t *testing.T, tok string, i int, v any) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(tok, ".")[i])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, v))
}

var ann = users{"ann": "secret"}

// TestAnonymousPullsAndLoginsTogether: anonymous callers pull, ann logs in and pushes, a wrong
// password fails, and each refusal tells clients which token they need.
func TestAnonymousPullsAndLoginsTogether(t *testing.T) {
	s := newSite(t, ann, allow(" repository:open:pull", "ann repository:open:pull", "ann repository:open:push",
		"ann repository:closed:pull"), nil)
	img := registrytest.RandomImage(1, 1, 10)
	for _, repo := range []string{"open", "closed", "hidden"} {
		require.NoError(t, img.Push(t.Context(), s.store, repo, "v1"))
	}
	realm := `Bearer realm="` + s.url + `/v2/token",service="registry"`

	// A client finds out how to log in, does so, and checks the token.
	require.Equal(t, realm, s.do("GET", "/v2/", "").Header.Get("WWW-Authenticate"))
	require.Equal(t, 401, s.do("GET", "/v2/", "").StatusCode)
	require.Equal(t, 401, s.do("GET", "/v2/", basic("ann", "wrong")).StatusCode)
	for _, wrong := range []string{basic("ann", "wrong"), basic("bob", "secret"), basic("", ""), "Basic !", "Digest x",
		"Bearer x"} {
		res := s.do("GET", "/v2/token?service=registry&account=ann&client_id=docker&offline_token=true", wrong)
		require.Equal(t, 401, res.StatusCode, wrong)
		require.Equal(t, `Basic realm="test"`, res.Header.Get("WWW-Authenticate"))
		require.Contains(t, res.body, "UNAUTHORIZED")
	}
	require.Equal(t, 200, s.do("GET", "/v2/", "Bearer "+s.token(basic("ann", "secret"))).StatusCode)
	guest := s.token("", "repository:open:pull", "repository:closed:pull")
	require.Equal(t, []string{"repository:open:pull"}, granted(t, guest))
	require.Equal(t, 200, s.do("GET", "/v2/", "Bearer "+guest).StatusCode)

	// Pulls, with a token or without.
	for _, a := range []string{"", "Bearer " + guest, "bearer " + guest, basic("ann", "secret")} {
		require.Equal(t, 200, s.do("GET", "/v2/open/manifests/v1", a).StatusCode, a)
	}
	for _, repo := range []string{"closed", "nothing"} {
		res := s.do("GET", "/v2/"+repo+"/manifests/v1", "")
		require.Equal(t, 401, res.StatusCode)
		require.Equal(t, realm+`,scope="repository:`+repo+`:pull"`, res.Header.Get("WWW-Authenticate"))
		res = s.do("GET", "/v2/"+repo+"/manifests/v1", "Bearer "+guest)
		require.Equal(t, 401, res.StatusCode)
		require.Equal(t, realm+`,scope="repository:`+repo+`:pull",error="insufficient_scope"`,
			res.Header.Get("WWW-Authenticate"))
	}

	// Pushes. If ann has the access but her token does not, she gets a challenge for a wider token.
	// If ann does not have the access, she is denied.
	res := s.do("POST", "/v2/open/blobs/uploads/", "")
	require.Equal(t, realm+`,scope="repository:open:pull,push"`, res.Header.Get("WWW-Authenticate"))
	narrow := s.token(basic("ann", "secret"), "repository:open:pull")
	res = s.do("POST", "/v2/open/blobs/uploads/", "Bearer "+narrow)
	require.Equal(t, 401, res.StatusCode)
	require.Equal(t, realm+`,scope="repository:open:pull,push",error="insufficient_scope"`,
		res.Header.Get("WWW-Authenticate"))
	wide := s.token(basic("ann", "secret"), "repository:open:pull,push")
	require.Equal(t, 202, s.do("POST", "/v2/open/blobs/uploads/", "Bearer "+wide).StatusCode)
	require.Equal(t, 202, s.do("POST", "/v2/open/blobs/uploads/", basic("ann", "secret")).StatusCode)
	for _, repo := range []string{"hidden", "nothing"} {
		for _, a := range []string{"Bearer " + wide, basic("ann", "secret")} {
			res = s.do("POST", "/v2/"+repo+"/blobs/uploads/", a)
			require.Equal(t, 403, res.StatusCode)
			require.Contains(t, res.body, "DENIED")
			require.Empty(t, res.Header.Get("WWW-Authenticate"))
		}
	}

	// A mount needs a scope for the source as well; without it, the blob looks unknown.
	mount := "/v2/open/blobs/uploads/?from=closed&mount=" + string(digest.FromBytes(img.Blobs[0]))
	require.NoError(t, s.store.DeleteRepository(t.Context(), "open", nil))
	require.Equal(t, 202, s.do("POST", mount, "Bearer "+wide).StatusCode)
	both := s.token(basic("ann", "secret"), "repository:open:pull,push repository:closed:pull")
	require.Equal(t, 201, s.do("POST", mount, "Bearer "+both).StatusCode)
}

// TestTokenNeverExceedsRules: a token permits only what the rules allow at the time of its use.
func TestTokenNeverExceedsRules(t *testing.T) {
	r := allow("ann repository:a:push", "ann repository:a:pull", "ann repository:a:delete")
	s := newSite(t, ann, r, nil)
	one, two := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(2, 1, 10)
	require.NoError(t, one.Push(t.Context(), s.store, "a", "v1", "dev"))
	require.NoError(t, two.Push(t.Context(), s.store, "a"))
	put := func(tag, tok string) int {
		return s.send("PUT", "/v2/a/manifests/"+tag, string(two.Manifest), http.Header{
			"Authorization": {"Bearer " + tok}, "Content-Type": {two.Descriptor.MediaType}}).StatusCode
	}
	push := s.token(basic("ann", "secret"), "repository:a:push,pull")
	require.Equal(t, 409, put("v1", push), "there is no rule that allows to overwrite")
	r.set("ann repository:a:push", "ann repository:a:overwrite:dev")
	require.Equal(t, 409, put("v1", push))
	require.Equal(t, 201, put("dev", push), "the same token, which docker has asked for by the word push")
	r.set("ann repository:a:push:dev")
	require.Equal(t, 403, put("new", push), "a rule for a tag is not got round")
	require.Equal(t, 403, s.do("GET", "/v2/a/manifests/v1", "Bearer "+push).StatusCode, "pull was taken away")

	r.set("ann repository:a:push", "ann repository:a:pull", "ann repository:a:delete", "ann registry:catalog:*")
	require.Equal(t, 401, s.do("DELETE", "/v2/a/manifests/dev", "Bearer "+push).StatusCode, "push is not delete")
	require.Equal(t, 401, s.do("GET", "/v2/_catalog", "Bearer "+push).StatusCode)
	all := s.token(basic("ann", "secret"), "repository:a:*", "registry:catalog:*", "registry:other:*", "repository:b:*",
		"repository(plugin):a:pull", "x:y:z")
	require.Equal(t, []string{"repository:a:pull,push,delete", "registry:catalog:*", "repository:a:pull"}, granted(t, all))
	require.Equal(t, 200, s.do("GET", "/v2/_catalog", "Bearer "+all).StatusCode)
	require.Equal(t, 202, s.do("DELETE", "/v2/a/manifests/dev", "Bearer "+all).StatusCode)
}

// record is a host's record of a user. Its fields must not appear in a token.
type record struct{ Secret string }

// claimed is an Authenticator of one user with many claims.
type claimed struct{ users }

func (c claimed) Authenticate(r *http.Request) (auth.Identity, error) {
	identity, err := c.users.Authenticate(r)
	if err == nil && !identity.Anonymous() {
		identity.Claims = map[string]any{
			"level": 3, "mail": "ann@example.test", "admin": true, "teams": []string{"a", "b"}, "none": nil,
			"user": &record{"hush"}, "copy": record{"hush"}, "map": map[string]string{"a": "hush"},
			"any": []any{record{"hush"}}, "bytes": []byte("hush"),
		}
	}
	return identity, err
}

// TestIdentity: the Authorizer gets the identity of the login. The token contains no claims that
// only the host should know.
func TestIdentity(t *testing.T) {
	var seen auth.Identity
	see := auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, _ []auth.Access) error {
		seen = who
		return nil
	})
	use := func(opts *token.Options) map[string]any {
		s := newSite(t, claimed{ann}, see, opts)
		s.do("GET", "/v2/a/manifests/v1", "Bearer "+s.token(basic("ann", "secret"), "repository:a:pull"))
		require.Equal(t, "ann", seen.Name)
		require.Equal(t, []string{"group-of-ann"}, seen.Groups)
		delete(seen.Claims, auth.ScopesClaim)
		return seen.Claims
	}
	require.Equal(t, map[string]any{"level": 3., "mail": "ann@example.test", "admin": true, "teams": []any{"a", "b"}},
		use(nil))
	require.Equal(t, map[string]any{"x": "y"},
		use(&token.Options{Claims: func(auth.Identity) map[string]any { return map[string]any{"x": "y"} }}))
}

// TestUploadOwner: another token of the same caller can continue an upload. Tokens of other callers
// cannot.
func TestUploadOwner(t *testing.T) {
	s := newSite(t, users{"ann": "secret", "eve": "secret"},
		auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil }), nil)
	scope := "repository:a:pull,push"
	location := s.do("POST", "/v2/a/blobs/uploads/", "Bearer "+s.token(basic("ann", "secret"),
		scope)).Header.Get("Location")
	require.Equal(t, 204, s.do("GET", location, "Bearer "+s.token(basic("ann", "secret"), scope)).StatusCode)
	require.Equal(t, 404, s.do("GET", location, "Bearer "+s.token(basic("eve", "secret"), scope)).StatusCode)
	require.Equal(t, 404, s.do("GET", location, "Bearer "+s.token("", scope)).StatusCode)
}

func TestEndpoint(t *testing.T) {
	var told []auth.Decision
	s := newSite(t, ann, allow("ann repository:a:pull"),
		&token.Options{Audit: func(_ context.Context, d auth.Decision) { told = append(told, d) }})
	for query, want := range map[string]int{
		"":                                      200,
		"?service=registry":                     200,
		"?service=other":                        400,
		"?service=registry&service=other":       400,
		"?scope=":                               200,
		"?scope=repository:a:":                  200,
		"?scope=repository:a":                   400,
		"?scope=repository::pull":               400,
		"?scope=:a:pull":                        400,
		"?scope=repository():a:pull":            400,
		"?scope=repository(:a:pull":             400,
		"?scope=(x):a:pull":                     400,
		"?scope=repository:../a:pull":           200,
		"?scope=repository:host:5000/a:*":       200,
		"?scope=%zz":                            400,
		"?scope=repository:a:a,b,c,d,e,f,g,h,i": 400,
		"?scope=repository:" + strings.Repeat("a", 2000) + ":pull": 400,
		"?" + strings.Repeat("scope=repository:a:pull&", 500):      200,
		"?scope=" + strings.Repeat("repository:a:pull+", 500):      200,
	} {
		require.Equal(t, want, s.do("GET", "/v2/token"+query, basic("ann", "secret")).StatusCode, query)
	}
	for _, method := range []string{"HEAD", "PUT", "DELETE", "OPTIONS"} {
		res := s.do(method, "/v2/token", "")
		require.Equal(t, 405, res.StatusCode)
		require.Equal(t, "GET, POST", res.Header.Get("Allow"))
	}
	told = nil
	s.do("GET", "/v2/token?scope=repository:a:pull,push", basic("ann", "secret"))
	s.do("GET", "/v2/token", basic("ann", "secret"))
	s.do("GET", "/v2/token", basic("ann", "wrong"))
	require.Len(t, told, 4)
	for i, allowed := range []bool{true, false, true, false} {
		require.Equal(t, allowed, told[i].Allowed, i)
		require.Equal(t, "/v2/token", told[i].Path)
	}
	require.ErrorIs(t, told[3].Err, auth.ErrCredentials)
}

// failing is an Authenticator, an Authorizer and Secrets that do not work.
type failing struct{ err error }

func (f failing) Authenticate(*http.Request) (auth.Identity, error)             { return auth.Identity{}, f.err }
func (f failing) Challenge(*http.Request, []auth.Access) string                 { return "" }
func (f failing) Authorize(context.Context, auth.Identity, []auth.Access) error { return f.err }
func (f failing) SharedSecret(context.Context, string) ([]byte, error)          { return nil, f.err }

// TestFailuresRefuseAndTellNothing: if a part fails, the request is refused, and the response does
// not contain the reason.
func TestFailuresRefuseAndTellNothing(t *testing.T) {
	f, store := failing{errors.New("hush")}, registrytest.NewStore(t)
	for name, build := range map[string]func(*token.Options) (*token.Service, error){
		"users":   func(o *token.Options) (*token.Service, error) { return token.New(store, f, allow(), o) },
		"rules":   func(o *token.Options) (*token.Service, error) { return token.New(store, ann, f, o) },
		"secrets": func(o *token.Options) (*token.Service, error) { return token.New(f, ann, allow(), o) },
	} {
		var told error
		tokens, err := build(&token.Options{Error: func(_ context.Context, err error) { told = err }})
		require.NoError(t, err)
		w := httptest.NewRecorder()
		tokens.ServeHTTP(w, httptest.NewRequest("GET", "/v2/token?scope=repository:a:pull", nil))
		require.Equal(t, 500, w.Code, name)
		require.NotContains(t, w.Body.String(), "hush")
		require.ErrorIs(t, told, f.err)
	}
	for _, opts := range []token.Options{
		{Path: "token"}, {Path: `/a"b`}, {Service: "a b"}, {Service: `a"`}, {Lifetime: time.Second},
		{Lifetime: 2 * time.Hour}, {Lifetime: -1},
		{Realm: "/token"}, {Realm: "ftp://a/token"}, {Realm: `https://a/"`}, {Realm: "https://u:p@a/token"},
		{ExternalURL: "registry.example"}, {ExternalURL: "ftp://a"}, {ExternalURL: "https://"},
		{ExternalURL: "https://a?b=c"}, {ExternalURL: "https://a?"},
		{ExternalURL: "https://a#"}, {ExternalURL: "https://u:p@a"}, {ExternalURL: `https://a/",b="`},
		{ExternalURL: "https://a b"},
	} {
		_, err := token.New(store, ann, allow(), &opts)
		require.Error(t, err, "%+v", opts)
	}
	_, err := token.New(nil, ann, allow(), nil)
	require.Error(t, err)
}

// TestRealm: a request has little influence on the URL that clients send passwords to.
func TestRealm(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, row := range []struct {
		host, remote, forwarded, proto, set string
		tls                                 bool
		external                            string
		plain                               bool
		want                                string
	}{
		{host: "127.0.0.1:5000", want: "http://127.0.0.1:5000/v2/token"},
		{host: "localhost:5000", want: "http://localhost:5000/v2/token"},
		{host: "[::1]:5000", want: "http://[::1]:5000/v2/token"},
		{host: "localhost", tls: true, want: "https://localhost/v2/token"},
		{host: "registry.example", want: "https://registry.example/v2/token"},
		{host: "registry.example", tls: true, want: "https://registry.example/v2/token"},
		{host: "localhost.evil.example", want: "https://localhost.evil.example/v2/token"},
		{host: "registry.example", forwarded: "evil.example", proto: "http", want: "https://registry.example/v2/token"},
		{host: "inner:5000", remote: "10.1.2.3:99", forwarded: "registry.example", proto: "https",
			want: "https://registry.example/v2/token"},
		{host: "inner:5000", remote: "[::ffff:10.1.2.3]:99", forwarded: "registry.example, other",
			want: "https://registry.example/v2/token"},
		{host: "inner:5000", remote: "10.1.2.3:99", forwarded: "registry.example", proto: "http",
			want: "https://registry.example/v2/token"},
		{host: "inner:5000", remote: "11.1.2.3:99", forwarded: "registry.example", want: "https://inner:5000/v2/token"},
		{host: `a",evil="`, want: ""},
		{host: "a/b", want: ""},
		{host: "a@b", want: ""},
		{host: "", want: ""},
		{host: "x", set: "https://login.example/registry", want: "https://login.example/registry"},
		// What the host of the registry says of its own URL counts before all that a request says.
		{host: "x", external: "https://registry.example", want: "https://registry.example/v2/token"},
		{host: "x", external: "http://registry.example:5000/", want: "http://registry.example:5000/v2/token"},
		{host: "x", external: "https://example/registry/", want: "https://example/registry/v2/token"},
		{host: "x", external: "https://registry.example", set: "https://login.example/registry",
			want: "https://login.example/registry"},
		{host: "inner:5000", remote: "10.1.2.3:99", forwarded: "evil.example", proto: "http",
			external: "https://registry.example", want: "https://registry.example/v2/token"},
		{host: `a",evil="`, external: "https://registry.example", want: "https://registry.example/v2/token"},
		// With PlainHTTP, the scheme is that by which the client came.
		{plain: true, host: "registry.example:5000", want: "http://registry.example:5000/v2/token"},
		{plain: true, host: "192.0.2.1:5000", want: "http://192.0.2.1:5000/v2/token"},
		{plain: true, host: "registry.example", tls: true, want: "https://registry.example/v2/token"},
		{plain: true, host: "registry.example", tls: true, proto: "http", want: "https://registry.example/v2/token"},
		{plain: true, host: "registry.example", forwarded: "evil.example", proto: "https",
			want: "http://registry.example/v2/token"},
		{plain: true, host: "inner:5000", remote: "10.1.2.3:99", forwarded: "registry.example", proto: "https",
			want: "https://registry.example/v2/token"},
		{plain: true, host: "inner:5000", remote: "10.1.2.3:99", forwarded: "registry.example", proto: "http",
			want: "http://registry.example/v2/token"},
		{plain: true, host: "inner:5000", remote: "10.1.2.3:99", forwarded: "registry.example", proto: `x",a="`,
			want: "https://registry.example/v2/token"},
		{plain: true, host: "inner:5000", remote: "10.1.2.3:99", want: "http://inner:5000/v2/token"},
		{plain: true, host: "registry.example", external: "https://registry.example",
			want: "https://registry.example/v2/token"},
		{plain: true, host: `a",evil="`, want: ""},
		{plain: true, host: `evil.example/?`, want: ""},
		{plain: true, host: "user@evil.example", want: ""},
		{plain: true, host: "", want: ""},
	} {
		tokens, err := token.New(registrytest.NewStore(t), ann, allow(), &token.Options{
			Realm: row.set, ExternalURL: row.external, PlainHTTP: row.plain, TrustedProxies: proxies, Always: true,
		})
		require.NoError(t, err)
		r := httptest.NewRequest("GET", "/v2/", nil)
		if row.tls {
			r = httptest.NewRequest("GET", "https://x/v2/", nil)
		}
		if r.Host = row.host; row.remote != "" {
			r.RemoteAddr = row.remote
		}
		for key, value := range map[string]string{
			"X-Forwarded-Host": row.forwarded, "X-Forwarded-Proto": row.proto, "Forwarded": "host=evil.example",
		} {
			if value != "" {
				r.Header.Set(key, value)
			}
		}
		want := ""
		if row.want != "" {
			want = `Bearer realm="` + row.want + `",service="registry"`
		}
		require.Equal(t, want, tokens.Challenge(r, nil), "%+v", row)
	}
}

// prefixed are rules that say where they allow anything.
type prefixed struct{ *rules }

func (p prefixed) Prefixes(_ context.Context, who auth.Identity) []string {
	var list []string
	for _, rule := range p.allowed {
		name, scope, _ := strings.Cut(rule, " ")
		if parts := strings.Split(scope, ":"); name == who.Name && parts[0] == auth.TypeRepository {
			list = append(list, parts[1])
		}
	}
	return list
}

// TestWithoutAnonymous: while the rules allow nothing to anonymous callers, the challenge asks for
// credentials. As soon as the rules allow them anything, it asks for a token.
func TestWithoutAnonymous(t *testing.T) {
	r := prefixed{allow("ann repository:a:pull")}
	s := newSite(t, ann, r, nil)
	challenge := func() string { return s.do("GET", "/v2/", "").Header.Get("WWW-Authenticate") }
	require.Equal(t, `Basic realm="test"`, challenge())
	require.Equal(t, 200, s.do("GET", "/v2/", basic("ann", "secret")).StatusCode)
	require.Equal(t, 200, s.do("GET", "/v2/", "Bearer "+s.token(basic("ann", "secret"))).StatusCode,
		"the endpoint is there")
	for _, rule := range []string{" repository:a:pull", " registry:catalog:*"} {
		r.set("ann repository:a:pull", rule)
		require.Contains(t, challenge(), "Bearer realm=")
	}
	r.set("ann repository:a:pull")
	require.Equal(t, `Basic realm="test"`, challenge())
	always := newSite(t, ann, r, &token.Options{Always: true})
	require.Contains(t, always.do("GET", "/v2/", "").Header.Get("WWW-Authenticate"), "Bearer realm=")
	opaque := newSite(t, ann, allow(), nil) // its Authorizer is no Prefixer
	require.Contains(t, opaque.do("GET", "/v2/", "").Header.Get("WWW-Authenticate"), "Bearer realm=")
}
