package bearer_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/bearer"
	"github.com/registrykit/registry/registrytest"
)

// TestRotation changes the key of the issuer: tokens of the new one are accepted at once, and
// tokens of the old one until the issuer removes it, also remembered ones.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newIssuer(t), newIssuer(t)
		a.kid, b.kid = "a", "b"
		source := &keys{}
		source.set(document(t, a))
		v := newVerifier(t, source.options())
		exp := time.Now().Add(48 * time.Hour).Unix()
		old := a.token(t, claims{"exp": exp})
		accepted := func(token string) bool {
			_, err := login(t, v, token)
			if err != nil {
				require.ErrorIs(t, err, auth.ErrCredentials)
			}
			return err == nil
		}
		require.True(t, accepted(old))
		time.Sleep(time.Minute)
		source.set(document(t, a, b))
		require.True(t, accepted(b.token(t, claims{"exp": exp})))
		require.True(t, accepted(old))
		source.set(document(t, b))
		require.True(t, accepted(old), "the keys are not read yet")
		time.Sleep(time.Hour)
		require.False(t, accepted(old), "the issuer has removed the key of a remembered token")
		require.True(t, accepted(b.token(t, claims{"exp": exp})))
	})
}

// TestKeysCannotBeRead refuses no token as invalid if nobody knows.
func TestKeysCannotBeRead(t *testing.T) {
	i, source := newIssuer(t), &keys{}
	v := newVerifier(t, source.options())
	token := i.token(t, nil, "repository:a:pull")
	_, err := login(t, v, token)
	var unavailable *auth.UnavailableError
	require.ErrorAs(t, err, &unavailable)
	require.NotErrorIs(t, err, auth.ErrCredentials)

	reg, err := registry.New(registrytest.NewStore(t), &registry.Options{Authenticator: v, Authorizer: v})
	require.NoError(t, err)
	r := request("Bearer " + token)
	w := httptest.NewRecorder()
	reg.ServeHTTP(w, r)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.EqualValues(t, 1, source.requests.Load())
	_, err = login(t, v, "not a token")
	require.ErrorIs(t, err, auth.ErrCredentials)
}

// TestRememberedTokens verifies a signature once, and forgets tokens of no use.
func TestRememberedTokens(t *testing.T) {
	i := newIssuer(t)
	v := newVerifier(t, i.options(t))
	token := i.token(t, nil, "repository:a:pull")
	first, err := login(t, v, token)
	require.NoError(t, err)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := login(t, v, token); err != nil {
			t.Fatal(err)
		}
	})
	require.Less(t, allocs, 60.0) // of the test itself
	second, err := login(t, v, token)
	require.NoError(t, err)
	require.Equal(t, first.Name, second.Name)
	require.Equal(t, 1, bearer.Remembered(v))
	_, err = login(t, v, "invalid")
	require.Error(t, err)
	require.Equal(t, 1, bearer.Remembered(v))
}

// TestConcurrentUse uses a Verifier while keys rotate.
func TestConcurrentUse(t *testing.T) {
	a, b := newIssuer(t), newIssuer(t)
	source := &keys{}
	source.set(document(t, a, b))
	v := newVerifier(t, source.options())
	tokens := make([]string, 20)
	for n := range tokens {
		tokens[n] = []*issuer{a, b}[n%2].token(t, nil, "repository:a:pull")
	}
	var callers sync.WaitGroup
	for n := range 16 {
		callers.Go(func() {
			for k := range 200 {
				if err := may(t, v, tokens[(n+k)%len(tokens)], repository("a", auth.Pull)); err != nil {
					t.Error(err)
				}
				_ = v.Challenge(request("Bearer x"), nil)
			}
		})
	}
	callers.Wait()
	require.Equal(t, len(tokens), bearer.Remembered(v))
}
