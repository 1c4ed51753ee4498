package oidc_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/basic"
	"github.com/registrykit/registry/auth/oidc"
)

// FuzzParse: every file is refused with a line, or describes a provider that New accepts.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	paths, err := filepath.Glob("testdata/*.yaml")
	require.NoError(f, err)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		p, err := oidc.Parse("f.yaml", content)
		if err != nil {
			require.True(t, strings.HasPrefix(err.Error(), "oidc: f.yaml:"), err.Error())
			return
		}
		p.KeyFiles, p.JWKS, p.Issuer = nil, "", "https://ci.example"
		_, err = oidc.New([]oidc.Provider{p}, nil)
		require.NoError(t, err)
	})
}

// FuzzClaims: whatever an issuer signs, the token is refused with a reason or gives a valid identity.
func FuzzClaims(f *testing.F) {
	is := newIssuer(f, issuerURL)
	p := is.anyJob()
	p.Rules = []oidc.Rule{
		{Claims: map[string][]string{"a": {"x*", "!xx"}}, Identity: "{sub}:{b}", Groups: []string{"g:{c}", "h:{c}-{d/e}"},
			Keep: []string{"a", "c", "d/e"}},
		{Claims: map[string][]string{"sub": {"**"}}, Groups: []string{"g:{c}"}, Keep: []string{"c"}},
	}
	a := is.open(f, p)
	for _, c := range []string{`{"sub":"a"}`, `{"sub":"a","a":"x","b":"c:d"}`, `{"sub":"a:b","a":["x"],"b":"c"}`,
		`{"sub":"a","c":["u","v"],"d":{"e":1}}`, `{"sub":"a","sub":"b"}`, `{"registrykit.io":{"account":"a"},"sub":"x"}`,
		`{"sub":"a","exp":1e400}`, `{"sub":{"a":{"a":[[1]]}}}`, `{"sub":"{a}\n"}`, `[]`, `{"sub":"\ud800"}`} {
		f.Add([]byte(c))
	}
	f.Fuzz(func(t *testing.T, more []byte) {
		registered := `"iss":"https://ci.example","aud":"registry.example","exp":4102444800`
		payload := `{` + registered + `}`
		if inner, ok := strings.CutPrefix(string(more), "{"); ok {
			payload = `{` + registered + `,` + inner
		}
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"one"}`)) + "." +
			base64.RawURLEncoding.EncodeToString([]byte(payload))
		signature, err := jwt.SigningMethodES256.Sign(signed, is.keys[0].private)
		require.NoError(t, err)
		identity, err := login(a, signed+"."+base64.RawURLEncoding.EncodeToString(signature))
		if err != nil {
			require.ErrorIs(t, err, auth.ErrCredentials)
			require.Zero(t, identity)
			return
		}
		if identity.Name == "" { // not ours: it does not state the issuer
			require.Zero(t, identity)
			return
		}
		require.True(t, json.Valid([]byte(payload)))
		require.True(t, basic.ValidName(identity.Name), identity.Name)
		require.True(t, strings.HasPrefix(identity.Name, "ci:"))
		for _, g := range identity.Groups {
			require.True(t, strings.HasPrefix(g, "g:") || strings.HasPrefix(g, "h:"), g)
		}
		for name := range identity.Claims {
			require.Contains(t, []string{"a", "c", "d/e", oidc.RuleClaim}, name)
		}
	})
}

// FuzzToken: whatever a caller sends without a key of the issuer is refused or not ours. It never panics.
func FuzzToken(f *testing.F) {
	is := newIssuer(f, issuerURL)
	a := is.open(f, is.anyJob())
	good := is.token(f, nil)
	parts := strings.Split(good, ".")
	for _, token := range []string{good, parts[0] + "." + parts[1] + ".", "e30." + parts[1] + "." + parts[2], "..",
		"a.b.c",
		parts[0] + "." + parts[1] + "." + parts[2] + "=", " " + good + " ", parts[0] + ".e30." + parts[2]} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		identity, err := login(a, token)
		switch {
		case token == good:
			require.NoError(t, err)
		case err != nil:
			require.True(t, errors.Is(err, auth.ErrCredentials), err)
			require.Zero(t, identity)
		default:
			require.Zero(t, identity, token)
		}
	})
}

// FuzzTemplate: different values of claims never make the same text.
func FuzzTemplate(f *testing.F) {
	f.Add("{a}:{b}", "x:", "y", "x", ":y")
	f.Add("{a}--{b}", "x-", "y", "x", "-y")
	f.Add("p{a}aba{b}", "ab", "c", "ababa", "c")
	f.Fuzz(func(t *testing.T, text, a1, b1, a2, b2 string) {
		one, err1 := oidc.Expand(text, map[string]any{"a": a1, "b": b1})
		two, err2 := oidc.Expand(text, map[string]any{"a": a2, "b": b2})
		if err1 != nil || err2 != nil || len(one) == 0 || len(two) == 0 || one[0] != two[0] {
			return
		}
		if strings.Contains(text, "{a}") {
			require.Equal(t, a1, a2, text)
		}
		if strings.Contains(text, "{b}") {
			require.Equal(t, b1, b2, text)
		}
	})
}

// BenchmarkLogin measures a login with a token that was accepted before, as the password of Basic.
func BenchmarkLogin(b *testing.B) {
	is := newIssuer(b, github.issuer)
	p, err := oidc.Load("testdata/github.yaml")
	require.NoError(b, err)
	a, err := oidc.NewAt(time.Now, is.options(), p)
	require.NoError(b, err)
	now := time.Now()
	is.clock.now.Store(&now)
	token := is.token(b, github.claims)
	r := request(token)
	b.Run("warm", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Authenticate(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a.Forget()
			if _, err := a.Authenticate(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	r = request("a password of a user")
	b.Run("password", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Authenticate(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
