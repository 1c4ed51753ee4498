package token_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
)

var all = auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil })

// keyOf returns the key that a site signs with. Its derivation is not documented; the test repeats
// the code.
func keyOf(t *testing.T, s *site) ed25519.PrivateKey {
	secret, err := s.store.SharedSecret(t.Context(), "token")
	require.NoError(t, err)
	seed := sha256.Sum256(append([]byte("registry token key\x00"), secret...))
	return ed25519.NewKeyFromSeed(seed[:])
}

// TestHostileTokens: everything but a valid, unchanged token of this registry gets 401, without a
// reason.
func TestHostileTokens(t *testing.T) {
	s := newSite(t, ann, all, nil)
	good := s.token(basic("ann", "secret"), "repository:a:pull")
	require.Equal(t, 200, s.do("GET", "/v2/", "Bearer "+good).StatusCode)
	var header struct{ Kid, Alg string }
	part(t, good, 0, &header)
	require.Equal(t, "EdDSA", header.Alg)
	key, now := keyOf(t, s), s.clock
	_, foreign, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	make := func(method jwt.SigningMethod, key any, headers map[string]any, change func(jwt.MapClaims)) string {
		c := jwt.MapClaims{
			"iss": "registry", "aud": "registry", "sub": "admin", "iat": now.Unix(), "nbf": now.Unix(),
			"exp":    now.Add(time.Minute).Unix(),
			"access": []map[string]any{{"type": "repository", "name": "a", "actions": []string{"pull"}}},
		}
		if change != nil {
			change(c)
		}
		tok := jwt.NewWithClaims(method, c)
		tok.Header["kid"] = header.Kid
		for k, v := range headers {
			tok.Header[k] = v
		}
		signed, err := tok.SignedString(key)
		require.NoError(t, err)
		return signed
	}
	ours := func(change func(jwt.MapClaims)) string { return make(jwt.SigningMethodEdDSA, key, nil, change) }
	set := func(name string, value any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[name] = value } }
	without := func(name string) func(jwt.MapClaims) { return func(c jwt.MapClaims) { delete(c, name) } }
	x := base64.RawURLEncoding.EncodeToString(foreign.Public().(ed25519.PublicKey))
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT","kid":"` + header.Kid + `"}`))

	require.Equal(t, 200, s.do("GET", "/v2/", "Bearer "+ours(nil)).StatusCode,
		"the forger's tool works with the right key")
	for name, tok := range map[string]string{
		"another key, kid matches": make(jwt.SigningMethodEdDSA, foreign, nil, nil),
		"another key in jwk": make(jwt.SigningMethodEdDSA, foreign,
			map[string]any{"jwk": map[string]any{"kty": "OKP", "crv": "Ed25519", "x": x}}, nil),
		"another key in jwk, named by it": make(jwt.SigningMethodEdDSA, foreign,
			map[string]any{"kid": x, "jwk": map[string]any{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": x}}, nil),
		"another key in x5c": make(jwt.SigningMethodEdDSA, foreign, map[string]any{"x5c": []string{x}}, nil),
		"another key at jku": make(jwt.SigningMethodEdDSA, foreign,
			map[string]any{"jku": s.url + "/keys", "x5u": s.url + "/keys"}, nil),
		"kid unknown": make(jwt.SigningMethodEdDSA, key, map[string]any{"kid": "other"}, nil),
		"kid of another type": make(jwt.SigningMethodEdDSA, key,
			map[string]any{"kid": []string{header.Kid}}, nil),
		"kid empty":                make(jwt.SigningMethodEdDSA, key, map[string]any{"kid": ""}, nil),
		"alg none":                 none + "." + parts[1] + ".",
		"alg none, signature kept": none + "." + parts[1] + "." + parts[2],
		"HS256 with the public key as secret": make(jwt.SigningMethodHS256, []byte(key.Public().(ed25519.PublicKey)), nil,
			nil),
		"RS256": make(jwt.SigningMethodRS256, rsaKey, nil, nil),
		"ES256": make(jwt.SigningMethodES256, ecKey, nil, nil),
		"signature of another token": strings.Join([]string{parts[0], strings.Split(ours(nil), ".")[1], parts[2]},
			"."),
		"signature cut short":     good[:len(good)-2],
		"no signature":            parts[0] + "." + parts[1] + ".",
		"two parts":               parts[0] + "." + parts[1],
		"four parts":              good + ".x",
		"padding":                 good + "==",
		"empty":                   "",
		"a space within":          good[:20] + " " + good[20:],
		"too long":                strings.Repeat("a", token.MaxToken+1),
		"other issuer":            ours(set("iss", "other")),
		"no issuer":               ours(without("iss")),
		"other audience":          ours(set("aud", "other")),
		"no audience":             ours(without("aud")),
		"expired":                 ours(set("exp", now.Add(-2*token.Leeway).Unix())),
		"no exp":                  ours(without("exp")),
		"exp null":                ours(set("exp", nil)),
		"exp a word":              ours(set("exp", "never")),
		"not yet":                 ours(set("nbf", now.Add(2*token.Leeway).Unix())),
		"no nbf":                  ours(without("nbf")),
		"issued in the future":    ours(set("iat", now.Add(2*token.Leeway).Unix())),
		"access of another shape": ours(set("access", "all")),
	} {
		res := s.do("GET", "/v2/a/manifests/v1", "Bearer "+tok)
		require.Equal(t, 401, res.StatusCode, name)
		require.True(t, strings.HasSuffix(res.Header.Get("WWW-Authenticate"),
			`scope="repository:a:pull",error="invalid_token"`), name)
		require.Contains(t, res.body, "invalid credentials", name)
		require.Equal(t, 401, s.do("GET", "/v2/", "Bearer "+tok).StatusCode, name)
	}
	// Two credentials, of which one is valid.
	for _, list := range [][]string{{"Bearer " + good, "Bearer x"}, {"Bearer " + good, basic("ann", "secret")}} {
		require.Equal(t, 401, s.send("GET", "/v2/", "", http.Header{"Authorization": list}).StatusCode)
	}
	// The claims of a token cannot contain scopes.
	forged := ours(set("claims", map[string]any{auth.ScopesClaim: map[string]any{"grants": []string{"*"}}}))
	require.Equal(t, 401, s.do("GET", "/v2/b/manifests/v1", "Bearer "+forged).StatusCode)
}

// TestExpiry: a token is valid for its lifetime and the leeway, whether it is in the cache or not.
func TestExpiry(t *testing.T) {
	for _, use := range []bool{false, true} {
		s := newSite(t, ann, all, nil)
		tok := "Bearer " + s.token(basic("ann", "secret"), "repository:a:pull")
		start := s.clock.Truncate(time.Second)
		if use {
			require.Equal(t, 404, s.do("GET", "/v2/a/manifests/v1", tok).StatusCode)
		}
		s.clock = start.Add(token.DefaultLifetime + token.Leeway - time.Second)
		require.Equal(t, 404, s.do("GET", "/v2/a/manifests/v1", tok).StatusCode)
		s.clock = start.Add(token.DefaultLifetime + token.Leeway + time.Second)
		require.Equal(t, 401, s.do("GET", "/v2/a/manifests/v1", tok).StatusCode)
	}
}

// TestLeewayBetweenReplicas: if two clocks differ by half a minute, either way, no valid token is
// refused.
func TestLeewayBetweenReplicas(t *testing.T) {
	store := registrytest.NewStore(t)
	one, other := newReplica(t, store, ann, all, nil), newReplica(t, store, ann, all, nil)
	for _, apart := range []time.Duration{-30 * time.Second, 30 * time.Second} {
		one.clock = time.Now()
		other.clock = one.clock.Add(apart)
		tok := "Bearer " + one.token(basic("ann", "secret"), "repository:a:pull")
		require.Equal(t, 404, other.do("GET", "/v2/a/manifests/v1", tok).StatusCode, apart)
		one.clock = one.clock.Add(token.DefaultLifetime - time.Second)
		other.clock = one.clock.Add(apart)
		require.Equal(t, 404, other.do("GET", "/v2/a/manifests/v1", tok).StatusCode, "remembered, %v", apart)
		fresh := newReplica(t, store, ann, all, nil)
		fresh.clock = other.clock
		require.Equal(t, 404, fresh.do("GET", "/v2/a/manifests/v1", tok).StatusCode, "not remembered, %v", apart)
	}
}

// TestKeys: replicas accept each other's tokens, also while a key is changed. They refuse tokens of
// a removed key.
func TestKeys(t *testing.T) {
	store, other := registrytest.NewStore(t), registrytest.NewStore(t)
	a, b := newReplica(t, store, ann, all, nil), newReplica(t, store, ann, all, nil)
	tok := "Bearer " + a.token(basic("ann", "secret"))
	require.Equal(t, 200, b.do("GET", "/v2/", tok).StatusCode)
	require.Equal(t, 401, newReplica(t, other, ann, all, nil).do("GET", "/v2/", tok).StatusCode)
	require.Equal(t, 401, newReplica(t, store, ann, all, &token.Options{Service: "other"}).do("GET", "/v2/",
		tok).StatusCode)

	added := newReplica(t, store, ann, all, &token.Options{Keys: []string{"token", "token-2"}})
	moved := newReplica(t, store, ann, all, &token.Options{Keys: []string{"token-2", "token"}})
	dropped := newReplica(t, store, ann, all, &token.Options{Keys: []string{"token-2"}})
	tok2 := "Bearer " + moved.token(basic("ann", "secret"))
	for _, replica := range []*site{added, moved} {
		require.Equal(t, 200, replica.do("GET", "/v2/", tok).StatusCode)
		require.Equal(t, 200, replica.do("GET", "/v2/", tok2).StatusCode)
	}
	require.Equal(t, 200, dropped.do("GET", "/v2/", tok2).StatusCode)
	require.Equal(t, 401, dropped.do("GET", "/v2/", tok).StatusCode)
	require.Equal(t, 401, a.do("GET", "/v2/", tok2).StatusCode)

	require.NoError(t, store.RemoveSharedSecret(t.Context(), "token"))
	for _, replica := range []*site{a, b, added} {
		require.Equal(t, 200, replica.do("GET", "/v2/", tok).StatusCode, "for a minute")
		replica.clock = replica.clock.Add(token.Refresh)
		require.Equal(t, 401, replica.do("GET", "/v2/", tok).StatusCode, "remembered or not")
	}
	require.Equal(t, 200, added.do("GET", "/v2/", tok2).StatusCode)
	require.Equal(t, 200, b.do("GET", "/v2/", "Bearer "+a.token(basic("ann", "secret"))).StatusCode)
}

// flaky are secrets that may fail.
type flaky struct {
	token.Secrets
	err   error
	asked int
}

func (f *flaky) SharedSecret(ctx context.Context, name string) ([]byte, error) {
	if f.asked++; f.err != nil {
		return nil, f.err
	}
	return f.Secrets.SharedSecret(ctx, name)
}

// TestKeysFail: while the storage does not respond, keys stay valid for a few minutes. After that,
// every token fails.
func TestKeysFail(t *testing.T) {
	secrets := &flaky{Secrets: registrytest.NewStore(t)}
	tokens, err := token.New(secrets, ann, all, nil)
	require.NoError(t, err)
	s := &site{t: t, tokens: tokens, clock: time.Now()}
	tokens.SetNow(func() time.Time { return s.clock })
	authenticate := func(tok string) error {
		r, err := http.NewRequest("GET", "/v2/", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+tok)
		_, err = tokens.Authenticate(r)
		return err
	}
	require.ErrorIs(t, authenticate("x.y.z"), auth.ErrCredentials)
	require.Equal(t, 1, secrets.asked)
	secrets.err = context.DeadlineExceeded
	s.clock = s.clock.Add(token.Refresh)
	for range 10 {
		require.ErrorIs(t, authenticate("x.y.z"), auth.ErrCredentials)
	}
	require.Equal(t, 2, secrets.asked, "a failed read is not repeated for each request")
	s.clock = s.clock.Add(token.Stale)
	for range 10 {
		require.ErrorIs(t, authenticate("x.y.z"), context.DeadlineExceeded)
	}
	require.Equal(t, 3, secrets.asked, "requests do not repeat a read that has just failed")
	secrets.err = nil
	s.clock = s.clock.Add(token.Retry)
	require.ErrorIs(t, authenticate("x.y.z"), auth.ErrCredentials)
}

// TestSecretsNotTold: no log, decision or response contains a password or a token, except the
// response that issues the token.
func TestSecretsNotTold(t *testing.T) {
	var told bytes.Buffer
	tell := func(_ context.Context, d auth.Decision) { fmt.Fprintf(&told, "%+v %v\n", d, d.Err) }
	store := registrytest.NewStore(t)
	tokens, err := token.New(store, ann, allow("ann repository:a:pull"), &token.Options{
		Audit: tell, Error: func(_ context.Context, err error) { fmt.Fprintln(&told, err) },
	})
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{Level: slog.LevelDebug}))
	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens, Audit: tell, Logger: log})
	require.NoError(t, err)
	s := &site{t: t, store: store, tokens: tokens}
	server := httptest.NewServer(tokens.Handler(reg))
	t.Cleanup(server.Close)
	s.url = server.URL

	good := s.token(basic("ann", "secret"), "repository:a:pull")
	parts := strings.Split(good, ".")
	hidden := []string{parts[1], parts[2], "secret", "hush", base64.StdEncoding.EncodeToString([]byte("ann:hush"))}
	for _, a := range []string{
		"Bearer " + good, "Bearer " + good + "x", "Bearer " + parts[0] + "." + parts[2] + "." + parts[1], "Bearer hush",
		"Bearer hush.hush.hush",
		basic("ann", "secret"), basic("ann", "hush"), "hush",
	} {
		for _, path := range []string{"/v2/", "/v2/a/manifests/v1", "/v2/b/manifests/v1?access_token=hush"} {
			res := s.do("GET", path, a)
			fmt.Fprintln(&told, res.Header, res.body)
		}
		if res := s.do("GET", "/v2/token?scope=repository:a:pull", a); res.StatusCode != 200 {
			fmt.Fprintln(&told, res.Header, res.body)
		}
	}
	require.Contains(t, told.String(), "ann")
	for _, secret := range hidden {
		require.NotContains(t, told.String(), secret)
	}
}

// TestStalledBody: a body that never arrives delays neither the response nor the close of the
// connection. A complete body does no harm.
func TestStalledBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, ann, all, nil)
	for _, c := range []struct {
		request string
		status  int
	}{
		{"GET /v2/token", 200}, {"POST /v2/token", 400}, {"PUT /v2/token", 405}, {"GET /v2/token?scope=x", 400},
	} {
		t.Run(c.request, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(s.tokens)
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
			in := bufio.NewReader(conn)
			for _, body := range []string{"whole", "whole", "cut"} {
				_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n%s", c.request, body)
				require.NoError(t, err)
				res, err := http.ReadResponse(in, nil)
				require.NoError(t, err)
				require.Equal(t, c.status, res.StatusCode)
				_, err = io.Copy(io.Discard, res.Body)
				require.NoError(t, err)
			}
			_, err = in.ReadByte()
			require.ErrorIs(t, err, io.EOF, "the connection is closed")
		})
	}
}
