package accounts_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

func TestValidName(t *testing.T) {
	for _, name := range []string{"ab", "a1", "ann", "a-b", "a-b-c", "x" + strings.Repeat("y", 38)} {
		require.True(t, accounts.ValidName(name), name)
	}
	for _, name := range []string{
		"", "a", "1a", "-a", "a-", "a--b", "Ann", "ANN", "änn", "a_b", "a.b", "a b", "a+b", "a/b", "a\x00b",
		"\u0430nn", // a Cyrillic a
		"x" + strings.Repeat("y", 39), "ann\n", " ann", "{user}", "a:b", "..",
	} {
		require.False(t, accounts.ValidName(name), name)
	}
}

func TestSkeleton(t *testing.T) {
	for _, look := range [][]string{
		{"ann", "an-n", "a-n-n"},
		{"g00gle", "google", "go0gle", "goog1e", "g-oogle"},
		{"modern", "modem", "moder-n", "m0dern"},
		{"vvorld", "world", "w0rld", "v-v0r1d"},
		{"avvvb", "avwb", "awvb", "a-v-wb", "av-v-vb"},
		{"avvvvb", "awwb", "avwvb", "avvwb", "awvvb"},
	} {
		for _, name := range look {
			require.True(t, accounts.ValidName(name), name)
			require.Equal(t, accounts.Skeleton(look[0]), accounts.Skeleton(name), name)
		}
	}
	require.NotEqual(t, accounts.Skeleton("ann"), accounts.Skeleton("anna"))
	require.NotEqual(t, accounts.Skeleton("ab"), accounts.Skeleton("ba"))
	require.Zero(t, testing.AllocsPerRun(100, func() { accounts.Skeleton("someone") }))
}

// FuzzName checks that every valid name has a skeleton that is safe as part of a key and in which hyphens do not
// count, and that CreateUser accepts valid names only.
func FuzzName(f *testing.F) {
	for _, name := range []string{"ann", "a-b", "m0dern", "vvv", "rrnn", "r-n", "a--b", "A", "ä", "+", "x\x00"} {
		f.Add(name)
	}
	a, err := accounts.New(memory.New(nil), nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, name string) {
		valid := accounts.ValidName(name)
		skel := accounts.Skeleton(name)
		if valid {
			require.True(t, driver.ValidKey("w/n/"+skel), name)
			require.NotContains(t, skel, "-")
			require.Equal(t, skel, accounts.Skeleton(strings.ReplaceAll(name, "-", "")))
		}
		_, err := a.Lookup(t.Context(), name)
		require.ErrorIs(t, err, accounts.ErrUnknown)
		acc, err := a.CreateUser(t.Context(), accounts.Actor{}, name, "", nil)
		if !valid {
			require.ErrorIs(t, err, accounts.ErrInvalid)
			require.LessOrEqual(t, len(err.Error()), 200)
			return
		}
		if err != nil {
			require.ErrorIs(t, err, accounts.ErrTaken)
			return
		}
		require.NoError(t, a.Remove(t.Context(), accounts.Actor{Force: true}, acc.ID))
	})
}

func TestDecoy(t *testing.T) {
	d := accounts.Decoy("ann")
	require.True(t, accounts.ValidID(d))
	require.Equal(t, d, accounts.Decoy("ann"))
	require.NotEqual(t, d, accounts.Decoy("bob"))
}

func TestReservedNames(t *testing.T) {
	ctx := t.Context()
	a := newAccounts(t, memory.New(nil), &accounts.Options{Reserved: []string{"acme"}})
	for _, name := range []string{
		"library", "libra-ry", "admin", "adm1n", "ad-min", "root", "r00t", "acme", "ac-me", "v2",
	} {
		_, err := a.CreateUser(ctx, accounts.Actor{}, name, "", nil)
		require.ErrorIs(t, err, accounts.ErrTaken, name)
	}
	_, err := a.CreateUser(ctx, accounts.Actor{Force: true}, "library", "", nil)
	require.NoError(t, err)
	_, err = accounts.New(memory.New(nil), &accounts.Options{Reserved: []string{"No Name"}})
	require.ErrorIs(t, err, accounts.ErrInvalid)
}
