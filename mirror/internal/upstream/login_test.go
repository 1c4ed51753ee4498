package upstream_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/upstream"
)

// only allows one user everything, and anonymous callers the repository "public".
func only(username, password string) func(u, p, repo string) bool {
	return func(u, p, repo string) bool {
		return u == username && p == password || u == "" && repo == "public"
	}
}

// TestLogin: the mirror logs in with its credentials, once for many requests.
func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u, servers := inMemory(t, 1, func(o *upstream.Options) {
			o.Source = login.Static(login.Credentials{Username: "robot", Password: "secret"})
		})
		s := servers[0]
		s.RequireLogin(only("robot", "secret"))
		layer := content(1000, 1)
		_, image := s.Image("private", "1", layer)
		require.NoError(t, stat(t.Context(), u, "private", "1"))
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, b, err := fetch(t.Context(), u, "private", image.Layers[0].Digest, 0, "")
				require.NoError(t, err)
				same(t, layer, b)
			})
		}
		wg.Wait()
		require.Equal(t, 1, s.Count("", upstreamtest.Token))
		require.Equal(t, int64(1), u.Stats().Requests["GET token"])
		require.ErrorIs(t, stat(t.Context(), u, "private", "2"), registry.ErrManifestUnknown)
		time.Sleep(time.Minute)
		s.Revoke()
		require.NoError(t, stat(t.Context(), u, "private", "1"))
		require.Empty(t, u.Stats().Errors)
	})
}

// TestWrongPassword: refused credentials are no outage, and are not in errors.
func TestWrongPassword(t *testing.T) {
	first, second := upstreamtest.New(t), upstreamtest.New(t)
	first.RequireLogin(only("robot", "secret"))
	u := newUpstream(t, func(o *upstream.Options) {
		o.Source = login.Static(login.Credentials{Username: "robot", Password: "hunter2"})
	}, first, second)
	second.Image("private", "1")
	for range 3 {
		err := stat(t.Context(), u, "private", "1")
		require.ErrorIs(t, err, upstream.ErrRefused)
		require.ErrorIs(t, err, registry.ErrUnauthorized)
		require.NotContains(t, err.Error(), "hunter2")
	}
	require.Zero(t, second.Count("", ""))
	require.False(t, u.Stats().Down)
}

// TestRealm: a realm that is not listed gets nothing.
func TestRealm(t *testing.T) {
	s, thief := upstreamtest.New(t), upstreamtest.New(t)
	u := newUpstream(t, func(o *upstream.Options) {
		o.Source = login.Static(login.Credentials{Username: "robot", Password: "secret"})
	}, s)
	s.Break(all, upstreamtest.Status(401, "Www-Authenticate",
		`Bearer realm="`+strings.Replace(thief.URL, "127.0.0.1", "localhost", 1)+`/token",service="x"`))
	err := stat(t.Context(), u, "r", "1")
	require.ErrorIs(t, err, upstream.ErrRefused)
	require.ErrorIs(t, err, login.ErrRealm)
	require.Zero(t, thief.Count("", ""))
}

// TestTokenServiceFails: a token service without answers rests by itself, and its 429 counts.
func TestTokenServiceFails(t *testing.T) {
	tokens := upstreamtest.Match{Kind: upstreamtest.Token}
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].RequireLogin(only("robot", "secret"))
		s[0].Image("public", "1")
		s[0].Break(tokens, upstreamtest.HangHeader())
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { unavailable(t, stat(t.Context(), u, "public", "1")) })
		}
		wg.Wait()
		unavailable(t, stat(t.Context(), u, "public", "1"))
		require.Equal(t, upstream.DefaultTimeout, time.Since(start))
		require.Equal(t, 1, s[0].Count("", upstreamtest.Token))
		require.True(t, u.Stats().Down)
		s[0].Repair()
		time.Sleep(7 * time.Second)
		require.NoError(t, stat(t.Context(), u, "public", "1"))
		require.False(t, u.Stats().Down)
	})
	synctest.Test(t, func(t *testing.T) {
		u, s := inMemory(t, 1, nil)
		s[0].RequireLogin(only("robot", "secret"))
		s[0].Image("public", "1")
		s[0].Break(tokens, upstreamtest.Status(429, "Retry-After", "20"))
		for range 3 {
			require.ErrorIs(t, stat(t.Context(), u, "public", "1"), registry.ErrTooManyRequests)
		}
		require.Equal(t, 1, s[0].Count("", upstreamtest.Token))
		require.Equal(t, 20*time.Second, time.Until(u.Stats().Until))
	})
}

// TestAs: each caller has only its own rights, and all share what is known of the URL.
func TestAs(t *testing.T) {
	s := upstreamtest.New(t)
	s.RequireLogin(func(username, password, repo string) bool { return username+"/x" == repo && password == "secret" })
	u := newUpstream(t, nil, s)
	s.Image("alice/x", "1")
	s.Image("bob/x", "1")
	alice := login.Credentials{Username: "alice", Password: "secret"}
	bob := login.Credentials{Username: "bob", Password: "secret"}
	for range 3 { // As makes no new login for the same credentials
		require.NoError(t, stat(t.Context(), u.As(alice), "alice/x", "1"))
		require.NoError(t, stat(t.Context(), u.As(bob), "bob/x", "1"))
	}
	require.Equal(t, 2, s.Count("", upstreamtest.Token))
	require.ErrorIs(t, stat(t.Context(), u.As(alice), "bob/x", "1"), upstream.ErrRefused)
	require.ErrorIs(t, stat(t.Context(), u.As(login.Credentials{}), "bob/x", "1"), upstream.ErrRefused)
	require.ErrorIs(t, stat(t.Context(), u, "bob/x", "1"), upstream.ErrRefused)
	// The boundary between the name and the password counts.
	require.ErrorIs(t, stat(t.Context(), u.As(login.Credentials{Username: "bobsecret"}), "bob/x", "1"),
		upstream.ErrRefused)
	require.Equal(t, u.Stats(), u.As(alice).Stats())

	s.Break(upstreamtest.Match{Times: 1}, upstreamtest.Status(503))
	unavailable(t, stat(t.Context(), u.As(alice), "alice/x", "1"))
	n := s.Count("", "")
	unavailable(t, stat(t.Context(), u.As(bob), "bob/x", "1"))
	require.Equal(t, n, s.Count("", ""))
	require.True(t, u.Stats().Down)
}

// TestAsIsBounded: the views of many callers do not stay, and those in use do.
func TestAsIsBounded(t *testing.T) {
	u, err := upstream.New(upstream.Options{URLs: []string{"https://example.com"}})
	require.NoError(t, err)
	name := func(i int) login.Credentials {
		return login.Credentials{Username: strings.Repeat("x", i%7) + string(rune(i)), Password: "secret"}
	}
	for i := range 5000 {
		u.As(name(i))
		u.As(name(0))
		require.LessOrEqual(t, upstream.Views(u), 256)
	}
	synctest.Test(t, func(t *testing.T) {
		u, err := upstream.New(upstream.Options{URLs: []string{"https://example.com"}})
		require.NoError(t, err)
		u.As(name(1))
		u.As(name(2))
		for range 10 {
			time.Sleep(2 * time.Minute)
			u.As(name(1))
		}
		require.Equal(t, 1, upstream.Views(u))
		time.Sleep(time.Hour)
		u.As(name(3))
		require.Equal(t, 1, upstream.Views(u))
	})
}

// TestSourceFails: credentials that cannot be read are no answer of the upstream.
func TestSourceFails(t *testing.T) {
	s := upstreamtest.New(t)
	s.RequireLogin(only("robot", "secret"))
	u := newUpstream(t, func(o *upstream.Options) {
		o.Source = func(context.Context, string) (login.Credentials, error) {
			return login.Credentials{}, context.DeadlineExceeded
		}
	}, s)
	err := stat(t.Context(), u, "private", "1")
	unavailable(t, err)
	require.NotErrorIs(t, err, context.DeadlineExceeded, "the caller has not left")
}
