package login_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client/login"
)

// changing is a Source whose credentials change.
type changing struct {
	mu    sync.Mutex
	c     login.Credentials
	err   error
	calls int
}

func (s *changing) set(c login.Credentials, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c, s.err = c, err
}

func (s *changing) source(context.Context, string) (login.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	return s.c, s.err
}

func (s *changing) took() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.calls
	s.calls = 0
	return n
}

var (
	right = login.Credentials{Username: "ann", Password: "secret"}
	wrong = login.Credentials{Username: "ann", Password: "wrong"}
)

// passwords lets a fake service accept ann with the right password only.
func (f *fake) passwords() {
	f.service = func(w http.ResponseWriter, r *http.Request) {
		if _, p, _ := r.BasicAuth(); p != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		f.issue(w, nil)
	}
}

// requests returns the number of requests to the token service since the last call.
func (f *fake) requests() (n int) {
	for _, s := range f.take() {
		if strings.Contains(s, " /token ") {
			n++
		}
	}
	return n
}

// TestWrongPasswordPauses checks the pauses between logins with a wrong password: 1, 2, 4 and so on
// up to 60 seconds, for all repositories together, and that a corrected password works at once.
func TestWrongPasswordPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake(), &changing{c: wrong}
		f.passwords()
		get := f.connect(t, s.source)
		for _, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			require.ErrorIs(t, get("a"), registry.ErrUnauthorized)
			require.Equal(t, 1, f.requests())
			for _, repo := range []string{"a", "b", "c"} {
				require.ErrorIs(t, get(repo), registry.ErrUnauthorized)
			}
			require.Zero(t, f.requests())
			time.Sleep(wait*time.Second - time.Millisecond)
			require.ErrorIs(t, get("d"), registry.ErrUnauthorized)
			require.Zero(t, f.requests())
			time.Sleep(time.Millisecond)
		}
		require.ErrorIs(t, get("a"), registry.ErrUnauthorized)
		s.set(right, nil)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		f.take()

		// After a success, a 401 concerns one repository only.
		f.service = func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.RawQuery, "denied") {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			f.issue(w, nil)
		}
		require.ErrorIs(t, get("denied"), registry.ErrUnauthorized)
		require.ErrorIs(t, get("denied"), registry.ErrUnauthorized)
		require.ErrorIs(t, get("b"), registry.ErrBlobUnknown)
		require.Equal(t, 2, f.requests())

		// The wrong password again: the first pause is a second again.
		s.set(wrong, nil)
		f.passwords()
		require.ErrorIs(t, get("denied"), registry.ErrUnauthorized)
		require.ErrorIs(t, get("denied"), registry.ErrUnauthorized)
		require.Equal(t, 1, f.requests())
		time.Sleep(time.Second)
		require.ErrorIs(t, get("denied"), registry.ErrUnauthorized)
		require.Equal(t, 1, f.requests())
	})
}

// TestDeniedScopePauses checks that a token service that refuses a scope with 403 is not asked each
// time, and that anonymous callers are treated alike.
func TestDeniedScopePauses(t *testing.T) {
	for status, want := range map[int]error{403: registry.ErrDenied, 401: registry.ErrUnauthorized} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.service = func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.RawQuery, "denied") {
					w.WriteHeader(status)
					return
				}
				f.issue(w, nil)
			}
			get := f.connect(t, nil)
			for range 5 {
				require.ErrorIs(t, get("denied"), want)
				require.ErrorIs(t, get("denied2"), want)
			}
			require.Equal(t, 2, f.requests())
			require.ErrorIs(t, get("b"), registry.ErrBlobUnknown)
			time.Sleep(time.Second)
			require.ErrorIs(t, get("denied"), want)
			require.Equal(t, 2, f.requests())
		})
	}
}

// TestRefusedTokenReplaced checks that a token that the registry does not accept any more is
// replaced once, that the Source is asked again, and that all callers share the new token.
func TestRefusedTokenReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake(), &changing{c: right}
		get := f.connect(t, s.source)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		time.Sleep(10 * time.Second)
		f.take()
		s.took()
		f.issued++ // the token of the Login is not the last one
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		require.Equal(t, []string{"refused", getA, "ok"}, f.take())
		require.Equal(t, 1, s.took())

		time.Sleep(10 * time.Second)
		f.issued++
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { require.ErrorIs(t, get("a"), registry.ErrBlobUnknown) })
		}
		wg.Wait()
		require.Equal(t, 1, f.requests())
		require.LessOrEqual(t, s.took(), 20)

		// Other credentials of the Source count at once, also for a token that is new.
		f.issued++
		s.set(login.Credentials{Username: "bob", Password: "secret"}, nil)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		require.Contains(t, f.take()[1], "account=bob")
	})
}

// TestExpired403 checks that ECR's 403, which says that the token has expired, makes the Login ask
// its Source again. ECR uses Basic.
func TestExpired403(t *testing.T) {
	const body = `{"errors":[{"code":"DENIED",` +
		`"message":"Your authorization token has expired. Reauthenticate and try again."}]}`
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake(), &changing{c: right}
		f.challenge = func(*http.Request) string { return `Basic realm="https://reg.test/",service="ecr.amazonaws.com"` }
		password := "secret"
		f.valid = func(string) bool { return false }
		f.refuse = func(w http.ResponseWriter, r *http.Request) {
			_, p, ok := r.BasicAuth()
			switch {
			case !ok:
				w.Header().Set("WWW-Authenticate", f.challenge(r))
				w.WriteHeader(http.StatusUnauthorized)
			case p != password:
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, body)
			default:
				w.WriteHeader(http.StatusNotFound)
			}
		}
		get := f.connect(t, s.source)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		password = "secret2"
		require.ErrorIs(t, get("a"), registry.ErrDenied)
		require.Equal(t, 2, s.took())
		s.set(login.Credentials{Username: "AWS", Password: "secret2"}, nil)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		require.Equal(t, 1, s.took())

		// A HEAD has no body.
		password = "secret3"
		s.set(login.Credentials{Username: "AWS", Password: "secret3"}, nil)
		c := connectBy(t, "https://reg.test", f.transport(), login.Options{Source: s.source})
		_, err := c.StatBlob(t.Context(), "a", digest.FromString("x"), nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
		password = "secret4"
		s.set(login.Credentials{Username: "AWS", Password: "secret4"}, nil)
		_, err = c.StatBlob(t.Context(), "a", digest.FromString("x"), nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
	})
}

// TestForbiddenWithToken checks that a 403 replaces a token only if the body says that it has
// expired, or if the Source has other credentials.
func TestForbiddenWithToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := newFake(), &changing{c: right}
		get := f.connect(t, s.source)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		time.Sleep(5 * time.Second)
		f.take()
		body := `{"errors":[{"code":"DENIED","message":"no"}]}`
		f.refuse = func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, body)
		}
		f.issued++
		require.ErrorIs(t, get("a"), registry.ErrDenied)
		require.Equal(t, []string{"refused"}, f.take())
		body = `{"errors":[{"code":"DENIED","message":"The TOKEN has Expired"}]}`
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		require.Equal(t, []string{"refused", getA, "ok"}, f.take())
		body = ""
		f.issued++
		s.set(login.Credentials{Username: "bob", Password: "secret"}, nil)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		require.Len(t, f.take(), 3)
	})
}

// TestSourceAskedBeforeEnd checks that credentials that end are renewed, that one call at a time is
// made, and that a failing Source does not matter until the end.
func TestSourceAskedBeforeEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.challenge = func(*http.Request) string { return "Basic" }
		f.valid = func(a string) bool { return a != "" }
		var calls, now atomic.Int32
		failing := false
		get := f.connect(t, func(context.Context, string) (login.Credentials, error) {
			require.EqualValues(t, 1, now.Add(1))
			defer now.Add(-1)
			calls.Add(1)
			time.Sleep(time.Second)
			if failing {
				return login.Credentials{}, errors.New("the source fails")
			}
			return login.Credentials{Username: "ann", Password: "secret", Expires: time.Now().Add(100 * time.Second)}, nil
		})
		all := func() {
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() { require.ErrorIs(t, get("a"), registry.ErrBlobUnknown) })
			}
			wg.Wait()
		}
		all()
		require.EqualValues(t, 1, calls.Load())
		time.Sleep(88 * time.Second)
		all()
		require.EqualValues(t, 1, calls.Load())
		time.Sleep(3 * time.Second)
		all()
		require.EqualValues(t, 2, calls.Load())
		failing = true
		time.Sleep(92 * time.Second)
		require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
		time.Sleep(10 * time.Second)
		err := get("a")
		require.ErrorContains(t, err, "login: credentials of reg.test: the source fails")
	})
}

// TestSourceContext checks that a Source gets the context of the caller and the host.
func TestSourceContext(t *testing.T) {
	f := newFake()
	type key struct{}
	c := connectBy(t, "https://reg.test", f.transport(), login.Options{
		Realms: []string{"auth.test"}, Transport: f.transport(),
		Source: func(ctx context.Context, host string) (login.Credentials, error) {
			require.Equal(t, "value", ctx.Value(key{}))
			require.Equal(t, "reg.test", host)
			return right, nil
		},
	})
	_, err := c.Fetch(context.WithValue(t.Context(), key{}, "value"), "a", digest.FromString("x"), nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
}

// TestSourcePanicEndsNothing checks that a panic of a Source reaches its caller and nobody else.
func TestSourcePanicEndsNothing(t *testing.T) {
	f := newFake()
	first := true
	get := f.connect(t, func(context.Context, string) (login.Credentials, error) {
		if first {
			first = false
			panic("the source panics")
		}
		return right, nil
	})
	require.PanicsWithValue(t, "the source panics", func() { _ = get("a") })
	require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
}

// TestScopeOfChallengeIsLearned checks a registry whose scopes differ from those of the paths.
func TestScopeOfChallengeIsLearned(t *testing.T) {
	f := newFake()
	f.challenge = func(*http.Request) string {
		return `Bearer realm="https://auth.test/token",scope="repository:tenant/a:pull"`
	}
	granted := map[string]bool{}
	f.service = func(w http.ResponseWriter, r *http.Request) {
		f.issue(w, nil)
		if r.URL.Query().Get("scope") == "repository:tenant/a:pull" {
			granted["Bearer T0KEN"+string(rune('0'+f.issued))] = true
		}
	}
	f.valid = func(a string) bool { return granted[a] }
	get := f.connect(t, ann)
	require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
	require.Len(t, f.take(), 3)
	require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
	require.Equal(t, []string{"ok"}, f.take())
}

// TestRedirectHasTokenOfRequest checks that a redirect to another path of the registry does not cause
// a request for another token, unless the path names another repository.
func TestRedirectHasTokenOfRequest(t *testing.T) {
	f := newFake()
	var paths []string
	f.valid = func(string) bool { return false }
	f.refuse = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", f.challenge(r))
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		paths = append(paths, r.Header.Get("Authorization")+" "+strings.Split(r.URL.Path, "/")[2])
		location := map[string]string{"/v2/a/": "/downloads/1", "/downloads/1": "/downloads/2", "/v2/b/": "/v2/a/blobs/x"}
		for from, to := range location {
			if strings.HasPrefix(r.URL.Path, from) {
				http.Redirect(w, r, to, http.StatusFound)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
	}
	get := f.connect(t, ann)
	require.ErrorIs(t, get("a"), registry.ErrBlobUnknown)
	require.Equal(t, 1, f.requests())
	require.Equal(t, []string{"Bearer T0KEN1 a", "Bearer T0KEN1 1", "Bearer T0KEN1 2"}, paths)
	paths = nil
	require.ErrorIs(t, get("b"), registry.ErrBlobUnknown)
	require.Equal(t, []string{"Bearer T0KEN2 b", "Bearer T0KEN1 a", "Bearer T0KEN1 1", "Bearer T0KEN1 2"}, paths)
}

// TestUploadElsewhereHasToken checks that a request to a Location that is not in the distribution
// spec carries the token of the push.
func TestUploadElsewhereHasToken(t *testing.T) {
	f := newFake()
	f.valid = func(string) bool { return false }
	f.refuse = func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer T0KEN") {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://auth.test/token",scope="repository:a:pull,push"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "/uploads-elsewhere/1")
		w.WriteHeader(http.StatusAccepted)
	}
	c := connectBy(t, "https://reg.test", f.transport(), login.Options{
		Source: ann, Realms: []string{"auth.test"}, Transport: f.transport(),
	})
	u, err := c.CreateUpload(t.Context(), "a", nil)
	require.NoError(t, err)
	n, err := u.Append(t.Context(), 0, 5, strings.NewReader("hello"))
	require.NoError(t, err)
	require.EqualValues(t, 5, n)
	require.Equal(t, 1, f.requests())
}
