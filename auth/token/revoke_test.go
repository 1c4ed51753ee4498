package token_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/memory"
)

// TestRevoke: a revoked token is refused at once, by every replica.
func TestRevoke(t *testing.T) {
	users, d := newPeople(), memory.New(nil)
	s, tokens := newRefreshing(t, d, users, nil)
	other, _ := newRefreshing(t, d, users, nil)
	works := func(value string) bool {
		status, _ := refresh(t, other, value)
		require.Contains(t, []int{200, 401}, status)
		return status == 200
	}
	a, b, c := login(t, s), login(t, s), login(t, s)
	_, bob := ask(t, s, "GET", "/v2/token", url.Values{"offline_token": {"true"}}, basic("bob", "pw"))
	require.True(t, works(a) && works(b) && works(c) && works(bob.RefreshToken))

	id := a[len("rkf_")+24:][:16]
	require.ErrorIs(t, tokens.Revoke(t.Context(), "bob", id), token.ErrUnknown)
	for _, id := range []string{"", "x", "../x", strings.Repeat("A", 16), strings.Repeat("/", 16)} {
		require.ErrorIs(t, tokens.Revoke(t.Context(), "ann", id), token.ErrUnknown)
	}
	require.True(t, works(a))
	require.NoError(t, tokens.Revoke(t.Context(), "ann", id))
	require.ErrorIs(t, tokens.Revoke(t.Context(), "ann", id), token.ErrUnknown)
	require.False(t, works(a))
	require.True(t, works(b))

	for _, value := range []string{b, b, a, "x", "rkf_x", b[:len(b)-1] + "2"} {
		status, _ := ask(t, s, "POST", "/v2/token/revoke",
			url.Values{"token": {value}, "token_type_hint": {"refresh_token"}}, "")
		require.Equal(t, 200, status, "RFC 7009, section 2.2")
	}
	require.False(t, works(b))
	require.True(t, works(c))
	for _, form := range []url.Values{{}, {"token": {""}}, {"token": {"a", "b"}}} {
		status, a := ask(t, s, "POST", "/v2/token/revoke", form, "")
		require.Equal(t, 400, status)
		require.Equal(t, "invalid_request", a.Error)
	}
	status, _ := ask(t, s, "GET", "/v2/token/revoke", url.Values{"token": {c}}, "")
	require.Equal(t, 405, status)
	plain, err := token.New(registrytest.NewStore(t), users, all, nil)
	require.NoError(t, err)
	status, _ = ask(t, plain, "POST", "/v2/token/revoke", url.Values{"token": {c}}, "")
	require.Equal(t, 404, status)

	n, err := tokens.RevokeAll(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.False(t, works(c))
	require.True(t, works(bob.RefreshToken))
	require.Empty(t, listed(t, tokens, "ann"))
	require.Len(t, listed(t, tokens, "bob"), 1)
}

// TestRevokedDuringUse: a token that is revoked during a use which records itself stays revoked.
func TestRevokedDuringUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, users := memory.New(nil), newPeople()
		s, tokens := newRefreshing(t, d, users, nil)
		value := login(t, s)
		time.Sleep(25 * time.Hour)
		users.during = func() { require.NoError(t, tokens.RevokeToken(t.Context(), value)) }
		status, _ := refresh(t, s, value)
		require.Equal(t, 200, status, "it was valid when it was read")
		require.Empty(t, keys(t, d))
		status, _ = refresh(t, s, value)
		require.Equal(t, 401, status)
	})
}

// TestRefreshConcurrent: uses, logins and a revocation at the same time, at two replicas. After the
// revocation has returned, no token that was issued before works.
func TestRefreshConcurrent(t *testing.T) {
	d, users := memory.New(nil), newPeople()
	one, tokens := newRefreshing(t, d, users, nil)
	other, _ := newRefreshing(t, d, users, nil)
	var values []string
	for range 20 {
		values = append(values, login(t, one))
	}
	var wg sync.WaitGroup
	for i, value := range values {
		wg.Go(func() {
			for range 20 {
				status, _ := refresh(t, []*token.Service{one, other}[i%2], value)
				if status != 200 && status != 401 {
					t.Error(status)
				}
			}
		})
	}
	wg.Go(func() {
		if n, err := tokens.RevokeAll(t.Context(), "ann"); err != nil || n != len(values) {
			t.Error(n, err)
		}
	})
	wg.Wait()
	for _, value := range values {
		status, _ := refresh(t, other, value)
		require.Equal(t, 401, status)
	}
	require.Empty(t, keys(t, d))
}
