package login_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
)

func TestNewRefuses(t *testing.T) {
	for _, u := range []string{"", "reg.test", "ftp://reg.test", "https://", "https://u:secret@reg.test",
		"https://reg.test?x", "https://reg.test#x", "https:reg.test", "https://u:secret@reg.test:x", "http://reg.test/%zz"} {
		_, err := login.New(u, nil)
		require.Error(t, err, u)
		requireNoSecrets(t, err.Error())
	}
	for _, realm := range []string{"", "https://auth.test", "auth.test/token", "u@auth.test", "auth.test:", "auth.test:x",
		"*", "*.", "*test", "a.*.test", "auth test", "*.*.test", ":443", "auth.test?x", "auth.test#"} {
		_, err := login.New("https://reg.test", &login.Options{Realms: []string{realm}})
		require.Error(t, err, "%q", realm)
	}
	for _, realm := range []string{"auth.test", "AUTH.test:5000", "*.auth.test", "*.auth.test:1", "[::1]:5000",
		"127.0.0.1"} {
		_, err := login.New("HTTPS://Reg.Test:443/path/", &login.Options{Realms: []string{realm}})
		require.NoError(t, err, realm)
	}
}

// TestRealms checks which token services receive a request, with and without credentials.
func TestRealms(t *testing.T) {
	listed := []string{"auth.test", "*.wild.test", "port.test:5000", "127.0.0.1", "*.port.test:5000"}
	for realm, ok := range map[string]bool{
		"https://reg.test/token":             true,
		"https://REG.test:443/token?a=b":     true,
		"https://auth.test/token":            true,
		"https://Auth.Test:443":              true,
		"https://a.wild.test/token":          true,
		"https://b.a.wild.test/token":        true,
		"https://port.test:5000/":            true,
		"https://x.port.test:5000/":          true,
		"http://127.0.0.1/token":             true, // loopback
		"http://auth.test/token":             false,
		"http://reg.test/token":              false,
		"https://reg.test:444/token":         false,
		"https://auth.test:8443/token":       false,
		"https://port.test/":                 false,
		"https://wild.test/token":            false,
		"https://awild.test/token":           false,
		"https://a.wild.test.evil.test/":     false,
		"https://evil.test/auth.test":        false,
		"https://evil.test#auth.test":        false,
		"https://auth.test#x":                false,
		"https://auth.test@evil.test/":       false,
		"https://u:p@auth.test/":             false,
		"https://auth.test.:443/":            false,
		"https://auth.test%2eevil.test/":     false,
		"https://evil.test\\@auth.test/":     false,
		"ftp://auth.test/":                   false,
		"file:///etc/passwd":                 false,
		"//auth.test/token":                  false,
		"/token":                             false,
		"https:auth.test":                    false,
		"https://":                           false,
		"https://:443/":                      false,
		"http://169.254.169.254/latest/meta": false,
		"http://localhost/token":             false, // loopback, and not listed
		"http://127.0.0.2/token":             false,
		"http://[::1]/token":                 false,
	} {
		for _, source := range []login.Source{ann, nil} {
			asked := ""
			services := roundTripper(func(r *http.Request) (*http.Response, error) {
				asked = r.URL.String()
				return nil, errors.New("stop")
			})
			f := newFake()
			f.challenge = func(*http.Request) string { return `Bearer realm="` + strings.ReplaceAll(realm, `\`, `\\`) + `"` }
			l, err := login.New("https://reg.test", &login.Options{Source: source, Realms: listed, Transport: services})
			require.NoError(t, err)
			c, err := client.New("https://reg.test", &client.Options{
				HTTPClient: &http.Client{Transport: f.transport()}, Authorize: l.Authorize, Challenge: l.Challenge,
			})
			require.NoError(t, err)
			_, err = c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
			requireNoSecrets(t, err.Error())
			if ok {
				require.ErrorIs(t, err, registry.ErrUnavailable, realm)
				require.NotEmpty(t, asked)
				continue
			}
			require.ErrorIs(t, err, login.ErrRealm, realm)
			require.ErrorIs(t, err, registry.ErrUnauthorized, realm)
			require.Empty(t, asked, realm)
			require.Less(t, len(err.Error()), 500)
		}
	}
}

// TestSchemesOfChallenges checks that a Login answers the best of several challenges, and leaves a
// response alone that has none.
func TestSchemesOfChallenges(t *testing.T) {
	const bearer = `Bearer realm="https://auth.test/token"`
	for header, want := range map[string]int{ // the number of requests
		"": 1, "Negotiate": 1, `Digest realm="x", nonce="y"`: 1, `Bearer service="x"`: 1, "Bearer": 1,
		"Basic": 2, `Negotiate, Basic realm="x"`: 2,
		bearer: 3, `Basic realm="x", ` + bearer: 3, bearer + `, Basic realm="x"`: 3,
		`Bearer realm="https://evil.test/", ` + bearer: 3, `Bearer realm="https://evil.test/", Basic`: 2,
	} {
		f := newFake()
		f.challenge = func(*http.Request) string { return header }
		f.valid = func(a string) bool { return a != "" }
		_ = f.connect(t, ann)("a")
		require.Len(t, f.take(), want, header)
	}
}

// TestPlainHTTPGetsNoCredentials checks that credentials are not sent over http, except to loopback.
func TestPlainHTTPGetsNoCredentials(t *testing.T) {
	for _, challenge := range []string{"Basic", `Bearer realm="https://auth.test/token"`} {
		f := newFake()
		f.challenge = func(*http.Request) string { return challenge }
		f.valid = func(a string) bool { require.Empty(t, a); return false }
		c := connectBy(t, "http://reg.test", f.transport(), login.Options{
			Source: ann, Realms: []string{"auth.test"}, Transport: f.transport(),
		})
		for range 2 {
			_, err := c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
			require.ErrorIs(t, err, registry.ErrUnauthorized)
			require.ErrorContains(t, err, "https")
			require.Equal(t, []string{"refused"}, f.take())
		}
	}
}

// TestOtherHostsGetNothing checks that a Login itself changes only requests to its registry.
func TestOtherHostsGetNothing(t *testing.T) {
	s := newSite(t, false)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	l, err := login.New(s.url, &login.Options{Source: ann, Transport: tr})
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/v2/a/tags/list", nil)
	require.NoError(t, err)
	retry, err := l.Challenge(&http.Response{
		StatusCode: 401, Request: req, Header: http.Header{"Www-Authenticate": {"Basic"}},
	})
	require.True(t, retry)
	require.NoError(t, err)
	require.NoError(t, l.Authorize(req))
	require.NotEmpty(t, req.Header.Get("Authorization"))

	for _, u := range []string{strings.Replace(s.url, "http:", "https:", 1), "http://evil.test/v2/a/tags/list",
		strings.Replace(s.url, "127.0.0.1", "localhost", 1), strings.Replace(s.url, "//", "//u@", 1)} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", u, nil)
		require.NoError(t, err)
		require.NoError(t, l.Authorize(req))
		require.Empty(t, req.Header)
		retry, err := l.Challenge(&http.Response{
			StatusCode: 401, Request: req, Header: http.Header{"Www-Authenticate": {`Bearer realm="https://evil.test/"`}},
		})
		require.False(t, retry)
		require.NoError(t, err)
	}
	retry, err = l.Challenge(&http.Response{StatusCode: 401})
	require.False(t, retry)
	require.NoError(t, err)
}

// TestEndlessRefusals checks that a registry that refuses every token gets two requests, and then
// one for each call until the pause is over.
func TestEndlessRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.valid = func(string) bool { return false }
		get := f.connect(t, ann)
		require.ErrorIs(t, get("a"), registry.ErrUnauthorized)
		require.Equal(t, []string{"refused", getA, "refused"}, f.take())
		for range 10 {
			require.ErrorIs(t, get("a"), registry.ErrUnauthorized)
			require.Equal(t, []string{"refused"}, f.take())
		}
		tokens := 0
		for range 10 * 60 {
			time.Sleep(time.Second)
			require.ErrorIs(t, get("a"), registry.ErrUnauthorized)
			for _, s := range f.take() {
				if s == getA {
					tokens++
				}
			}
		}
		require.Less(t, tokens, 25, "in ten minutes")
		require.Greater(t, tokens, 9)
	})
}

// TestSlowTokenService checks that a service that sends nothing, or without end, is given up.
func TestSlowTokenService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		var sent atomic.Int64
		c := connectBy(t, "https://reg.test", f.transport(), login.Options{
			Source: ann, Realms: []string{"auth.test"},
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				body := io.NopCloser(readerFunc(func(p []byte) (int, error) {
					select {
					case <-time.After(time.Second):
						sent.Add(1)
						return copy(p, " "), nil
					case <-r.Context().Done():
						return 0, r.Context().Err()
					}
				}))
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body, Request: r}, nil
			}),
		})
		_, err := c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
		require.ErrorIs(t, err, registry.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.LessOrEqual(t, sent.Load(), int64(30))
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestTooManyRequestsWaits checks that a token service that asks to wait is left alone.
func TestTooManyRequestsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.service = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "10")
			w.WriteHeader(http.StatusTooManyRequests)
		}
		get := f.connect(t, ann)
		require.ErrorIs(t, get("a"), registry.ErrTooManyRequests)
		f.take()
		for range 9 {
			time.Sleep(time.Second)
			require.ErrorIs(t, get("b"), registry.ErrTooManyRequests)
			require.Empty(t, f.take())
		}
		time.Sleep(time.Second)
		require.ErrorIs(t, get("b"), registry.ErrTooManyRequests)
		require.Len(t, f.take(), 1)
	})
}
