package token_test

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestRefresh: a refresh token gives tokens for other scopes, with the present groups, at every
// replica, until the caller cannot be renewed.
func TestRefresh(t *testing.T) {
	users, d := newPeople(), memory.New(nil)
	one, tokens := newRefreshing(t, d, users, nil)
	other, _ := newRefreshing(t, d, users, nil)
	value := login(t, one)
	require.Regexp(t, `^rkf_[a-z2-7]{79}$`, value)

	for i, s := range []*token.Service{one, other, one} {
		scope := fmt.Sprintf("repository:app-%d:pull,push", i)
		status, a := refresh(t, s, value, scope)
		require.Equal(t, 200, status)
		require.Equal(t, []string{scope}, granted(t, a.AccessToken))
		require.Equal(t, scope, *a.Scope)
		require.Equal(t, "Bearer", a.TokenType)
		require.Empty(t, a.RefreshToken, "the client did not ask for one")
	}
	users.set("ann", person{password: "secret", groups: []string{"two", "three"}})
	_, a := refresh(t, one, value)
	var claims struct {
		Sub    string
		Groups []string
	}
	part(t, a.AccessToken, 1, &claims)
	require.Equal(t, "ann", claims.Sub)
	require.Equal(t, []string{"two", "three"}, claims.Groups)
	_, a = ask(t, one, "POST", "/v2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {value},
		"access_type": {"offline"}}, "")
	require.Equal(t, value, a.RefreshToken, "it stays the same: clients do not store another one")

	for name, who := range map[string]person{
		"disabled": {password: "secret", disabled: true}, "another password": {password: "longer secret"},
	} {
		users.set("ann", who)
		status, a := refresh(t, other, value)
		require.Equal(t, 401, status, name)
		require.Equal(t, "invalid_grant", a.Error)
		users.set("ann", person{password: "secret"})
		status, _ = refresh(t, other, value)
		require.Equal(t, 200, status, "the refusal was not final")
	}
	list := listed(t, tokens, "ann")
	require.Len(t, list, 1)
	require.Equal(t, "docker", list[0].Client)
	require.Equal(t, "ann", list[0].Subject)
}

// TestRefreshOnlyIfRenewed: a caller who cannot be renewed, or not from what is stored, logs in
// without a refresh token.
func TestRefreshOnlyIfRenewed(t *testing.T) {
	ids := auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
		name, _, _ := r.BasicAuth()
		return auth.Identity{Name: name}, nil
	})
	refusing := newPeople()
	refusing.err = auth.ErrCredentials
	large := newPeople()
	large.set("ann", person{password: "secret", groups: slices.Repeat([]string{strings.Repeat("g", 100)}, 700)})
	for name, users := range map[string]auth.Authenticator{"no Renewer": ids, "not renewed": refusing} {
		d := memory.New(nil)
		s, _ := newRefreshing(t, d, users, nil)
		require.Empty(t, login(t, s), name)
		require.Empty(t, keys(t, d), name)
	}
	s, _ := newRefreshing(t, memory.New(nil), large, nil)
	status, _ := ask(t, s, "GET", "/v2/token", url.Values{"offline_token": {"true"}}, basic("ann", "secret"))
	require.Equal(t, 400, status, "not even an access token")

	// Without the wish for one, and for anonymous callers.
	d := memory.New(nil)
	s, _ = newRefreshing(t, d, newPeople(), nil)
	for _, c := range []struct {
		query         url.Values
		authorization string
	}{{url.Values{}, basic("ann", "secret")}, {url.Values{"offline_token": {"false"}}, basic("ann", "secret")},
		{url.Values{"offline_token": {"true"}}, ""}} {
		status, a := ask(t, s, "GET", "/v2/token", c.query, c.authorization)
		require.Equal(t, 200, status)
		require.Empty(t, a.RefreshToken)
	}
	require.Empty(t, keys(t, d))
}

// TestRefreshTokenNotStored: the storage, and what a token shows of itself, reveal no token.
func TestRefreshTokenNotStored(t *testing.T) {
	read := 0
	d := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
		Before: func(context.Context, drivertest.Call) error { read++; return nil }})
	s, tokens := newRefreshing(t, d, newPeople(), nil)
	value := login(t, s)
	list := keys(t, d)
	require.Len(t, list, 1)
	body, _, err := d.Open(t.Context(), list[0], nil)
	require.NoError(t, err)
	content, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	random := value[len("rkf_")+24+16:]
	for _, text := range []string{string(content), list[0], fmt.Sprintf("%+v", listed(t, tokens, "ann"))} {
		require.NotContains(t, text, random[:8])
	}
	// Who can read the storage knows subject and ID, and cannot make a token of them.
	forged := value[:len(value)-len(random)] + strings.Repeat("a", 32)
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(forged)))
	forged += strings.ToLower(base32.StdEncoding.EncodeToString(sum)[:7])
	read = 0
	status, _ := refresh(t, s, forged)
	require.Equal(t, 401, status)
	require.Equal(t, 1, read, "it has the form of a token")
}

// TestRefreshService: another service on the same storage does not accept a token of this one.
func TestRefreshService(t *testing.T) {
	d, users := memory.New(nil), newPeople()
	s, tokens := newRefreshing(t, d, users, nil)
	other, err := token.New(registrytest.NewStore(t), users, all, &token.Options{Service: "other", Refresh: tokens})
	require.NoError(t, err)
	status, _ := ask(t, other, "POST", "/v2/token", url.Values{"grant_type": {"refresh_token"},
		"refresh_token": {login(t, s)}}, "")
	require.Equal(t, 401, status)
}

// TestRefreshExpires: a token that is used lasts, and one that is not used ends and is removed.
func TestRefreshExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		s, tokens := newRefreshing(t, d, newPeople(), &token.RefreshOptions{Idle: 10 * 24 * time.Hour})
		used, unused := login(t, s), login(t, s)
		for range 20 {
			time.Sleep(9 * 24 * time.Hour)
			status, _ := refresh(t, s, used)
			require.Equal(t, 200, status)
		}
		status, _ := refresh(t, s, unused)
		require.Equal(t, 401, status)
		require.Len(t, listed(t, tokens, "ann"), 1)
		require.Len(t, keys(t, d), 2)
		n, err := tokens.RemoveExpired(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		status, _ = refresh(t, s, used)
		require.Equal(t, 200, status)

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- tokens.Run(ctx) }()
		time.Sleep(13 * 24 * time.Hour)
		synctest.Wait()
		require.Empty(t, keys(t, d))
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)

		s, _ = newRefreshing(t, d, newPeople(), &token.RefreshOptions{Lifetime: 30 * 24 * time.Hour})
		value := login(t, s)
		for range 29 {
			time.Sleep(24 * time.Hour)
			status, _ := refresh(t, s, value)
			require.Equal(t, 200, status)
		}
		time.Sleep(24 * time.Hour)
		status, _ = refresh(t, s, value)
		require.Equal(t, 401, status, "although it is used")
	})
}

// TestRefreshBounded: the tokens of a subject are bounded. No login takes away a token that is in
// use.
func TestRefreshBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		s, tokens := newRefreshing(t, d, newPeople(), &token.RefreshOptions{PerSubject: 3})
		values := []string{login(t, s), login(t, s), login(t, s)}
		require.NotContains(t, values, "")
		require.Empty(t, login(t, s), "the login itself succeeds")
		_, bob := ask(t, s, "GET", "/v2/token", url.Values{"offline_token": {"true"}}, basic("bob", "pw"))
		require.NotEmpty(t, bob.RefreshToken)

		time.Sleep(49 * time.Hour)
		for _, value := range values[:2] {
			status, _ := refresh(t, s, value)
			require.Equal(t, 200, status)
		}
		require.NotEmpty(t, login(t, s), "in place of the one that is not in use")
		status, _ := refresh(t, s, values[2])
		require.Equal(t, 401, status)
		for _, value := range values[:2] {
			status, _ := refresh(t, s, value)
			require.Equal(t, 200, status)
		}
		require.Empty(t, login(t, s))
		require.Len(t, listed(t, tokens, "ann"), 3)

		time.Sleep(200 * 24 * time.Hour)
		require.NotEmpty(t, login(t, s))
		require.Len(t, keys(t, d), 2, "a login tidies the tokens of its subject; bob's is left")
	})
}

// TestRefreshCost: a refresh reads the storage once, and writes it once a day. A login lists the
// tokens of the subject and writes one.
func TestRefreshCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		d := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
			Before: func(_ context.Context, c drivertest.Call) error { calls = append(calls, c.Op); return nil }})
		s, tokens := newRefreshing(t, d, newPeople(), nil)
		cost := func(f func()) []string {
			calls = nil
			f()
			return calls
		}
		var value string
		require.Equal(t, []string{"List", "Put"}, cost(func() { value = login(t, s) }))
		use := func() { refresh(t, s, value, "repository:a:pull") }
		for range 3 {
			require.Equal(t, []string{"Open"}, cost(use))
		}
		time.Sleep(25 * time.Hour)
		require.Equal(t, []string{"Open", "Put"}, cost(use))
		require.Equal(t, []string{"Open"}, cost(use))
		for _, value := range []string{"", "x", value[1:], value + "a", value[:len(value)-1] + "!", strings.ToUpper(value)} {
			require.Empty(t, cost(func() { refresh(t, s, value) }), "nothing is read for what is no token")
		}
		require.Empty(t, cost(func() { ask(t, s, "GET", "/v2/token", nil, basic("ann", "secret")) }))
		require.Equal(t, []string{"Open", "Delete", "Sync"}, cost(func() {
			require.NoError(t, tokens.RevokeToken(t.Context(), value))
		}))
	})
}

// TestRefreshFaults: a failure of the storage refuses a refresh for now, with 503 or 500, and a login
// succeeds without a refresh token. A lost response to the write of a token does no harm.
func TestRefreshFaults(t *testing.T) {
	var fail error
	d := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
		Before: func(context.Context, drivertest.Call) error { return fail }})
	var told []error
	tokens, err := token.NewRefreshTokens(d, nil)
	require.NoError(t, err)
	users := newPeople()
	s, err := token.New(registrytest.NewStore(t), users, all, &token.Options{Refresh: tokens,
		Error: func(_ context.Context, err error) { told = append(told, err) }})
	require.NoError(t, err)
	value := login(t, s)
	for err, want := range map[error]int{driver.ErrUnavailable: 503, errors.New("hush"): 500} {
		fail, told = fmt.Errorf("hush: %w", err), nil
		status, a := refresh(t, s, value)
		require.Equal(t, want, status)
		require.NotContains(t, fmt.Sprint(a), "hush")
		require.Len(t, told, 1)
		require.Empty(t, login(t, s))
		require.Len(t, told, 2)
		require.Error(t, tokens.RevokeToken(t.Context(), value))
		_, err = tokens.RevokeAll(t.Context(), "ann")
		require.Error(t, err)
		_, err = tokens.RemoveExpired(t.Context())
		require.Error(t, err)
		status, _ = ask(t, s, "POST", "/v2/token/revoke", url.Values{"token": {value}}, "")
		require.Equal(t, want, status)
	}
	fail = nil
	users.err = &auth.UnavailableError{RetryAfter: 3 * time.Second, Err: errors.New("hush")}
	status, a := refresh(t, s, value)
	require.Equal(t, 503, status)
	require.Equal(t, "temporarily_unavailable", a.Error)
	users.err = nil
	d.LoseResponse(1)
	require.Empty(t, login(t, s), "it is not known whether the token is stored")
	status, _ = refresh(t, s, value)
	require.Equal(t, 200, status)
}

func TestRefreshOptions(t *testing.T) {
	for _, opts := range []token.RefreshOptions{{Idle: time.Minute}, {Idle: -1}, {Lifetime: time.Minute},
		{Lifetime: -1}, {PerSubject: -1}} {
		_, err := token.NewRefreshTokens(memory.New(nil), &opts)
		require.Error(t, err)
	}
	_, err := token.NewRefreshTokens(nil, nil)
	require.Error(t, err)

	// A subject that is not the name.
	tokens, err := token.NewRefreshTokens(memory.New(nil), &token.RefreshOptions{
		Subject: func(identity auth.Identity) string { return "id-of-" + identity.Name }})
	require.NoError(t, err)
	s, err := token.New(registrytest.NewStore(t), newPeople(), all, &token.Options{Refresh: tokens})
	require.NoError(t, err)
	value := login(t, s)
	require.Empty(t, listed(t, tokens, "ann"))
	require.Len(t, listed(t, tokens, "id-of-ann"), 1)
	status, _ := refresh(t, s, value)
	require.Equal(t, 200, status)

	tokens, err = token.NewRefreshTokens(memory.New(nil), &token.RefreshOptions{
		Subject: func(auth.Identity) string { return "" }})
	require.NoError(t, err)
	s, err = token.New(registrytest.NewStore(t), newPeople(), all, &token.Options{Refresh: tokens})
	require.NoError(t, err)
	require.Empty(t, login(t, s))
}
