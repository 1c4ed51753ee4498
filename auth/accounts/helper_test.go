package accounts_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver"
)

// password is one that the rules allow.
const password = "sunny cello marmot"

// forced is an actor that may take every name.
var forced = accounts.Actor{Name: "root", Force: true}

// newAccounts returns Accounts with cheap hashes of passwords.
func newAccounts(t testing.TB, d driver.Driver, opts *accounts.Options) *accounts.Accounts {
	t.Helper()
	a, err := accounts.New(d, opts)
	require.NoError(t, err)
	a.CheapPasswords()
	return a
}

// newUser makes a user without a password.
func newUser(t testing.TB, a *accounts.Accounts, name string) *accounts.Account {
	t.Helper()
	acc, err := a.CreateUser(t.Context(), accounts.Actor{}, name, "", nil)
	require.NoError(t, err)
	return acc
}

// keys returns all keys of a driver.
func keys(t testing.TB, d driver.Driver) []string {
	t.Helper()
	var all []string
	for info, err := range d.List(t.Context(), "", nil) {
		require.NoError(t, err)
		all = append(all, info.Key)
	}
	return all
}

// identityOf is a login of an account.
func identityOf(acc *accounts.Account) auth.Identity {
	return auth.Identity{Name: acc.Name, Claims: map[string]any{accounts.AccountClaim: string(acc.ID)}}
}

// may reports whether a caller may do something in a repository.
func may(t testing.TB, a *accounts.Authorizer, who auth.Identity, action auth.Action, repository string) bool {
	err := a.Authorize(t.Context(), who, []auth.Access{{Type: auth.TypeRepository, Name: repository, Action: action}})
	if err != nil {
		require.ErrorIs(t, err, auth.ErrDenied)
	}
	return err == nil
}
