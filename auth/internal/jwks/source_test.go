package jwks_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/internal/jwks"
)

// serve starts an issuer that serves paths.
func serve(t *testing.T, start func(http.Handler) *httptest.Server,
	paths map[string]http.HandlerFunc) *httptest.Server {
	mux := http.NewServeMux()
	for path, handle := range paths {
		mux.HandleFunc(path, handle)
	}
	s := start(mux)
	t.Cleanup(s.Close)
	return s
}

func content(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
}

func redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

// fails requires that the keys cannot be read.
func fails(t *testing.T, set *jwks.Set, token, reason string) {
	t.Helper()
	_, err := set.VerifySignature(t.Context(), token)
	require.ErrorContains(t, err, reason)
	require.NotErrorIs(t, err, jwks.ErrSignature)
}

func TestURLsThatAreNotPermitted(t *testing.T) {
	for _, u := range []string{
		"", "keys", "ftp://issuer.example/keys", "http://issuer.example/keys", "http://192.0.2.1/keys",
		"http://localhost.evil.example/keys", "https://user:secret@issuer.example/keys", "https://issuer.example/#x",
		"https://:secret@\x00", "file:///etc/passwd", "https:///keys",
	} {
		_, err := jwks.New(u, nil)
		require.Error(t, err, u)
		require.NotContains(t, err.Error(), "secret")
		_, err = jwks.Discover(u, nil)
		require.Error(t, err, u)
	}
	_, err := jwks.Discover("https://issuer.example/?a", nil)
	require.Error(t, err)
	for _, u := range []string{"https://issuer.example/keys", "http://127.0.0.1:1/keys", "http://[::1]/keys",
		"http://localhost/keys", "https://issuer.example/keys?v=1"} {
		_, err := jwks.New(u, nil)
		require.NoError(t, err, u)
	}
}

func TestRedirects(t *testing.T) {
	a := newECDSA(t, "a")
	token := a.token(t, "alice", nil)
	plain := serve(t, httptest.NewServer, map[string]http.HandlerFunc{"/keys": content(document(t, a))})
	tls := serve(t, httptest.NewTLSServer, map[string]http.HandlerFunc{
		"/keys":  content(document(t, a)),
		"/1":     redirect("/keys"),
		"/2":     redirect("/1"),
		"/3":     redirect("/2"),
		"/4":     redirect("/3"),
		"/loop":  redirect("/loop"),
		"/plain": redirect(plain.URL + "/keys"),
		"/file":  redirect("file:///etc/passwd"),
	})
	for path, reason := range map[string]string{
		"/keys": "", "/1": "", "/2": "", "/3": "", "/4": "too many redirects", "/loop": "too many redirects",
		"/plain": "away from TLS", "/file": "away from TLS", "/none": "status 404",
	} {
		set, err := jwks.New(tls.URL+path, &jwks.Options{Client: tls.Client()})
		require.NoError(t, err)
		if reason == "" {
			accepts(t, set, token)
		} else {
			fails(t, set, token, reason)
		}
	}

	own := tls.Client()
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return fmt.Errorf("asked the host") }
	set, err := jwks.New(tls.URL+"/1", &jwks.Options{Client: own})
	require.NoError(t, err)
	fails(t, set, token, "asked the host")

	evil := serve(t, httptest.NewServer, map[string]http.HandlerFunc{
		"/keys": redirect("http://issuer.example/keys"), "/ok": redirect(plain.URL + "/keys"),
	})
	set, err = jwks.New(evil.URL+"/keys", nil)
	require.NoError(t, err)
	fails(t, set, token, "away from TLS")
	set, err = jwks.New(evil.URL+"/ok", nil)
	require.NoError(t, err)
	accepts(t, set, token)
}

func TestDocumentsThatAreRefused(t *testing.T) {
	a := newECDSA(t, "a")
	token := a.token(t, "alice", nil)
	good := document(t, a)
	many := `{"keys":[` + strings.Repeat(`{},`, 100) + `{}]}`
	bomb := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		for range 10_000 {
			if _, err := z.Write(bytes.Repeat([]byte(" "), 10_000)); err != nil {
				return
			}
		}
	}
	for reason, handle := range map[string]http.HandlerFunc{
		"more than 262144 bytes": content(append(good, bytes.Repeat([]byte(" "), 1<<20)...)),
		"more than 262144":       bomb,
		"more than 100 keys":     content([]byte(many)),
		"not valid JSON":         content([]byte(`<html>`)),
		"not valid JSON: ":       content([]byte(`{"keys":` + strings.Repeat("[", 100_000))),
		"keys is missing":        content([]byte(`{}`)),
		"field keys is missing":  content([]byte(`null`)),
		"the field keys":         content([]byte(`{"keys":null}`)),
		"must be an array":       content([]byte(`{"keys":{}}`)),
		"must be an object":      content([]byte(`[]`)),
		"duplicate key":          content([]byte(`{"keys":[],"keys":[]}`)),
		"differs from":           content([]byte(`{"keys":[],"Keys":[]}`)),
		"status 500":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"status 204":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
	} {
		s := serve(t, httptest.NewServer, map[string]http.HandlerFunc{"/keys": handle})
		set, err := jwks.New(s.URL+"/keys", nil)
		require.NoError(t, err)
		fails(t, set, token, reason)
	}
}

func TestDiscover(t *testing.T) {
	a := newECDSA(t, "a")
	token := a.token(t, "alice", nil)
	for name, test := range map[string]struct {
		document func(issuer string) map[string]any
		reason   string
	}{
		"good": {func(issuer string) map[string]any {
			return map[string]any{"issuer": issuer, "jwks_uri": issuer + "/keys", "scopes_supported": []string{"openid"}}
		}, ""},
		"another issuer": {func(issuer string) map[string]any {
			return map[string]any{"issuer": issuer + "/", "jwks_uri": issuer + "/keys"}
		}, "another issuer"},
		"no issuer": {func(issuer string) map[string]any {
			return map[string]any{"jwks_uri": issuer + "/keys"}
		}, "another issuer"},
		"no keys": {func(issuer string) map[string]any { return map[string]any{"issuer": issuer} }, "jwks_uri"},
		"plain keys": {func(issuer string) map[string]any {
			return map[string]any{"issuer": issuer, "jwks_uri": "http://issuer.example/"}
		}, "must be https"},
		"file": {func(issuer string) map[string]any {
			return map[string]any{"issuer": issuer, "jwks_uri": "file:///etc/passwd"}
		}, "jwks_uri"},
		"not text": {func(issuer string) map[string]any {
			return map[string]any{"issuer": 1, "jwks_uri": issuer}
		}, "must be a string"},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := ""
			s := serve(t, httptest.NewServer, map[string]http.HandlerFunc{
				"/keys": content(document(t, a)),
				"/.well-known/openid-configuration": func(w http.ResponseWriter, _ *http.Request) {
					_ = json.NewEncoder(w).Encode(test.document(issuer))
				},
			})
			issuer = s.URL
			set, err := jwks.Discover(issuer, nil)
			require.NoError(t, err)
			if test.reason == "" {
				accepts(t, set, token)
			} else {
				fails(t, set, token, test.reason)
			}
		})
	}
}

// TestDiscoverDoesNotLeaveTLS refuses plain keys of an issuer with TLS, also on loopback.
func TestDiscoverDoesNotLeaveTLS(t *testing.T) {
	a := newECDSA(t, "a")
	plain := serve(t, httptest.NewServer, map[string]http.HandlerFunc{"/keys": content(document(t, a))})
	var s *httptest.Server
	s = serve(t, httptest.NewTLSServer, map[string]http.HandlerFunc{
		"/realm/.well-known/openid-configuration": func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]string{"issuer": s.URL + "/realm/", "jwks_uri": plain.URL + "/keys"})
		},
	})
	set, err := jwks.Discover(s.URL+"/realm/", &jwks.Options{Client: s.Client()})
	require.NoError(t, err)
	fails(t, set, a.token(t, "alice", nil), "must be https")
}

// TestCookiesAreNotSent keeps the cookies of a client of the host away from the issuer.
func TestCookiesAreNotSent(t *testing.T) {
	a := newECDSA(t, "a")
	s := serve(t, httptest.NewServer, map[string]http.HandlerFunc{"/keys": func(w http.ResponseWriter, r *http.Request) {
		require.Empty(t, r.Cookies())
		_, _ = w.Write(document(t, a))
	}})
	set, err := jwks.New(s.URL+"/keys", &jwks.Options{Client: &http.Client{Jar: jar{}}})
	require.NoError(t, err)
	accepts(t, set, a.token(t, "alice", nil))
}

type jar struct{}

func (jar) SetCookies(*url.URL, []*http.Cookie) {}
func (jar) Cookies(*url.URL) []*http.Cookie {
	return []*http.Cookie{{Name: "session", Value: "secret"}}
}

func TestOptions(t *testing.T) {
	for _, alg := range []string{"none", "HS256", "HS512", "", "rs256", "ES256K", "EdDSA "} {
		_, err := jwks.New(keysURL, &jwks.Options{Algorithms: []string{alg}})
		require.Error(t, err, alg)
	}
	a := newECDSA(t, "a")
	issuer := &source{content: document(t, a)}
	late := issuer.keys(t, jwks.Options{Now: func() time.Time { return time.Now().Add(-time.Hour) }})
	accepts(t, late, a.token(t, "alice", nil))
	refuses(t, issuer.keys(t, jwks.Options{Algorithms: []string{"RS256"}}), a.token(t, "alice", nil))
}
