package login_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
)

// fake is a registry at https://reg.test with a token service at https://auth.test. Its fields say
// how it behaves. It works in memory, so that tests can run in a bubble of testing/synctest.
type fake struct {
	mu        sync.Mutex
	log       []string // the requests to the service, and the statuses of the registry
	challenge func(r *http.Request) string
	valid     func(authorization string) bool
	refuse    func(w http.ResponseWriter, r *http.Request) // default: 401 with the challenge
	service   http.HandlerFunc
	issued    int
}

// newFake returns a registry whose service issues the tokens T0KEN1, T0KEN2 and so on. Only the last
// one is valid.
func newFake() *fake {
	f := &fake{}
	f.challenge = func(r *http.Request) string {
		repo := strings.Split(r.URL.Path, "/")[2]
		return `Bearer realm="https://auth.test/token",service="reg",scope="repository:` + repo + `:pull"`
	}
	f.valid = func(a string) bool { return a == fmt.Sprint("Bearer T0KEN", f.issued) && f.issued > 0 }
	f.service = func(w http.ResponseWriter, _ *http.Request) { f.issue(w, nil) }
	return f
}

// issue responds with the next token.
func (f *fake) issue(w http.ResponseWriter, more map[string]any) {
	f.issued++
	answer := map[string]any{"token": fmt.Sprint("T0KEN", f.issued)}
	for k, v := range more {
		answer[k] = v
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *fake) transport() hosts {
	return hosts{
		"reg.test": func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.valid(r.Header.Get("Authorization")) {
				f.log = append(f.log, "ok")
				http.NotFound(w, r)
				return
			}
			f.log = append(f.log, "refused")
			if f.refuse != nil {
				f.refuse(w, r)
				return
			}
			w.Header().Set("WWW-Authenticate", f.challenge(r))
			w.WriteHeader(http.StatusUnauthorized)
		},
		"auth.test": func(w http.ResponseWriter, r *http.Request) {
			f.mu.Lock()
			defer f.mu.Unlock()
			user, password, _ := r.BasicAuth()
			body, _ := io.ReadAll(r.Body)
			q, _ := url.QueryUnescape(r.URL.RawQuery + string(body))
			f.log = append(f.log, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+q+" "+strings.Trim(user+":"+password, ":")))
			f.service(w, r)
		},
	}
}

// take returns what has happened since the last call.
func (f *fake) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	log := f.log
	f.log = nil
	return log
}

// connect returns a function that sends a request about the blob of a repository.
func (f *fake) connect(t *testing.T, s login.Source) func(repo string) error {
	t.Helper()
	c := connectBy(t, "https://reg.test", f.transport(), login.Options{
		Source: s, Realms: []string{"auth.test"}, Transport: f.transport(),
	})
	return func(repo string) error {
		_, err := c.Fetch(t.Context(), repo, digest.FromString("x"), nil)
		if err != nil {
			requireNoSecrets(t, err.Error())
		}
		return err
	}
}

const getA = "GET /token account=ann&scope=repository:a:pull&service=reg ann:secret"

// TestTokenRequestForms checks what the token service receives for each kind of credentials.
func TestTokenRequestForms(t *testing.T) {
	const post = "POST /token client_id=registrykit&grant_type=refresh_token&refresh_token=secret&" +
		"scope=repository:a:pull&service=reg"
	for name, a := range map[string]struct {
		credentials login.Credentials
		noPost      int
		want        []string
	}{
		"anonymous": {login.Credentials{}, 0, []string{"GET /token scope=repository:a:pull&service=reg"}},
		"password":  {login.Credentials{Username: "ann", Password: "secret"}, 0, []string{getA}},
		"identity token": {login.Credentials{IdentityToken: "secret", Username: "ann", Password: "x"}, 0,
			[]string{post}},
		"no OAuth2": {login.Credentials{IdentityToken: "secret"}, 404, []string{post,
			"GET /token scope=repository:a:pull&service=reg <token>:secret"}},
		"no OAuth2, 405": {login.Credentials{IdentityToken: "secret", Username: "ann", Password: "secret"}, 405,
			[]string{post, getA}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			f.service = func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost && a.noPost != 0 {
					w.WriteHeader(a.noPost)
					return
				}
				f.issue(w, nil)
			}
			get := f.connect(t, login.Static(a.credentials))
			require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
			require.Equal(t, slices.Concat([]string{"refused"}, a.want, []string{"ok"}), f.take())
			if a.noPost != 0 { // remembered
				require.ErrorIs(t, get("b"), registry.ErrBlobUnknown)
				require.Len(t, f.take(), 2)
			}
		})
	}
}

// TestRegistryToken checks that a bearer token of the Source is used as it is.
func TestRegistryToken(t *testing.T) {
	f := newFake()
	f.valid = func(a string) bool { return a == "Bearer secret" }
	get := f.connect(t, login.Static(login.Credentials{RegistryToken: "secret"}))
	require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
	require.ErrorIs(t, get("b"), registry.ErrBlobUnknown)
	require.Equal(t, []string{"refused", "ok", "ok"}, f.take())
	f.valid = func(string) bool { return false }
	require.ErrorIs(t, get("a"), registry.ErrUnauthorized)
	require.Equal(t, []string{"refused"}, f.take())
}

// TestTokenResponses checks which responses of a token service give a token.
func TestTokenResponses(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	for body, ok := range map[string]bool{
		`{"token":"T0KEN"}`:                                         true,
		`{"access_token":"T0KEN"}`:                                  true,
		`{"token":"T0KEN","access_token":"other"}`:                  true,
		`{"token":null,"access_token":"T0KEN"}`:                     true,
		`{"token":"T0KEN","expires_in":"300","issued_at":1,"x":{}}`: true,
		`{"token":"T0KEN","expires_in":300.5}`:                      true,
		`{"token":"T0KEN","expires_in":-1,"issued_at":"yesterday"}`: true,
		`{"token":"T0KEN","expires_in":1e300}`:                      true,
		`{"token":"T0KEN","expires_in":[1]}`:                        true,
		`{"token":"T0KEN","issued_at":"2000-01-01T00:00:00Z"}`:      true,
		`{"token":"T0KEN","token":"other"}`:                         false,
		`{"token":"T0KEN","Token":"other"}`:                         false,
		`{"token":""}`:                                              false,
		`{}`:                                                        false,
		``:                                                          false,
		`null`:                                                      false,
		`[]`:                                                        false,
		`T0KEN`:                                                     false,
		`{"token":7}`:                                               false,
		`{"token":"T0KEN\r\nX: y"}`:                                 false,
		`{"token":"T0 KEN"}`:                                        false,
		`{"token":"T0KENü"}`:                                        false,
		`{"token":"T0KEN` + long + `"}`:                             false,
		`{"token":"T0KEN","x":"` + strings.Repeat("T0KEN ", 1<<20) + `"}`: false,
	} {
		f := newFake()
		f.valid = func(a string) bool { return a == "Bearer T0KEN" }
		f.service = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
		get := f.connect(t, ann)
		err := get("a")
		if ok {
			require.ErrorIs(t, err, registry.ErrBlobUnknown, body)
			continue
		}
		require.ErrorIs(t, err, registry.ErrUnavailable, body[:min(len(body), 100)])
		require.Equal(t, []string{"refused", getA}, f.take())
	}
}

// TestTokenServiceFails checks the error for each status of a token service, and that none of its
// texts is in an error.
func TestTokenServiceFails(t *testing.T) {
	for status, want := range map[int]*registry.Error{
		301: registry.ErrUnavailable, 302: registry.ErrUnavailable, 307: registry.ErrUnavailable,
		400: registry.ErrUnavailable, 401: registry.ErrUnauthorized, 403: registry.ErrDenied,
		404: registry.ErrUnavailable, 429: registry.ErrTooManyRequests,
		500: registry.ErrUnavailable, 503: registry.ErrUnavailable,
	} {
		f := newFake()
		f.service = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://reg.test/v2/T0KEN")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"details":"wrong T0KEN secret `+r.Header.Get("Authorization")+`"}`)
		}
		get := f.connect(t, ann)
		err := get("a")
		require.ErrorIs(t, err, want, status)
		var e *registry.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, 7*time.Second, e.RetryAfter())
		require.ErrorContains(t, err, "GET https://auth.test/token: status "+strconv.Itoa(status))
		require.Equal(t, []string{"refused", getA}, f.take(), "redirects are not followed")
	}
	f := newFake()
	f.service = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }
	get := f.connect(t, login.Static(login.Credentials{IdentityToken: "secret"}))
	require.ErrorIs(t, get("a"), registry.ErrUnauthorized, "invalid_grant")

	// The error of a transport may repeat what the service sent.
	l, err := login.New("https://reg.test", &login.Options{Source: ann, Realms: []string{"auth.test"},
		Transport: failing(errors.New(`malformed HTTP response "T0KEN"`))})
	require.NoError(t, err)
	c, err := client.New("https://reg.test", &client.Options{HTTPClient: &http.Client{Transport: f.transport()},
		Authorize: l.Authorize, Challenge: l.Challenge})
	require.NoError(t, err)
	_, err = c.Fetch(t.Context(), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, registry.ErrUnavailable)
	requireNoSecrets(t, err.Error())
}

// failing is a transport that fails.
func failing(err error) http.RoundTripper {
	return roundTripper(func(*http.Request) (*http.Response, error) { return nil, err })
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
