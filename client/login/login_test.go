package login_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// TestTokensOneRequestEach pulls from three repositories by 50 goroutines. Each repository costs one
// request for a token, and after the first challenge no request is refused.
func TestTokensOneRequestEach(t *testing.T) {
	s := newSite(t, true)
	img := registrytest.RandomImage(1, 2, 1000)
	names := []string{"a", "library/b", "c/d/e"}
	for _, name := range names {
		require.NoError(t, img.Push(t.Context(), s.store, name, "v1"))
	}
	pull := func(c *client.Client) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for j := range 6 {
					m, err := c.GetManifest(t.Context(), names[(i+j)%3], reference.Ref{Tag: "v1"})
					if err != nil || m.Descriptor.Digest != img.Descriptor.Digest {
						t.Errorf("%v %v", m, err)
					}
				}
			})
		}
		wg.Wait()
	}

	c := connect(t, s.url, login.Options{Source: ann})
	_, err := c.StatManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"401": 1, "token": 1, "other": 1}, s.counts.take())
	pull(c)
	require.Equal(t, map[string]int{"token": 2, "other": 300}, s.counts.take())

	// If all begin at once, each request is refused once at most.
	pull(connect(t, s.url, login.Options{Source: ann}))
	n := s.counts.take()
	require.Equal(t, 3, n["token"])
	require.LessOrEqual(t, n["401"], 50)
	require.Equal(t, 300, n["other"])
}

// TestBackendWithTokens runs the kit of backends through a login.
func TestBackendWithTokens(t *testing.T) {
	if testing.Short() {
		t.Skip("the kit takes long; it runs without -short, and in package client")
	}
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		return connect(t, newSite(t, true).url, login.Options{Source: ann})
	}, &registrytest.Options{
		NoDeleteRepository: true, NoMountSearch: true, NoIfAbsent: true, NoReports: true, Remote: true, NoConditions: true,
		LargeSize: 1 << 20, Appends: 100,
	})
}

// TestWritesKnowTheirScope checks that a push, a mount and a delete cost one refused request in all,
// and that the body of a push is not lost.
func TestWritesKnowTheirScope(t *testing.T) {
	s := newSite(t, true)
	c := connect(t, s.url, login.Options{Source: ann})
	desc, err := registry.PushBlob(t.Context(), c, "a", "", strings.NewReader("content"))
	require.NoError(t, err)
	n := s.counts.take()
	require.Equal(t, 1, n["401"])
	require.Equal(t, 1, n["token"])
	_, err = c.MountBlob(t.Context(), "b", desc.Digest, &registry.MountOptions{From: "a"})
	require.NoError(t, err)
	require.NoError(t, c.DeleteBlob(t.Context(), "b", desc.Digest, nil))
	for _, err := range c.Repositories(t.Context(), nil) {
		require.NoError(t, err)
	}
	n = s.counts.take()
	require.Zero(t, n["401"])
	require.Equal(t, 4, n["token"], "mount, stat, delete, catalog")
}

// TestBasic checks a registry that wants Basic, and that the first challenge is the only one.
func TestBasic(t *testing.T) {
	s := newSite(t, false)
	c := connect(t, s.url, login.Options{Source: ann})
	_, err := registry.PushBlob(t.Context(), c, "a", "", strings.NewReader("content"))
	require.NoError(t, err)
	_, err = c.StatBlob(t.Context(), "a", digest.FromString("content"), nil)
	require.NoError(t, err)
	require.Equal(t, 1, s.counts.take()["401"])

	// Without credentials there is nothing to repeat.
	_, err = connect(t, s.url, login.Options{}).StatBlob(t.Context(), "a", digest.FromString("content"), nil)
	require.ErrorIs(t, err, registry.ErrUnauthorized)
	require.Equal(t, map[string]int{"401": 1}, s.counts.take())
}

// TestPasswordCorrected checks that a wrong password is not sent again and again, and that a
// corrected one works at once.
func TestPasswordCorrected(t *testing.T) {
	for _, tokens := range []bool{true, false} {
		s := newSite(t, tokens)
		var mu sync.Mutex
		current := login.Credentials{Username: "ann", Password: "wrong"}
		set := func(c login.Credentials) {
			mu.Lock()
			defer mu.Unlock()
			current = c
		}
		c := connect(t, s.url, login.Options{Source: source(func() login.Credentials {
			mu.Lock()
			defer mu.Unlock()
			return current
		})})
		stat := func() error {
			_, err := c.StatBlob(t.Context(), "a", digest.FromString("x"), nil)
			return err
		}
		for range 20 {
			err := stat()
			require.ErrorIs(t, err, registry.ErrUnauthorized)
			requireNoSecrets(t, err.Error())
		}
		n := s.counts.take()
		require.LessOrEqual(t, n["token"], 8, "the pause after the first refusal is a second")
		require.LessOrEqual(t, n["401"], 10)

		set(login.Credentials{Username: "ann", Password: "secret"})
		require.ErrorIs(t, stat(), registry.ErrBlobUnknown)

		// The password changes at the registry, and later at the client.
		s.users.set("ann", "secret2")
		if !tokens {
			require.ErrorIs(t, stat(), registry.ErrUnauthorized)
		}
		set(login.Credentials{Username: "ann", Password: "secret2"})
		require.ErrorIs(t, stat(), registry.ErrBlobUnknown)
	}
}

// TestDeniedRepository checks that a repository that the caller must not access causes no request
// for a token each time, and that others are not affected.
func TestDeniedRepository(t *testing.T) {
	s := newSite(t, true)
	c := connect(t, s.url, login.Options{Source: ann})
	stat := func(repo string) error {
		_, err := c.StatBlob(t.Context(), repo, digest.FromString("x"), nil)
		return err
	}
	require.ErrorIs(t, stat("a"), registry.ErrBlobUnknown)
	s.counts.take()
	for range 20 {
		err := stat("denied")
		require.Error(t, err)
		require.NotErrorIs(t, err, registry.ErrBlobUnknown)
		require.ErrorIs(t, stat("a"), registry.ErrBlobUnknown)
	}
	require.LessOrEqual(t, s.counts.take()["token"], 8)
}
