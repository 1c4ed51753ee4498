package bearer_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/bearer"
)

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// payload returns a token with any payload, signed by the issuer.
func payload(t testing.TB, i *issuer, payload string) string {
	text := encode(`{"alg":"ES256"}`) + "." + encode(payload)
	signature, err := i.method.Sign(text, i.private)
	require.NoError(t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// forged are tokens that no issuer of the registry has signed, or not like this.
func forged(t *testing.T, i *issuer) map[string]string {
	other := newIssuer(t)
	good := i.token(t, nil, "repository:a:pull")
	parts := strings.Split(good, ".")
	der, err := x509.MarshalPKIXPublicKey(i.private.Public())
	require.NoError(t, err)
	withHMAC := func(alg string, key []byte) string {
		text := encode(`{"alg":"`+alg+`","typ":"JWT","kid":"`+i.kid+`"}`) + "." + parts[1]
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	withHeader := func(i *issuer, header map[string]any) string {
		c := jwt.MapClaims{"iss": name, "aud": service, "sub": "root", "exp": time.Now().Add(time.Minute).Unix()}
		token := jwt.NewWithClaims(i.method, c)
		for k, v := range header {
			token.Header[k] = v
		}
		signed, err := token.SignedString(i.private)
		require.NoError(t, err)
		return signed
	}
	withKey := func(field string, value any) string {
		return withHeader(other, map[string]any{"kid": i.kid, field: value})
	}
	return map[string]string{
		"empty":                  "",
		"not a token":            "abc",
		"alg none":               encode(`{"alg":"none","kid":"`+i.kid+`"}`) + "." + parts[1] + ".",
		"alg none, signed":       encode(`{"alg":"none","kid":"`+i.kid+`"}`) + "." + parts[1] + "." + parts[2],
		"alg NONE":               encode(`{"alg":"NONE"}`) + "." + parts[1] + ".",
		"HMAC with the PEM":      withHMAC("HS256", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"HMAC with the DER":      withHMAC("HS256", der),
		"HMAC as ES256":          withHMAC("ES256", der),
		"kid of another issuer":  withHeader(&issuer{"", other.method, other.private}, map[string]any{"kid": i.kid}),
		"jwk in the header":      withKey("jwk", jose.JSONWebKey{Key: other.private.Public()}),
		"x5c in the header":      withKey("x5c", []string{base64.StdEncoding.EncodeToString(der)}),
		"jku in the header":      withKey("jku", "https://evil.example/keys"),
		"crit":                   withHeader(i, map[string]any{"crit": []string{"x"}, "x": 1}),
		"changed payload":        parts[0] + "." + encode(`{"iss":"auth.example","sub":"root"}`) + "." + parts[2],
		"changed header":         encode(`{"alg":"ES256","kid":"other"}`) + "." + parts[1] + "." + parts[2],
		"changed signature":      good[:len(good)-2] + "AA",
		"signature of the other": parts[0] + "." + parts[1] + "." + strings.Split(other.token(t, nil), ".")[2],
		"huge":                   i.token(t, claims{"x": strings.Repeat("a", bearer.MaxToken)}),
		"four parts":             good + ".a",
		"line end":               parts[0] + "." + parts[1] + ".\t" + parts[2],
	}
}

// misissued are tokens that the issuer has signed and that are not for this registry, or not well-formed.
func misissued(t *testing.T, i *issuer) map[string]string {
	now := time.Now().Unix()
	token := func(c claims) string { return i.token(t, c, "repository:a:pull") }
	in := func(seconds int64) any { return now + seconds }
	frame := `"iss":"` + name + `","aud":"` + service + `","exp":99999999999`
	whole := frame + `,"access":[]`
	entry := func(field string, value any) claims {
		entry := map[string]any{"type": "repository", "name": "a", "actions": []string{"pull"}}
		entry[field] = value
		return claims{"access": []any{entry}}
	}
	return map[string]string{
		"no issuer":             token(claims{"iss": nil}),
		"another issuer":        token(claims{"iss": "evil.example"}),
		"issuer with slash":     token(claims{"iss": name + "/"}),
		"issuer in a list":      token(claims{"iss": []string{name}}),
		"no audience":           token(claims{"aud": nil}),
		"another audience":      token(claims{"aud": "other registry"}),
		"audience in case":      token(claims{"aud": strings.ToUpper(service)}),
		"empty audience":        token(claims{"aud": ""}),
		"empty audiences":       token(claims{"aud": []string{}}),
		"other audiences":       token(claims{"aud": []string{"a", "b"}}),
		"audience of numbers":   token(claims{"aud": []any{service, 1}}),
		"audience deep":         token(claims{"aud": []any{[]string{service}}}),
		"expired":               token(claims{"exp": in(-61)}),
		"no exp":                token(claims{"exp": nil}),
		"exp text":              token(claims{"exp": "99999999999"}),
		"exp negative":          token(claims{"exp": -1}),
		"exp huge":              token(claims{"exp": 1e300}),
		"exp beyond dates":      token(claims{"exp": 253402300800}),
		"nbf in the future":     token(claims{"nbf": in(120)}),
		"nbf text":              token(claims{"nbf": "1"}),
		"iat in the future":     token(claims{"iat": in(120)}),
		"iat object":            token(claims{"iat": map[string]any{}}),
		"duplicate exp":         payload(t, i, `{`+whole+`,"exp":1}`),
		"duplicate access":      payload(t, i, `{`+whole+`,"access":[{"type":"repository","name":"a","actions":["pull"]}]}`),
		"Access":                payload(t, i, `{`+whole+`,"Access":[]}`),
		"duplicate in access":   payload(t, i, `{`+frame+`,"access":[{"name":"a","name":"b"}]}`),
		"sub a number":          token(claims{"sub": 7}),
		"sub with a line end":   token(claims{"sub": "ann\nroot"}),
		"sub with a direction":  token(claims{"sub": "ann\u202etoor"}),
		"sub too long":          token(claims{"sub": strings.Repeat("a", 256)}),
		"groups text":           token(claims{"groups": "admins"}),
		"groups of numbers":     token(claims{"groups": []int{1}}),
		"group with a line end": token(claims{"groups": []string{"a\nb"}}),
		"access text":           token(claims{"access": "repository:a:pull"}),
		"access of texts":       token(claims{"access": []string{"repository:a:pull"}}),
		"access without type":   token(entry("type", nil)),
		"actions text":          token(entry("actions", "pull")),
		"actions of numbers":    token(entry("actions", []int{1})),
		"name a list":           token(entry("name", []string{"a"})),
	}
}

// TestHostileTokens: each gets a 401, which has no reason, and no part of the token is in the error for the audit.
func TestHostileTokens(t *testing.T) {
	i := newIssuer(t)
	v := newVerifier(t, i.options(t))
	s := newSite(t, v)
	good := i.token(t, nil, "repository:a:pull")
	status, _ := s.do("GET", "/v2/", good, "")
	require.Equal(t, http.StatusOK, status)
	all := misissued(t, i)
	for name, token := range forged(t, i) {
		all[name] = token
	}
	for name, token := range all {
		t.Run(name, func(t *testing.T) {
			identity, err := login(t, v, token)
			require.ErrorIs(t, err, auth.ErrCredentials)
			require.Equal(t, auth.Identity{}, identity)
			require.NotRegexp(t, `evil|root|toor|\n`, err.Error())
			if token == "" || strings.ContainsAny(token, "\n\t") {
				return // the client of the test cannot send it
			}
			status, challenge := s.do("GET", "/v2/a/manifests/v1", token, "")
			require.Equal(t, http.StatusUnauthorized, status)
			require.Contains(t, challenge, `error="invalid_token"`)
		})
	}
	r := request("Bearer " + good)
	r.Header.Add("Authorization", "Bearer "+good)
	_, err := v.Authenticate(r)
	require.ErrorIs(t, err, auth.ErrCredentials, "two headers")
}

// TestUsualTokens are accepted, although they differ from those of other issuers.
func TestUsualTokens(t *testing.T) {
	i := newIssuer(t)
	v := newVerifier(t, i.options(t))
	now := time.Now()
	entry := func(field string, value any) []any {
		return []any{map[string]any{"type": "repository", "name": "a", "actions": nil, field: value}}
	}
	for name, c := range map[string]claims{
		"plain":                {},
		"list of audiences":    {"aud": []string{"other", service}},
		"no nbf and no iat":    {"nbf": nil, "iat": nil},
		"fractions":            {"exp": float64(now.UnixMilli())/1000 + 10, "nbf": float64(now.UnixMilli()) / 1000},
		"expired in leeway":    {"exp": now.Add(-50 * time.Second).Unix()},
		"nbf in leeway":        {"nbf": now.Add(50 * time.Second).Unix()},
		"no access":            {"access": nil},
		"access with class":    {"access": entry("class", "image")},
		"access without list":  {"access": entry("meta", map[string]any{"x": 1})},
		"GitLab's":             {"auth_type": "personal_access_token", "user": "eyJ", "sub": "ann@acme.example"},
		"non-ASCII name":       {"sub": "Änne Größe"},
		"name with a provider": {"sub": "github:acme/app"},
	} {
		_, err := login(t, v, i.token(t, c, "repository:a:pull"))
		require.NoError(t, err, name)
	}
}

// TestLeeway accepts tokens before and after their times by exactly the leeway, also remembered ones.
func TestLeeway(t *testing.T) {
	for leeway, want := range map[time.Duration]time.Duration{0: time.Minute, -1: 0, time.Hour: time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			i := newIssuer(t)
			opts := i.options(t)
			opts.Leeway = leeway
			v := newVerifier(t, opts)
			token := i.token(t, claims{"exp": time.Now().Add(10 * time.Second).Unix()})
			_, err := login(t, v, token)
			require.NoError(t, err)
			time.Sleep(10*time.Second + want - time.Nanosecond)
			_, err = login(t, v, token)
			require.NoError(t, err)
			_, err = login(t, newVerifier(t, opts), token)
			require.NoError(t, err)
			time.Sleep(time.Nanosecond)
			_, err = login(t, v, token)
			require.ErrorIs(t, err, auth.ErrCredentials)
			_, err = login(t, newVerifier(t, opts), token)
			require.ErrorIs(t, err, auth.ErrCredentials)

			early := time.Now().Add(want + time.Second).Unix()
			for _, claim := range []string{"nbf", "iat"} {
				token = i.token(t, claims{claim: early, "exp": early + 10})
				_, err = login(t, v, token)
				require.ErrorIs(t, err, auth.ErrCredentials)
			}
			time.Sleep(time.Second)
			_, err = login(t, v, token)
			require.NoError(t, err, "a token that was refused is looked at again")
		})
	}
}
