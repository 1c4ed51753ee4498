package jwks_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/internal/jwks"
)

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// raw returns a token with any header and payload, signed by ES256.
func raw(t testing.TB, s signer, header, payload string) string {
	text := encode(header) + "." + encode(payload)
	signature, err := s.method.Sign(text, s.private)
	require.NoError(t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TestAlgorithms accepts every algorithm that is permitted, by a key of its type only.
func TestAlgorithms(t *testing.T) {
	curve := func(kid string, c elliptic.Curve, m jwt.SigningMethod) signer {
		private, err := ecdsa.GenerateKey(c, rand.Reader)
		require.NoError(t, err)
		return signer{kid, m, private}
	}
	withRSA := func(m jwt.SigningMethod) signer { return signer{"rsa", m, rsaKeys()[0]} }
	p256 := curve("p256", elliptic.P256(), jwt.SigningMethodES256)
	p384 := curve("p384", elliptic.P384(), jwt.SigningMethodES384)
	p521, ed := curve("p521", elliptic.P521(), jwt.SigningMethodES512), newEd25519(t, "ed")
	signers := []signer{
		withRSA(jwt.SigningMethodRS256), withRSA(jwt.SigningMethodRS384), withRSA(jwt.SigningMethodRS512),
		withRSA(jwt.SigningMethodPS256), withRSA(jwt.SigningMethodPS384), withRSA(jwt.SigningMethodPS512),
		p256, p384, p521, ed,
	}
	issuer := &source{content: document(t, signers[0], p256, p384, p521, ed)}
	var all []string
	for _, s := range signers {
		all = append(all, s.method.Alg())
	}
	every, usual := issuer.keys(t, jwks.Options{Algorithms: all}), issuer.keys(t, jwks.Options{})
	for _, s := range signers {
		token := s.token(t, "alice", nil)
		accepts(t, every, token)
		if alg := s.method.Alg(); alg == "RS256" || alg == "ES256" || alg == "EdDSA" {
			accepts(t, usual, token)
		} else {
			refuses(t, usual, token)
		}
		for _, kid := range []string{"rsa", "p256", "p384", "p521", "ed"} {
			if kid != s.kid {
				refuses(t, every, signer{kid, s.method, s.private}.token(t, "mallory", nil))
			}
		}
	}
}

// TestHostileTokens refuses each token. All are refused before any claim is looked at.
func TestHostileTokens(t *testing.T) {
	a, other, ed := newECDSA(t, "a"), newECDSA(t, "a"), newEd25519(t, "ed")
	r := newRSA("rsa")
	set := (&source{content: document(t, a, r, ed)}).keys(t, jwks.Options{})
	good := a.token(t, "alice", nil)
	accepts(t, set, good)
	parts := strings.Split(good, ".")
	public, err := x509.MarshalPKIXPublicKey(r.private.Public())
	require.NoError(t, err)
	hmacOf := func(alg string, key []byte) string {
		text := encode(`{"alg":"`+alg+`","kid":"rsa"}`) + "." + encode(`{"sub":"mallory"}`)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	embedded := map[string]any{"jwk": other.jwk()}
	payload := `{"sub":"mallory"}`
	for name, token := range map[string]string{
		"empty":                "",
		"no dots":              "abc",
		"one dot":              "a.b",
		"four parts":           good + ".x",
		"five parts of a JWE":  good + ".x.y",
		"JSON serialisation":   fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, parts[1], parts[0], parts[2]),
		"no signature":         parts[0] + "." + parts[1] + ".",
		"no payload":           parts[0] + ".." + parts[2],
		"cut":                  good[:len(good)-4],
		"padding":              good + "==",
		"line end":             good + "\n",
		"line end inside":      parts[0] + "\n." + parts[1] + "." + parts[2],
		"space":                good + " ",
		"alg none":             encode(`{"alg":"none","kid":"a"}`) + "." + encode(payload) + ".",
		"alg None":             encode(`{"alg":"None"}`) + "." + encode(payload) + ".",
		"alg missing":          raw(t, a, `{"kid":"a"}`, payload),
		"alg null":             raw(t, a, `{"kid":"a","alg":null}`, payload),
		"alg number":           raw(t, a, `{"kid":"a","alg":256}`, payload),
		"alg list":             raw(t, a, `{"kid":"a","alg":["ES256"]}`, payload),
		"HMAC with the DER":    hmacOf("HS256", public),
		"HMAC with the PEM":    hmacOf("HS256", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"HMAC named RS256":     hmacOf("RS256", public),
		"HMAC with nothing":    hmacOf("HS256", nil),
		"key of another":       other.token(t, "mallory", nil),
		"key in jwk":           other.token(t, "mallory", embedded),
		"key in x5c":           other.token(t, "mallory", map[string]any{"x5c": []string{"MIIB"}}),
		"key in jku":           other.token(t, "mallory", map[string]any{"jku": "https://evil.example/keys"}),
		"key in x5u":           other.token(t, "mallory", map[string]any{"x5u": "https://evil.example/cert"}),
		"kid of another key":   signer{"ed", a.method, a.private}.token(t, "mallory", nil),
		"kid like a path":      signer{"../../dev/null", other.method, other.private}.token(t, "mallory", nil),
		"kid number":           raw(t, a, `{"alg":"ES256","kid":1}`, payload),
		"crit":                 a.token(t, "alice", map[string]any{"crit": []string{"exp"}, "exp": 1}),
		"crit b64":             raw(t, a, `{"alg":"ES256","kid":"a","b64":true,"crit":["b64"]}`, payload),
		"crit empty":           a.token(t, "alice", map[string]any{"crit": []string{}}),
		"duplicate alg":        raw(t, a, `{"alg":"none","kid":"a","alg":"ES256"}`, payload),
		"Alg":                  raw(t, a, `{"alg":"ES256","kid":"a","Alg":"none"}`, payload),
		"header twice":         raw(t, a, `{"alg":"ES256","kid":"a"}{}`, payload),
		"header list":          raw(t, a, `[{"alg":"ES256"}]`, payload),
		"header null":          raw(t, a, `null`, payload),
		"header not UTF-8":     raw(t, a, "{\"alg\":\"ES256\",\"kid\":\"\xff\"}", payload),
		"duplicate claim":      raw(t, a, `{"alg":"ES256","kid":"a"}`, `{"sub":"alice","sub":"root"}`),
		"claim in other case":  raw(t, a, `{"alg":"ES256","kid":"a"}`, `{"sub":"alice","Sub":"root"}`),
		"claim in Kelvin case": raw(t, a, `{"alg":"ES256","kid":"a"}`, `{"iss":"a","i\u017fs":"b"}`),
		"duplicate deep":       raw(t, a, `{"alg":"ES256","kid":"a"}`, `{"sub":"a","access":[{"name":"a","name":"b"}]}`),
		"payload list":         raw(t, a, `{"alg":"ES256","kid":"a"}`, `[1]`),
		"payload null":         raw(t, a, `{"alg":"ES256","kid":"a"}`, `null`),
		"payload text":         raw(t, a, `{"alg":"ES256","kid":"a"}`, `"x"`),
		"payload empty":        raw(t, a, `{"alg":"ES256","kid":"a"}`, ``),
		"payload deep":         raw(t, a, `{"alg":"ES256","kid":"a"}`, strings.Repeat("[", 11_000)),
		"payload not UTF-8":    raw(t, a, `{"alg":"ES256","kid":"a"}`, "{\"sub\":\"\xff\"}"),
		"huge":                 a.token(t, strings.Repeat("a", jwks.MaxToken), nil),
		"huge signature":       good + strings.Repeat("A", jwks.MaxToken),
	} {
		t.Run(name, func(t *testing.T) { refuses(t, set, token) })
	}
	// A header that has no effect does not make a good token invalid.
	for name, header := range map[string]map[string]any{
		"jwk": embedded, "x5c": {"x5c": []string{"not a certificate"}}, "jku": {"jku": "https://evil.example"},
		"typ": {"typ": "at+jwt"}, "b64 without crit": {"b64": true}, "cty": {"cty": "JWT"}, "jwk text": {"jwk": "x"},
	} {
		t.Run("ignored "+name, func(t *testing.T) { accepts(t, set, a.token(t, "alice", header)) })
	}
}

// TestErrorsHaveNoPartOfTheToken: the audit gets the reason, and nothing that somebody could use or forge.
func TestErrorsHaveNoPartOfTheToken(t *testing.T) {
	a := newECDSA(t, "a")
	set := (&source{content: document(t, a)}).keys(t, jwks.Options{})
	other := newECDSA(t, "inventedkid")
	for _, token := range []string{
		other.token(t, "secretname", nil), raw(t, a, `{"alg":"injected\nalg","kid":"a"}`, `{}`),
		raw(t, a, `{"alg":"ES256","kid":"a"}`, `{"sub":"secretname","sub":"secretname"}`),
	} {
		_, err := set.VerifySignature(t.Context(), token)
		require.ErrorIs(t, err, jwks.ErrSignature)
		require.NotRegexp(t, `inventedkid|secretname|injected|\n`, err.Error())
		require.NotContains(t, err.Error(), token)
	}
}

// TestKeysInSets says which keys of a JWKS are used.
func TestKeysInSets(t *testing.T) {
	a := newECDSA(t, "")
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it must be refused
	require.NoError(t, err)
	marshal := func(k jose.JSONWebKey) string {
		b, err := json.Marshal(k)
		require.NoError(t, err)
		return string(b)
	}
	with := func(s signer, field string) string {
		return strings.TrimSuffix(marshal(jose.JSONWebKey{Key: s.private.Public()}), "}") + "," + field + "}"
	}
	plain := marshal(jose.JSONWebKey{Key: a.private.Public()})
	off := strings.Replace(plain, `"x":"`, `"x":"AAAA`, 1)
	r := newRSA("")
	even := strings.Repeat("_", 341) + "4" // 2048 bits
	for name, test := range map[string]struct {
		keys string
		by   signer
		kid  string // of the token
		ok   bool
	}{
		"no kid at all":          {plain, a, "", true},
		"kid in the token":       {plain, a, "any", true},
		"kid in the set":         {with(a, `"kid":"a"`), a, "", true},
		"both":                   {with(a, `"kid":"a"`), a, "a", true},
		"other kid":              {with(a, `"kid":"a"`), a, "b", false},
		"use sig":                {with(a, `"use":"sig"`), a, "", true},
		"use enc":                {with(a, `"use":"enc"`), a, "", false},
		"key_ops verify":         {with(a, `"key_ops":["verify"]`), a, "", true},
		"key_ops encrypt":        {with(a, `"key_ops":["encrypt"]`), a, "", false},
		"key_ops text":           {with(a, `"key_ops":"verify"`), a, "", false},
		"alg":                    {with(a, `"alg":"ES256"`), a, "", true},
		"alg of another":         {with(r, `"alg":"PS256"`), r, "", false},
		"duplicate kids":         {with(newECDSA(t, ""), `"kid":"a"`) + "," + with(a, `"kid":"a"`), a, "a", true},
		"behind strange ones":    {`{"kty":"AKP","kid":"q"},{"kty":"oct","k":"AAAA"},{},null,1,"x",[],` + plain, a, "", true},
		"private":                {marshal(jose.JSONWebKey{Key: a.private}), a, "", false},
		"weak":                   {marshal(jose.JSONWebKey{Key: weak.Public()}), signer{"", r.method, weak}, "", false},
		"even modulus":           {`{"kty":"RSA","e":"AQAB","n":"` + even + `"}`, r, "", false},
		"even exponent":          {`{"kty":"RSA","e":"Ag","n":"` + even + `8"}`, r, "", false},
		"not on the curve":       {off, a, "", false},
		"symmetric as a secret":  {`{"kty":"oct","k":"c2VjcmV0"}`, a, "", false},
		"field twice":            {strings.TrimSuffix(plain, "}") + `,"kty":"EC"}`, a, "", false},
		"unknown members":        {with(a, `"x5t":"","foo":{"a":[1]}`), a, "", true},
		"certificate of another": {with(a, `"x5c":["AAAA"]`), a, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			set := (&source{content: []byte(`{"keys":[` + test.keys + `]}`)}).keys(t, jwks.Options{})
			token := signer{test.kid, test.by.method, test.by.private}.token(t, "alice", nil)
			if test.ok {
				accepts(t, set, token)
			} else {
				refuses(t, set, token)
			}
		})
	}
	refuses(t, (&source{content: []byte(`{"keys":[]}`)}).keys(t, jwks.Options{}), a.token(t, "alice", nil))
}

// TestHas names the key that has signed a token, until the issuer removes it.
func TestHas(t *testing.T) {
	a, b := newECDSA(t, "a"), newECDSA(t, "b")
	issuer := &source{content: document(t, a, b)}
	now := time.Now()
	set := issuer.keys(t, jwks.Options{Now: func() time.Time { return now }})
	_, byA, err := set.Verify(t.Context(), a.token(t, "alice", nil))
	require.NoError(t, err)
	_, byB, err := set.Verify(t.Context(), b.token(t, "alice", nil))
	require.NoError(t, err)
	require.NotEqual(t, byA, byB)
	want, err := (&jose.JSONWebKey{Key: a.private.Public()}).Thumbprint(crypto.SHA256)
	require.NoError(t, err)
	require.Equal(t, want, byA[:])
	issuer.set(document(t, b))
	now = now.Add(jwks.DefaultMaxAge)
	has, err := set.Has(t.Context(), byA)
	require.NoError(t, err)
	require.False(t, has)
	has, err = set.Has(t.Context(), byB)
	require.NoError(t, err)
	require.True(t, has)
}
