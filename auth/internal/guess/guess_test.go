package guess_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/guess"
)

// user is a user with a password that changes.
type user struct {
	password, version string
	checks            int
}

func (u *user) login(g *guess.Guard, address, password string) error {
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.RemoteAddr = address + ":1"
	return g.Try(r, guess.Login{User: "ann", Password: password,
		Valid: func(version string) (bool, error) { return version == u.version, nil },
		Check: func(context.Context) (string, error) {
			u.checks++
			if password != u.password {
				return "", auth.ErrCredentials
			}
			return u.version, nil
		}})
}

func newGuard() *guess.Guard {
	return guess.New(guess.Options{Failures: 3, AddressFailures: 5, Parallel: 1, Now: time.Now})
}

// TestRightPasswordRemembered until its version changes, and only for the address.
func TestRightPasswordRemembered(t *testing.T) {
	u, g := &user{password: "secret", version: "1"}, newGuard()
	for range 10 {
		require.NoError(t, u.login(g, "192.0.2.1", "secret"))
	}
	require.Equal(t, 1, u.checks)
	require.NoError(t, u.login(g, "192.0.2.2", "secret"))
	require.Equal(t, 2, u.checks)
	u.version = "2"
	require.NoError(t, u.login(g, "192.0.2.1", "secret"))
	require.Equal(t, 3, u.checks)
	u.password, u.version = "changed", "3"
	require.ErrorIs(t, u.login(g, "192.0.2.1", "secret"), auth.ErrCredentials)
}

// TestFailuresLimited by address and name. Other addresses do not notice.
func TestFailuresLimited(t *testing.T) {
	u, g := &user{password: "secret", version: "1"}, newGuard()
	require.NoError(t, u.login(g, "192.0.2.1", "secret"))
	for i := range 10 {
		err := u.login(g, "192.0.2.1", fmt.Sprint("guess", i))
		require.Equal(t, i >= 3, errors.As(err, new(*auth.LimitError)), i)
	}
	require.Equal(t, 4, u.checks)
	require.NoError(t, u.login(g, "192.0.2.1", "secret"))
	require.NoError(t, u.login(g, "192.0.2.9", "secret"))
	require.Equal(t, 5, u.checks)
}

// TestMemoryBounded: callers cannot fill the memory, and what is used is not forgotten.
func TestMemoryBounded(t *testing.T) {
	u, g := &user{password: "secret", version: "1"}, newGuard()
	require.NoError(t, u.login(g, "192.0.2.1", "secret"))
	for i := range 3 * guess.MaxVerified {
		require.NoError(t, u.login(g, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), "secret"))
		if i%1000 == 0 {
			checks := u.checks
			require.NoError(t, u.login(g, "192.0.2.1", "secret"))
			require.Equal(t, checks, u.checks)
		}
	}
	verified, logins, addresses, flights := g.Sizes()
	require.LessOrEqual(t, verified, guess.MaxVerified)
	require.Zero(t, logins+addresses+flights)
}

// TestUserChangedDuringLogin: the password was right, and is no more when the check ends.
func TestUserChangedDuringLogin(t *testing.T) {
	g := newGuard()
	err := g.Try(httptest.NewRequest("GET", "/", nil), guess.Login{User: "ann", Password: "x",
		Valid: func(string) (bool, error) { return false, nil },
		Check: func(context.Context) (string, error) { return "1", nil }})
	require.ErrorIs(t, err, auth.ErrCredentials)
	require.ErrorContains(t, err, "changed during the login")
}

func BenchmarkTryRemembered(b *testing.B) {
	u, g := &user{password: "secret", version: "1"}, newGuard()
	r := httptest.NewRequest("GET", "/v2/", nil)
	l := guess.Login{User: "ann", Password: "secret", Valid: func(v string) (bool, error) { return v == "1", nil },
		Check: func(context.Context) (string, error) { return u.version, nil }}
	require.NoError(b, g.Try(r, l))
	b.ReportAllocs()
	for b.Loop() {
		if g.Try(r, l) != nil {
			b.Fatal()
		}
	}
}
