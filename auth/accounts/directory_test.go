package accounts_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/argon2"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/accounts/accountstest"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// TestAccountsAreADirectory runs the kit over Accounts, which get the facts by an import.
func TestAccountsAreADirectory(t *testing.T) {
	accountstest.TestDirectory(t, func(t *testing.T, facts accountstest.Facts) accounts.Directory {
		a, err := accounts.New(memory.New(nil), nil)
		require.NoError(t, err)
		_, err = a.Import(t.Context(), accounts.Actor{}, bytes.NewReader(lines(t, facts)), nil)
		require.NoError(t, err)
		return a
	})
}

// sample returns the accounts of a storage with the facts of accountstest.Sample.
func sample(t testing.TB, d driver.Driver, opts *accounts.Options) *accounts.Accounts {
	t.Helper()
	a, err := accounts.New(d, opts)
	require.NoError(t, err)
	_, err = a.Import(t.Context(), accounts.Actor{}, bytes.NewReader(lines(t, accountstest.Sample(time.Now()))), nil)
	require.NoError(t, err)
	return a
}

// lines writes facts as another program would write an export.
func lines(t testing.TB, facts accountstest.Facts) []byte {
	t.Helper()
	var b bytes.Buffer
	write := func(kind string, of accounts.ID, fact any) {
		line := map[string]any{"type": kind, "fact": fact}
		if of != "" {
			line["of"] = of
		}
		require.NoError(t, json.NewEncoder(&b).Encode(line))
	}
	order := []accounts.Kind{accounts.User, accounts.Organisation, accounts.Robot}
	all := slices.Clone(facts.Accounts)
	slices.SortStableFunc(all, func(a, b accounts.Account) int {
		return slices.Index(order, a.Kind) - slices.Index(order, b.Kind)
	})
	for _, a := range all {
		write("account", "", a)
	}
	for id, password := range facts.Passwords {
		salt := []byte("salt of " + string(id))
		hash := argon2.IDKey([]byte(password), salt, 1, 64, 1, 32) // cheap: the hash is not the point
		write("password", id, map[string]any{"set": time.Now().UTC(), "hash": fmt.Sprintf(
			"$argon2id$v=19$m=64,t=1,p=1$%s$%s", base64.RawStdEncoding.EncodeToString(salt),
			base64.RawStdEncoding.EncodeToString(hash))})
	}
	for _, s := range facts.Secrets {
		write("secret", "", s)
	}
	teams := make(map[[2]accounts.ID][]map[string]any)
	for _, team := range facts.Teams {
		write("team", team.Organisation, team.Team)
		for _, m := range team.Members {
			key := [2]accounts.ID{team.Organisation, m}
			teams[key] = append(teams[key], map[string]any{"name": team.Name, "id": team.ID})
		}
	}
	for of, members := range facts.Members {
		for _, m := range members {
			write("member", of, map[string]any{"user": m, "since": time.Now().UTC(), "teams": teams[[2]accounts.ID{of, m}]})
		}
	}
	for name, v := range facts.Visibility {
		write("repository", "", accounts.Repository{Name: name, Visibility: v})
	}
	for _, id := range facts.Admins {
		write("admin", "", map[string]any{"id": id})
	}
	return b.Bytes()
}
