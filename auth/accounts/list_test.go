package accounts_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func names(t testing.TB, a *accounts.Accounts, after string, most int) []string {
	t.Helper()
	var all []string
	for acc, err := range a.List(t.Context(), after) {
		require.NoError(t, err)
		if all = append(all, acc.Name); len(all) == most {
			break
		}
	}
	return all
}

func TestList(t *testing.T) {
	ctx := t.Context()
	a := newAccounts(t, memory.New(nil), nil)
	require.Empty(t, names(t, a, "", 0))
	ann, bob, cat := newUser(t, a, "ann"), newUser(t, a, "bob"), newUser(t, a, "cat")
	_, err := a.CreateOrganisation(ctx, forced, "a-corp", ann.ID, nil)
	require.NoError(t, err)
	_, err = a.Rename(ctx, forced, bob.ID, "zed")
	require.NoError(t, err)
	_, err = a.Disable(ctx, forced, cat.ID)
	require.NoError(t, err)
	require.NoError(t, a.Remove(ctx, forced, newUser(t, a, "dan").ID))
	require.Equal(t, []string{"a-corp", "ann", "cat", "zed"}, names(t, a, "", 0))
	require.Equal(t, []string{"cat", "zed"}, names(t, a, "ann", 0))
	require.Equal(t, []string{"ann"}, names(t, a, "a-corp", 1))
	require.Equal(t, []string{"cat", "zed"}, names(t, a, "b-nobody", 0))
	require.Empty(t, names(t, a, "zed", 0))
}

// TestListPages puts pages together: they have each account once.
func TestListPages(t *testing.T) {
	a := newAccounts(t, memory.New(nil), nil)
	for i := range 300 {
		newUser(t, a, fmt.Sprintf("u%d-%d", i%7, i))
	}
	all := names(t, a, "", 0)
	require.Len(t, all, 300)
	var paged []string
	for after := ""; ; after = paged[len(paged)-1] {
		page := names(t, a, after, 7)
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
	}
	require.Equal(t, all, paged)
}

// TestListCostsThePage counts the requests for pages in the middle of 100,000 users.
func TestListCostsThePage(t *testing.T) {
	users := 100_000
	if testing.Short() {
		users = 5_000
	}
	d := memory.New(nil)
	a := newAccounts(t, d, nil)
	for i := range users {
		_, err := a.CreateUser(t.Context(), forced, fmt.Sprintf("u%06d", i), "", nil)
		require.NoError(t, err)
	}
	f := drivertest.NewFaulty(d, nil)
	a = newAccounts(t, f, nil)
	for _, page := range []int{1, 10, 100, 1000} {
		before, start := f.Count(""), time.Now()
		got := names(t, a, fmt.Sprintf("u%06d", users/2), page)
		took, cost := time.Since(start), f.Count("")-before
		require.Len(t, got, page)
		require.LessOrEqual(t, cost, 1+2*min(2*page+1, page+64), "a list, and two requests for each account")
		t.Logf("%d users: %d of them took %v and %d requests", users, page, took.Round(time.Microsecond), cost)
	}
	before := f.Count("")
	_, err := a.Lookup(t.Context(), "u001234")
	require.NoError(t, err)
	require.Equal(t, before+2, f.Count(""), "cold")
}
