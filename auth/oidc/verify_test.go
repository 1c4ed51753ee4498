package oidc_test

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/oidc"
)

const issuerURL = "https://ci.example"

// TestClaimsOfTime: exp, nbf and iat count with a leeway of one minute, and the age if a maximum is configured.
func TestClaimsOfTime(t *testing.T) {
	is := newIssuer(t, issuerURL)
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	for _, c := range []struct {
		what   string
		claims map[string]any
		change func(p *oidc.Provider)
		reason string // "": accepted
	}{
		{"now", nil, nil, ""},
		{"expired within the leeway", object{"exp": at(-59 * time.Second)}, nil, ""},
		{"expired", object{"exp": at(-61 * time.Second)}, nil, "expired"},
		{"expired without leeway", object{"exp": at(-time.Second)}, func(p *oidc.Provider) { p.Leeway = -1 }, "expired"},
		{"a longer leeway", object{"exp": at(-9 * time.Minute)}, func(p *oidc.Provider) { p.Leeway = 10 * time.Minute }, ""},
		{"no exp", object{"exp": nil}, nil, "exp"},
		{"exp is a text", object{"exp": "4102444800"}, nil, "exp is no number"},
		{"exp is far away", object{"exp": json.Number("1e300")}, nil, "exp"},
		{"exp is a fraction", object{"exp": json.Number("4102444800.5")}, nil, ""},
		{"exp is negative", object{"exp": -1}, nil, "expired"},
		{"not before, within the leeway", object{"nbf": at(59 * time.Second)}, nil, ""},
		{"not yet", object{"nbf": at(61 * time.Second)}, nil, "not valid yet"},
		{"nbf is a list", object{"nbf": []int{1}}, nil, "nbf is no number"},
		{"issued in the future", object{"iat": at(61 * time.Second)}, nil, "used before issued"},
		{"no nbf and iat", object{"nbf": nil, "iat": nil}, nil, ""},
		{"old", object{"iat": at(-48 * time.Hour)}, nil, ""},
		{"too old", object{"iat": at(-62 * time.Minute)}, func(p *oidc.Provider) { p.MaxAge = time.Hour }, "older than 1h"},
		{"young enough", object{"iat": at(-60 * time.Minute)}, func(p *oidc.Provider) { p.MaxAge = time.Hour }, ""},
		{"no age", object{"iat": nil}, func(p *oidc.Provider) { p.MaxAge = time.Hour }, "iat is missing"},
	} {
		p := is.anyJob()
		if c.change != nil {
			c.change(&p)
		}
		a, token := is.open(t, p), is.token(t, c.claims)
		if c.reason != "" {
			refuses(t, a, token, c.reason)
			continue
		}
		identity, err := login(a, token)
		require.NoError(t, err, c.what)
		require.Equal(t, "ci:job", identity.Name, c.what)
	}
}

// TestClaimsOfParties: aud must be this registry, and nobody else unless the configuration says so.
func TestClaimsOfParties(t *testing.T) {
	is := newIssuer(t, issuerURL)
	others := func(p *oidc.Provider) { p.OtherAudiences = []string{"vault", "account"} }
	parties := func(p *oidc.Provider) { p.Parties = []string{"runner", "builder"} }
	for _, c := range []struct {
		what   string
		claims map[string]any
		change func(p *oidc.Provider)
		reason string
	}{
		{"a list of one", object{"aud": []string{"registry.example"}}, nil, ""},
		{"another", object{"aud": "vault"}, nil, "the audience is"},
		{"none", object{"aud": nil}, nil, "the audience is"},
		{"an empty list", object{"aud": []string{}}, nil, "the audience is"},
		{"an object", object{"aud": object{"registry.example": true}}, nil, "the audience is"},
		{"part of it", object{"aud": "registry.example.evil.example"}, nil, "the audience is"},
		{"another case", object{"aud": "Registry.example"}, nil, "the audience is"},
		{"several", object{"aud": []string{"vault", "registry.example"}}, nil, `also for "vault"`},
		{"several that are known", object{"aud": []string{"vault", "registry.example"}}, others, ""},
		{"only those that are known", object{"aud": []string{"vault", "account"}}, others, "the audience is"},
		{"azp of anybody", object{"azp": "somebody"}, nil, ""},
		{"azp", object{"azp": "builder"}, parties, ""},
		{"another azp", object{"azp": "somebody"}, parties, "party"},
		{"no azp", nil, parties, "party"},
		{"azp as a list", object{"azp": []string{"builder"}}, parties, "party"},
	} {
		p := is.anyJob()
		if c.change != nil {
			c.change(&p)
		}
		a, token := is.open(t, p), is.token(t, c.claims)
		if c.reason != "" {
			refuses(t, a, token, c.reason)
			continue
		}
		_, err := login(a, token)
		require.NoError(t, err, c.what)
	}
}

// forge returns a token with a header and a payload, and a signature that is made from both.
func forge(t *testing.T, header, claims map[string]any, sign func(signed string) []byte) string {
	encode := func(v any) string {
		content, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(content)
	}
	signed := encode(header) + "." + encode(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(sign(signed))
}

// TestSignature: nothing but a signature by a key of this issuer counts.
func TestSignature(t *testing.T) {
	is, other := newIssuer(t, issuerURL), newIssuer(t, "https://other.example")
	a := is.open(t, is.anyJob())
	good := is.token(t, nil)
	_, err := login(a, good)
	require.NoError(t, err)

	claims := object{"iss": issuerURL, "aud": "registry.example", "sub": "job", "exp": start.Add(time.Hour).Unix()}
	none := func(string) []byte { return nil }
	public, err := x509.MarshalPKIXPublicKey(is.keys[0].private.Public())
	require.NoError(t, err)
	shared := func(signed string) []byte { // the public key as the secret of HS256
		h := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
		h.Write([]byte(signed))
		return h.Sum(nil)
	}
	parts := strings.Split(good, ".")
	another, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for what, token := range map[string]string{
		"alg none":                   forge(t, object{"alg": "none"}, claims, none),
		"alg None":                   forge(t, object{"alg": "None", "kid": "one"}, claims, none),
		"no alg":                     forge(t, object{"kid": "one"}, claims, none),
		"a shared secret":            forge(t, object{"alg": "HS256", "kid": "one"}, claims, shared),
		"no signature":               parts[0] + "." + parts[1] + ".",
		"a key of another issuer":    key{"one", jwt.SigningMethodES256, other.keys[0].private}.sign(t, claims),
		"the same with its kid":      key{"two", jwt.SigningMethodES256, other.keys[0].private}.sign(t, claims),
		"an algorithm not permitted": key{"one", jwt.SigningMethodRS512, another}.sign(t, claims),
		"other claims": parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(
			`{"iss":"https://ci.example","aud":"registry.example","sub":"admin","exp":4102444800}`)) + "." + parts[2],
		"a key in the header": forge(t, object{"alg": "RS256", "jwk": object{"kty": "RSA", "e": "AQAB",
			"n": base64.RawURLEncoding.EncodeToString(another.N.Bytes())}}, claims, func(signed string) []byte {
			sum := sha256.Sum256([]byte(signed))
			s, err := another.Sign(rand.Reader, sum[:], crypto.SHA256)
			require.NoError(t, err)
			return s
		}),
		"more after it": good + "A",
	} {
		identity, err := login(a, token)
		require.ErrorIs(t, err, auth.ErrCredentials, what)
		require.Zero(t, identity, what)
		require.NotContains(t, err.Error(), token, what)
	}
	require.Equal(t, 1, a.Remembered(), "refused tokens are not remembered")
}

// TestIssuers: each issuer is checked with its own keys, audience and rules.
func TestIssuers(t *testing.T) {
	one, two := newIssuer(t, "https://one.example"), newIssuer(t, "https://two.example")
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host == "one.example" {
			return one.RoundTrip(r)
		}
		return two.RoundTrip(r)
	})
	first, second := one.anyJob(), two.anyJob()
	first.Name, second.Name, second.Audience = "one", "two", "second"
	a, err := oidc.NewAt(one.clock.Now, &oidc.Options{Client: &http.Client{Transport: transport}}, first, second)
	require.NoError(t, err)

	identity, err := login(a, one.token(t, nil))
	require.NoError(t, err)
	require.Equal(t, "one:job", identity.Name)
	identity, err = login(a, two.token(t, object{"aud": "second"}))
	require.NoError(t, err)
	require.Equal(t, "two:job", identity.Name)

	refuses(t, a, two.token(t, nil), "two: the audience is")
	refuses(t, a, two.token(t, object{"iss": "https://one.example"}), "one: jwks: invalid signature")

	two.set(true) // it goes down; its keys are known
	_, err = login(a, two.token(t, object{"aud": "second", "sub": "another"}))
	require.NoError(t, err)
}

type roundTripper func(r *http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestNotOurs: what is no JWT of one of the issuers is left to other Authenticators, and costs no request.
func TestNotOurs(t *testing.T) {
	is := newIssuer(t, issuerURL)
	a := is.open(t, is.anyJob())
	encode := base64.RawURLEncoding.EncodeToString
	for _, password := range []string{
		"", "secret", "a.b.c", "..", "rkp_0123456789abcdef", strings.Repeat(".", 100), strings.Repeat("a.", 2) + "a",
		newIssuer(t, "https://ci.example.evil.example").token(t, nil),
		is.token(t, object{"iss": nil}), is.token(t, object{"iss": ""}), is.token(t, object{"iss": []string{issuerURL}}),
		is.token(t, object{"iss": nil, "ISS": issuerURL}),
		"e30." + encode([]byte("[]")) + ".", "e30." + encode([]byte(`"iss"`)) + ".", "e30." + encode([]byte(`null`)) + ".",
		is.token(t, nil) + ".x", is.token(t, nil) + ".x.y", // a JWE has five parts
	} {
		identity, err := login(a, password)
		require.NoError(t, err, password)
		require.Zero(t, identity, password)
	}
	for _, header := range []string{"Bearer", "Bearer ", "Bearer abc", "Digest a.b.c", "Negotiate " + is.token(t, nil),
		"Bearer " + strings.Repeat("a", 9000) + ".b.c"} {
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header.Set("Authorization", header)
		identity, err := a.Authenticate(r)
		require.NoError(t, err, header)
		require.Zero(t, identity, header)
	}
	identity, err := a.Authenticate(httptest.NewRequest(http.MethodGet, "/v2/", nil))
	require.NoError(t, err)
	require.Zero(t, identity)
	require.Zero(t, is.requests.Load())
	require.Equal(t, `Basic realm="registry"`, a.Challenge(nil, nil))
	_, err = a.Renew(t.Context(), auth.Identity{Name: "ci:job"})
	require.ErrorIs(t, err, auth.ErrCredentials)
}

// TestHeaders: a token is accepted as the password of any user and as a Bearer token, in one header.
func TestHeaders(t *testing.T) {
	is := newIssuer(t, issuerURL)
	a, token := is.open(t, is.anyJob()), is.token(t, nil)
	for _, header := range [][]string{
		{"Bearer " + token}, {"bearer  " + token},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("oauth2accesstoken:"+token))},
		{"Basic " + base64.StdEncoding.EncodeToString([]byte("ann@example.com:"+token))},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header["Authorization"] = header
		identity, err := a.Authenticate(r)
		require.NoError(t, err)
		require.Equal(t, auth.Identity{Name: "ci:job", Claims: map[string]any{oidc.RuleClaim: "ci: all"}}, identity)
	}
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.Header["Authorization"] = []string{"Bearer " + token, "Bearer " + token}
	identity, err := a.Authenticate(r)
	require.NoError(t, err)
	require.Zero(t, identity)
	r.SetBasicAuth("", token)
	_, err = a.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrCredentials)
}

// TestProviderDown: while the keys cannot be read, logins of this issuer get an error that says so. They work when
// it is back, and they go on while it is down again.
func TestProviderDown(t *testing.T) {
	is := newIssuer(t, issuerURL)
	is.set(true)
	a := is.open(t, is.anyJob())
	_, err := login(a, is.token(t, nil))
	var down *auth.UnavailableError
	require.ErrorAs(t, err, &down)
	require.Equal(t, 10*time.Second, down.RetryAfter)
	require.NotErrorIs(t, err, auth.ErrCredentials)
	require.ErrorContains(t, err, "oidc: ci: ")
	identity, err := login(a, "a password")
	require.NoError(t, err)
	require.Zero(t, identity)
	for range 100 { // they cause no load
		_, _ = login(a, is.token(t, nil))
	}
	require.LessOrEqual(t, is.requests.Load(), int64(2))

	is.set(false)
	is.clock.Add(10 * time.Second)
	token := is.token(t, nil)
	_, err = login(a, token)
	require.NoError(t, err)
	is.set(true)
	is.clock.Add(5 * time.Minute)
	_, err = login(a, token)
	require.NoError(t, err, "remembered")
	is.clock.Add(2 * time.Hour)
	_, err = login(a, is.token(t, nil))
	require.NoError(t, err, "by keys that are older than an hour")
	is.clock.Add(25 * time.Hour)
	_, err = login(a, is.token(t, nil))
	require.ErrorAs(t, err, &down, "by keys that are older than a day")
}

// TestRotation: tokens by a new key are accepted at once, and those by a removed key no longer, also if they are
// remembered.
func TestRotation(t *testing.T) {
	is := newIssuer(t, issuerURL)
	a, first, second := is.open(t, is.anyJob()), is.keys[0], newKey(t, "two")
	long := object{"exp": start.Add(100 * time.Hour).Unix()}
	old := is.token(t, long)
	_, err := login(a, old)
	require.NoError(t, err)
	is.clock.Add(time.Minute)
	is.set(false, second, first)
	_, err = login(a, is.token(t, long))
	require.NoError(t, err)
	_, err = login(a, old)
	require.NoError(t, err)
	is.set(false, second)
	is.clock.Add(61 * time.Minute)
	refuses(t, a, old, "invalid signature")
	_, err = login(a, is.token(t, nil))
	require.NoError(t, err)
}

// TestRemembered: an accepted token is verified once and remembered until it expires. The memory is bounded.
func TestRemembered(t *testing.T) {
	is := newIssuer(t, issuerURL)
	a := is.open(t, is.anyJob())
	token := is.token(t, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 10 {
				identity, err := login(a, token)
				require.NoError(t, err)
				require.Equal(t, "ci:job", identity.Name)
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, a.Remembered())
	require.LessOrEqual(t, is.requests.Load(), int64(2))
	is.clock.Add(10*time.Minute + 59*time.Second)
	_, err := login(a, token)
	require.NoError(t, err)
	is.clock.Add(time.Second)
	refuses(t, a, token, "expired")
	require.Zero(t, a.Remembered())

	p := is.anyJob()
	p.MaxAge = time.Minute
	a, token = is.open(t, p), is.token(t, nil)
	_, err = login(a, token)
	require.NoError(t, err)
	is.clock.Add(2 * time.Minute)
	refuses(t, a, token, "older than 1m")
}

// TestKeyFiles: keys from files need no request.
func TestKeyFiles(t *testing.T) {
	is := newIssuer(t, "kubernetes/serviceaccount")
	public, err := x509.MarshalPKIXPublicKey(is.keys[0].private.Public())
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	p := is.anyJob()
	p.KeyFiles = []string{path}
	_, err = login(is.open(t, p), is.token(t, nil))
	require.NoError(t, err)
	require.Zero(t, is.requests.Load())
}
