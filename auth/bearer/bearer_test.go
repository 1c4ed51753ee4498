package bearer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/bearer"
)

const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`

// TestTokenPermitsWhatItLists uses a registry over HTTP with tokens of different accesses.
func TestTokenPermitsWhatItLists(t *testing.T) {
	i := newIssuer(t)
	s := newSite(t, newVerifier(t, i.options(t)))
	for _, step := range []struct {
		accesses     string
		method, path string
		want         int
	}{
		{"", "GET", "/v2/", 200},
		{"", "GET", "/v2/a/manifests/v1", 401},
		{"repository:a:pull", "GET", "/v2/a/manifests/v1", 404},
		{"repository:a:pull", "PUT", "/v2/a/manifests/v1", 401},
		{"repository:b:pull,push", "PUT", "/v2/a/manifests/v1", 401},
		{"repository:a/b:pull,push", "PUT", "/v2/a/manifests/v1", 401},
		{"repository:*:*", "PUT", "/v2/a/manifests/v1", 401},
		{"repository:a:PUSH", "PUT", "/v2/a/manifests/v1", 401},
		{"registry:a:push", "PUT", "/v2/a/manifests/v1", 401},
		{"repository:a:pull,push", "PUT", "/v2/a/manifests/v1", 201},
		{"repository:a:pull,push", "PUT", "/v2/a/manifests/v1", 201}, // push may overwrite
		{"repository:a:pull", "GET", "/v2/a/manifests/v1", 200},
		{"repository(plugin):a:pull", "GET", "/v2/a/manifests/v1", 200},
		{"repository:a:pull,push", "DELETE", "/v2/a/manifests/v1", 401},
		{"repository:a:*", "GET", "/v2/a/tags/list", 200},
		{"repository:a:*", "DELETE", "/v2/a/manifests/v1", 202},
		{"repository:a:*", "GET", "/v2/_catalog", 401},
		{"registry:catalog:pull", "GET", "/v2/_catalog", 401},
		{"registry:catalog:*", "GET", "/v2/_catalog", 200},
		{"registry:catalog:*", "GET", "/v2/a/manifests/v1", 401},
	} {
		var accesses []string
		if step.accesses != "" {
			accesses = []string{step.accesses}
		}
		body := ""
		if step.method == "PUT" {
			body = index
		}
		status, _ := s.do(step.method, step.path, i.token(t, nil, accesses...), body)
		require.Equal(t, step.want, status, "%+v", step)
	}
}

// TestChallenge asks for a token with the scope that is needed, like the CNCF registry.
func TestChallenge(t *testing.T) {
	i := newIssuer(t)
	s := newSite(t, newVerifier(t, i.options(t)))
	const prefix = `Bearer realm="` + realm + `",service="` + service + `"`
	for _, test := range []struct{ token, method, path, want string }{
		{"", "GET", "/v2/", prefix},
		{"", "GET", "/v2/a/b/manifests/v1", prefix + `,scope="repository:a/b:pull"`},
		{"", "POST", "/v2/a/blobs/uploads/", prefix + `,scope="repository:a:pull,push"`},
		{"", "GET", "/v2/_catalog", prefix + `,scope="registry:catalog:*"`},
		{i.token(t, nil), "GET", "/v2/a/manifests/v1", prefix + `,scope="repository:a:pull",error="insufficient_scope"`},
		{"x", "GET", "/v2/a/manifests/v1", prefix + `,scope="repository:a:pull",error="invalid_token"`},
		{"x", "GET", "/v2/", prefix + `,error="invalid_token"`},
	} {
		status, challenge := s.do(test.method, test.path, test.token, "")
		require.Equal(t, 401, status)
		require.Equal(t, test.want, challenge)
	}
}

// TestIdentity is the default mapping of claims.
func TestIdentity(t *testing.T) {
	i := newIssuer(t)
	v := newVerifier(t, i.options(t))
	identity, err := login(t, v, i.token(t, claims{
		"groups": []string{"dev"}, "level": 3, "registrykit.io/account": "0000000000000000", "registrykit.io/bearer": "x",
		"claims": map[string]any{"level": 4, "team": "red", "registrykit.io/secret": "x"},
	}, "repository:a:pull"))
	require.NoError(t, err)
	require.Equal(t, "ann", identity.Name)
	require.Equal(t, []string{"dev"}, identity.Groups)
	require.EqualValues(t, 3, identity.Claims["level"], "a claim is not hidden by a member of claims")
	require.Equal(t, "red", identity.Claims["team"])
	require.Equal(t, name, identity.Claims["iss"])
	require.NotContains(t, identity.Claims, "access")
	for claim, value := range identity.Claims {
		if strings.HasPrefix(claim, "registrykit.io/") {
			require.NotContains(t, []any{"0000000000000000", "x"}, value, claim)
		}
	}

	identity, err = login(t, v, i.token(t, claims{"sub": nil}, "repository:a:pull"))
	require.NoError(t, err, "docker_auth gives anonymous callers tokens")
	require.True(t, identity.Anonymous())
	require.NoError(t, v.Authorize(t.Context(), identity, []auth.Access{repository("a", auth.Pull)}))

	for _, other := range []string{"", "Basic YW5uOnNlY3JldA==", "Digest x"} {
		identity, err = v.Authenticate(request(other))
		require.NoError(t, err)
		require.Equal(t, auth.Identity{}, identity)
		require.ErrorIs(t, v.Authorize(t.Context(), identity, nil), auth.ErrDenied)
	}
}

// TestRulesAndTokenMustAgree combines tokens with rules.
func TestRulesAndTokenMustAgree(t *testing.T) {
	i := newIssuer(t)
	opts := i.options(t)
	down := errors.New("down")
	opts.Rules = auth.AuthorizerFunc(func(_ context.Context, who auth.Identity, accesses []auth.Access) error {
		for _, a := range accesses {
			switch {
			case a.Name == "down":
				return down
			case who.Name != "ann" && a.Action != auth.Pull, a.Action == auth.Overwrite, a.Name == "secret":
				return auth.ErrDenied
			}
		}
		return nil
	})
	v := newVerifier(t, opts)
	token := i.token(t, nil, "repository:a:pull,push", "repository:secret:*")
	require.NoError(t, may(t, v, token, repository("a", auth.Push)))
	require.ErrorIs(t, may(t, v, token, repository("a", auth.Overwrite)), auth.ErrDenied)
	require.ErrorIs(t, may(t, v, token, repository("secret", auth.Pull)), auth.ErrDenied)
	require.ErrorIs(t, may(t, v, token, repository("b", auth.Pull)), auth.ErrScope)
	require.ErrorIs(t, may(t, v, token, repository("down", auth.Pull)), down)
	bob := i.token(t, claims{"sub": "bob"}, "repository:a:*")
	require.NoError(t, may(t, v, bob, repository("a", auth.Pull)))
	require.ErrorIs(t, may(t, v, bob, repository("a", auth.Push)), auth.ErrDenied)

	// Callers whom another Authenticator knows have no token. The rules decide.
	require.NoError(t, v.Authorize(t.Context(), auth.Identity{Name: "ann"}, []auth.Access{repository("b", auth.Push)}))
	require.ErrorIs(t, v.Authorize(t.Context(), auth.Identity{}, []auth.Access{repository("b", auth.Push)}),
		auth.ErrDenied)

	identity, err := login(t, v, token)
	require.NoError(t, err)
	for _, ask := range []func(context.Context, auth.Authorizer, auth.Identity, []auth.Access) (string, error){
		auth.Explain, auth.Scope,
	} {
		rule, err := ask(t.Context(), v, identity, []auth.Access{repository("b", auth.Pull)})
		require.ErrorIs(t, err, auth.ErrScope)
		require.Equal(t, "the scopes of the token", rule)
		rule, err = ask(t.Context(), v, identity, []auth.Access{repository("secret", auth.Pull)})
		require.ErrorIs(t, err, auth.ErrDenied)
		require.Empty(t, rule)
	}
}

// TestTokenOfAnotherVerifierNarrows: whichever Verifier has accepted a token, its scopes count.
func TestTokenOfAnotherVerifierNarrows(t *testing.T) {
	i := newIssuer(t)
	identity, err := login(t, newVerifier(t, i.options(t)), i.token(t, nil, "repository:a:pull"))
	require.NoError(t, err)
	opts := i.options(t)
	opts.Rules = auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil })
	require.ErrorIs(t, newVerifier(t, opts).Authorize(t.Context(), identity, []auth.Access{repository("b", auth.Pull)}),
		auth.ErrScope)
}

func TestPrefixes(t *testing.T) {
	i := newIssuer(t)
	opts := i.options(t)
	alone := newVerifier(t, opts)
	opts.Rules = prefixed{}
	both := newVerifier(t, opts)
	for _, test := range []struct {
		token      string
		alone, two []string
	}{
		{i.token(t, nil, "repository:a:pull", "repository:b/c:push", "repository:d:"), []string{"a", "b/c", "d"},
			[]string{"a", "b/c", "d"}},
		{i.token(t, nil), []string{}, []string{}},
		{i.token(t, nil, "repository:a:pull", "registry:catalog:*"), []string{""}, []string{"rules/"}},
		{i.token(t, claims{"access_hashes": "AAAAAAAA"}), []string{}, []string{"rules/"}},
	} {
		identity, err := login(t, alone, test.token)
		require.NoError(t, err)
		require.Equal(t, test.alone, alone.Prefixes(t.Context(), identity))
		identity, err = login(t, both, test.token)
		require.NoError(t, err)
		require.Equal(t, test.two, both.Prefixes(t.Context(), identity))
	}
	require.Empty(t, alone.Prefixes(t.Context(), auth.Identity{}))
	require.Equal(t, []string{"rules/"}, both.Prefixes(t.Context(), auth.Identity{}))
	require.False(t, auth.AllowsAnonymous(t.Context(), alone))
}

type prefixed struct{}

func (prefixed) Authorize(context.Context, auth.Identity, []auth.Access) error { return nil }
func (prefixed) Prefixes(context.Context, auth.Identity) []string              { return []string{"rules/"} }

// TestMap maps the claims of an issuer that does not know Docker's claim.
func TestMap(t *testing.T) {
	i := newIssuer(t)
	opts := i.options(t)
	opts.Map = func(c map[string]any) (auth.Identity, []auth.Access, error) {
		var accesses []auth.Access
		text, ok := c["scope"].(string)
		if !ok {
			return auth.Identity{}, nil, errors.New("no scope")
		}
		for word := range strings.FieldsSeq(text) {
			switch word {
			case "read":
				accesses = append(accesses, repository("*", auth.Pull))
			case "all":
				accesses = append(accesses, repository("*", auth.All))
			case "app":
				accesses = append(accesses, repository("app", auth.All))
			case "catalog":
				accesses = append(accesses, catalog)
			case "registry":
				accesses = append(accesses, auth.Access{Type: auth.TypeRegistry, Name: "*", Action: auth.Pull})
			case "tag":
				accesses = append(accesses, auth.Access{Type: auth.TypeRepository, Name: "a", Action: auth.Pull, Tag: "v1"})
			}
		}
		who, _ := c["email"].(string)
		return auth.Identity{Name: who, Claims: map[string]any{"x": 1, "registrykit.io/account": "y"}}, accesses, nil
	}
	v := newVerifier(t, opts)
	token := func(scope string) string { return i.token(t, claims{"scope": scope, "email": "ann@acme.example"}) }
	identity, err := login(t, v, token("read"))
	require.NoError(t, err)
	require.Equal(t, "ann@acme.example", identity.Name)
	require.Equal(t, 1, identity.Claims["x"])
	require.NotContains(t, identity.Claims, "registrykit.io/account")

	require.NoError(t, may(t, v, token("read"), repository("a", auth.Pull), repository("b/c", auth.Pull)))
	require.ErrorIs(t, may(t, v, token("read"), repository("a", auth.Push)), auth.ErrScope)
	require.ErrorIs(t, may(t, v, token("read"), catalog), auth.ErrScope)
	require.NoError(t, may(t, v, token("read app"), repository("a", auth.Pull), repository("app", auth.Overwrite),
		repository("app", auth.Delete)))
	require.ErrorIs(t, may(t, v, token("read app"), repository("a", auth.Delete)), auth.ErrScope)
	require.NoError(t, may(t, v, token("all catalog"), repository("a", auth.Overwrite), repository("a", auth.All),
		catalog))
	require.ErrorIs(t, may(t, v, token("all"), catalog), auth.ErrScope)
	require.ErrorIs(t, may(t, v, token("registry"), repository("a", auth.Pull)), auth.ErrScope)
	require.ErrorIs(t, may(t, v, token(""), repository("a", auth.Pull)), auth.ErrScope)
	for _, bad := range []string{token("tag"), i.token(t, nil)} {
		_, err := login(t, v, bad)
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	identity, err = login(t, v, token("read"))
	require.NoError(t, err)
	require.Equal(t, []string{""}, v.Prefixes(t.Context(), identity))
}

// TestHashesNeedRules ignores the claim access_hashes without rules: repositories may have the same hash.
func TestHashesNeedRules(t *testing.T) {
	i := newIssuer(t)
	opts := i.options(t)
	token := i.token(t, claims{"access_hashes": "XXL+8hxx"}) // any
	require.ErrorIs(t, may(t, newVerifier(t, opts), token, repository("a", auth.Pull)), auth.ErrScope)
	opts.Rules = prefixed{}
	_, err := login(t, newVerifier(t, opts), i.token(t, claims{"access_hashes": "?"}))
	require.ErrorIs(t, err, auth.ErrCredentials)
}

func TestOptions(t *testing.T) {
	i := newIssuer(t)
	for name, change := range map[string]func(*bearer.Options){
		"no realm":          func(o *bearer.Options) { o.Realm = "" },
		"realm with quote":  func(o *bearer.Options) { o.Realm = `https://a/"` },
		"realm with space":  func(o *bearer.Options) { o.Realm = `https://a/ ` },
		"realm of a file":   func(o *bearer.Options) { o.Realm = "file:///a" },
		"realm with a name": func(o *bearer.Options) { o.Realm = "https://a:b@c/" },
		"no service":        func(o *bearer.Options) { o.Service = "" },
		"service quoted":    func(o *bearer.Options) { o.Service = `a",b="` },
		"service with line": func(o *bearer.Options) { o.Service = "a\r\nb" },
		"no issuer":         func(o *bearer.Options) { o.Issuer = "" },
		"no keys":           func(o *bearer.Options) { o.KeyFiles = nil },
		"two sources":       func(o *bearer.Options) { o.JWKS = "https://a/keys" },
		"missing file":      func(o *bearer.Options) { o.KeyFiles = []string{filepath.Join(t.TempDir(), "none")} },
		"plain JWKS":        func(o *bearer.Options) { o.KeyFiles, o.JWKS = nil, "http://auth.example/keys" },
		"HMAC":              func(o *bearer.Options) { o.Algorithms = []string{"HS256"} },
		"none":              func(o *bearer.Options) { o.Algorithms = []string{"ES256", "none"} },
	} {
		opts := i.options(t)
		change(&opts)
		_, err := bearer.New(opts)
		require.Error(t, err, name)
		require.True(t, strings.HasPrefix(err.Error(), "bearer: "), err)
	}
	opts := i.options(t)
	opts.KeyFiles = []string{filepath.Join(t.TempDir(), "none")}
	_, err := bearer.New(opts)
	require.ErrorIs(t, err, os.ErrNotExist)
}
