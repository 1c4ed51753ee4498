package token_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// accountsReplica is one process with accounts and an endpoint.
type accountsReplica struct {
	t        *testing.T
	accounts *accounts.Accounts
	tokens   *token.Service
}

func newAccountsReplica(t *testing.T, d driver.Driver, store *storage.Store) *accountsReplica {
	a, err := accounts.New(d, nil)
	require.NoError(t, err)
	users, err := accounts.NewAuthenticator(a, nil)
	require.NoError(t, err)
	tokens, err := token.NewRefreshTokens(d, &token.RefreshOptions{Subject: func(who auth.Identity) string {
		id, _ := who.Claims[accounts.AccountClaim].(string)
		return id
	}})
	require.NoError(t, err)
	s, err := token.New(store, users, accounts.NewAuthorizer(a), &token.Options{Always: true, Refresh: tokens})
	require.NoError(t, err)
	return &accountsReplica{t, a, s}
}

// login returns a refresh token.
func (r *accountsReplica) login(name, password string) string {
	status, a := ask(r.t, r.tokens, "GET", "/v2/token", url.Values{"offline_token": {"true"}}, basic(name, password))
	require.Equal(r.t, 200, status)
	require.NotEmpty(r.t, a.RefreshToken)
	return a.RefreshToken
}

// refresh returns the status of a use of a refresh token, and the access token.
func (r *accountsReplica) refresh(value string) (int, string) {
	status, a := refresh(r.t, r.tokens, value, "repository:anna/app:pull,push")
	return status, a.AccessToken
}

// allows reports whether an access token permits a pull.
func (r *accountsReplica) allows(access string) bool {
	req := httptest.NewRequest("GET", "/v2/", nil)
	req.Header.Set("Authorization", "Bearer "+access)
	who, err := r.tokens.Authenticate(req)
	require.NoError(r.t, err)
	pull := []auth.Access{{Type: auth.TypeRepository, Name: "anna/app", Action: auth.Pull}}
	return r.tokens.Authorize(r.t.Context(), who, pull) == nil
}

// TestTokensOfAccounts: tokens of a user who was disabled, has another password or lost the secret stop
// at once at the replica that makes the change, and after accounts.DefaultRefresh at the other. A new
// name ends nothing.
func TestTokensOfAccounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, d, by := t.Context(), memory.New(nil), accounts.Actor{}
		store, err := storage.New(ctx, d, nil)
		require.NoError(t, err)
		one, other := newAccountsReplica(t, d, store), newAccountsReplica(t, d, store)
		const password = "a long enough phrase 42"
		ann, err := one.accounts.CreateUser(ctx, by, "anna", password, nil)
		require.NoError(t, err)
		secret, err := one.accounts.CreateSecret(ctx, by, ann.ID, "ci", nil)
		require.NoError(t, err)
		byPassword, bySecret := other.login("anna", password), other.login("anna", secret.Value.Value())
		requireStatus := func(r *accountsReplica, value string, want int) {
			t.Helper()
			status, _ := r.refresh(value)
			require.Equal(t, want, status)
		}
		requireStatus(one, bySecret, 200)
		_, access := other.refresh(byPassword)
		require.Equal(t, []string{"repository:anna/app:pull,push"}, granted(t, access))
		require.True(t, one.allows(access) && other.allows(access))

		_, err = one.accounts.Disable(ctx, by, ann.ID)
		require.NoError(t, err)
		require.False(t, one.allows(access))
		requireStatus(one, byPassword, 401)
		time.Sleep(accounts.DefaultRefresh)
		require.False(t, other.allows(access))
		requireStatus(other, byPassword, 401)
		requireStatus(other, bySecret, 401)

		_, err = one.accounts.Enable(ctx, by, ann.ID)
		require.NoError(t, err)
		_, err = one.accounts.Rename(ctx, by, ann.ID, "annabel")
		require.NoError(t, err)
		time.Sleep(accounts.DefaultRefresh)
		requireStatus(other, byPassword, 200)

		require.NoError(t, one.accounts.SetPassword(ctx, by, ann.ID, password+"3"))
		require.NoError(t, one.accounts.RevokeSecret(ctx, by, ann.ID, secret.ID))
		requireStatus(one, byPassword, 401)
		requireStatus(one, bySecret, 401)
		time.Sleep(accounts.DefaultRefresh)
		requireStatus(other, byPassword, 401)
		requireStatus(other, bySecret, 401)
	})
}

// TestManyGroups: the owners of organisations, who may put anybody into their teams, do not keep a user from getting
// tokens.
func TestManyGroups(t *testing.T) {
	ctx, d, by := t.Context(), memory.New(nil), accounts.Actor{}
	store, err := storage.New(ctx, d, nil)
	require.NoError(t, err)
	r := newAccountsReplica(t, d, store)
	victim, err := r.accounts.CreateUser(ctx, by, "anna", "", nil)
	require.NoError(t, err)
	mallory, err := r.accounts.CreateUser(ctx, by, "mallory", "", nil)
	require.NoError(t, err)
	org, err := r.accounts.CreateOrganisation(ctx, by, "x"+strings.Repeat("y", 38), mallory.ID, nil)
	require.NoError(t, err)
	for i := range 100 {
		name := fmt.Sprintf("team%035d", i)
		_, err := r.accounts.CreateTeam(ctx, by, org.ID, name, nil)
		require.NoError(t, err)
		require.NoError(t, r.accounts.JoinTeam(ctx, by, org.ID, name, victim.ID))
	}
	secret, err := r.accounts.CreateSecret(ctx, by, victim.ID, "ci", nil)
	require.NoError(t, err)
	login := r.login("anna", secret.Value.Value())
	status, access := r.refresh(login)
	require.Equal(t, 200, status)
	require.True(t, r.allows(access))
}
